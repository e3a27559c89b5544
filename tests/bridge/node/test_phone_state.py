"""What the simulated phone says of itself, keeps, and answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.node.phone_state import (
    CommandError,
    PhoneSetup,
    Tokens,
    handlers_of,
    node_profile,
    operator_profile,
    result_params,
    run_command,
)
from bridge.node.simulated_screen import SimulatedScreen
from gateway_client.frames import JsonObject

IOS = PhoneSetup("127.0.0.1", 1, "0" * 64)
ANDROID = PhoneSetup("fe80::1", 1, "0" * 64, kind="android")


def hello(**auth: Any) -> JsonObject:
    return {"auth": auth}


def test_url_of_an_ipv6_host_is_bracketed() -> None:
    assert (IOS.url, ANDROID.url) == ("wss://127.0.0.1:1", "wss://[fe80::1]:1")


def test_profiles_are_the_apps() -> None:
    ios, android = node_profile(IOS, "i"), node_profile(ANDROID, "i")
    assert (ios.client["id"], ios.client["mode"], ios.min_protocol, ios.max_protocol) == ("openclaw-ios", "node", 3, 4)
    assert (android.client["id"], android.client["deviceFamily"]) == ("openclaw-android", "Android")
    operator = operator_profile(IOS, "i", ("operator.read",))
    assert (operator.client["mode"], operator.role, operator.min_protocol) == ("ui", "operator", 4)
    assert (IOS.payload_version, ANDROID.payload_version) == (2, 3)


def test_without_anything_the_node_presents_nothing() -> None:
    assert Tokens().node_credentials().as_auth() is None


def test_node_token_is_kept_and_an_operator_token_without_a_code_ignored() -> None:
    tokens = Tokens()
    tokens.take_node_hello(hello(deviceToken="n", deviceTokens=[{"role": "operator", "deviceToken": "o"}]))
    assert tokens.node_credentials().as_auth() == {"token": "n"}
    assert tokens.operator is None


def test_setup_code_yields_both_tokens_and_is_dropped() -> None:
    tokens = Tokens(bootstrap="b")
    assert tokens.node_credentials().as_auth() == {"bootstrapToken": "b"}
    entry = {"role": "operator", "deviceToken": "o", "scopes": ["operator.read"], "issuedAtMs": 1}
    tokens.take_node_hello(hello(deviceToken="n", deviceTokens=[entry]))
    assert (tokens.node, tokens.operator, tokens.operator_scopes) == ("n", "o", ("operator.read",))
    assert tokens.node_credentials().as_auth() == {"token": "n"}


def test_setup_code_stays_when_one_token_is_missing() -> None:
    tokens = Tokens(bootstrap="b")
    tokens.take_node_hello(hello(deviceToken="n"))
    assert tokens.node_credentials().as_auth() == {"bootstrapToken": "b"}


def test_tokens_are_not_printed() -> None:
    assert "planted" not in repr(Tokens(node="planted", operator="planted", bootstrap="planted"))
    assert "planted" not in repr(PhoneSetup("h", 1, "p", bootstrap_token="planted"))


def run(command: str, params: str | None, *, background: bool = False) -> JsonObject:
    return run_command(handlers_of(IOS, SimulatedScreen()), command, params, background=background)


def test_declared_commands_run() -> None:
    assert run("screen.navigate", '{"url":"https://a.example/"}') == {"url": "https://a.example/", "title": "a.example"}
    assert run("device.info", None)["name"] == IOS.name
    assert run("screen.show", "null") == {}


@pytest.mark.parametrize(
    ("command", "params", "code"),
    [
        ("sms.send", None, "INVALID_REQUEST"),
        ("screen.navigate", "{}", "INVALID_REQUEST"),
        ("screen.navigate", "{", "INVALID_REQUEST"),
        ("screen.eval", '{"javaScript":"throw new Error(\'x\')"}', "UNAVAILABLE"),
    ],
)
def test_failing_command_has_a_code(command: str, params: str | None, code: str) -> None:
    with pytest.raises(CommandError) as failure:
        run(command, params)
    assert failure.value.code == code


@pytest.mark.parametrize("command", ["screen.show", "camera.snap", "talk.ptt.start"])
def test_foreground_command_fails_in_the_background(command: str) -> None:
    with pytest.raises(CommandError) as failure:
        run(command, None, background=True)
    assert failure.value.code == "NODE_BACKGROUND_UNAVAILABLE"


def test_other_commands_run_in_the_background() -> None:
    assert run("device.status", None, background=True)


def test_results_are_text_from_ios_and_objects_from_android() -> None:
    request: JsonObject = {"id": "1", "nodeId": "n"}
    assert json.loads(str(result_params(request, IOS, {"a": 1})["payloadJSON"])) == {"a": 1}
    assert result_params(request, ANDROID, {"a": 1}) == {"id": "1", "nodeId": "n", "ok": True, "payload": {"a": 1}}
    error = CommandError("X", "boom")
    assert result_params(request, IOS, error)["error"] == {"code": "X", "message": "boom"}
