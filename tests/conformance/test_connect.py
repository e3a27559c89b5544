"""`connect`: who is let in, and with which words and close code everyone else is turned away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.target import Target
from tests.conformance.wire import Json, Wire, new_identity, node_params, operator_params, refused, refused_raw, wire
from tests.support.schema import validate_frame

pytestmark = pytest.mark.asyncio(loop_scope="session")

Change = Callable[[Json], Any]

INVALID = "INVALID_REQUEST"


def put(*path: str, value: Any) -> Change:
    def change(params: Json) -> None:
        *outer, last = path
        for name in outer:
            params = params[name]
        params[last] = value

    return change


def drop(*path: str) -> Change:
    def change(params: Json) -> None:
        *outer, last = path
        for name in outer:
            params = params[name]
        del params[last]

    return change


def both_protocols(number: int) -> Change:
    return lambda params: params.update(minProtocol=number, maxProtocol=number)


MALFORMED: dict[str, Change] = {
    "unknown member": put("bogus", value=1),
    "unknown member of client": put("client", "bogus", value=1),
    "unknown member of device": put("device", "bogus", value=1),
    "unknown member of auth": put("auth", "bogus", value="x"),
    "unknown client id": put("client", "id", value="ios-node"),
    "unknown client mode": put("client", "mode", value="phone"),
    "no version": drop("client", "version"),
    "no platform": drop("client", "platform"),
    "empty platform": put("client", "platform", value=""),
    "no client": drop("client"),
    "no minProtocol": drop("minProtocol"),
    "minProtocol 0": put("minProtocol", value=0),
    "minProtocol a string": put("minProtocol", value="4"),
    "minProtocol a fraction": put("minProtocol", value=3.5),
    "minProtocol a boolean": put("minProtocol", value=True),
    "empty role": put("role", value=""),
    "caps a string": put("caps", value="screen"),
    "an empty cap": put("caps", value=[""]),
    "commands of numbers": put("commands", value=[1]),
    "a permission that is no boolean": put("permissions", value={"camera": 1}),
    "a token that is no string": put("auth", "token", value=1),
    "no signature": drop("device", "signature"),
    "signedAt a string": put("device", "signedAt", value="now"),
    "a negative signedAt": put("device", "signedAt", value=-1),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_connect_is_refused(gateway: Target, name: str) -> None:
    async with wire(gateway.url) as client:
        params = node_params(client, new_identity(), auth={"token": gateway.token})
        MALFORMED[name](params)
        end = await refused(client, params)
    assert (end.code, end.detail, end.close_code) == (INVALID, None, 1008)
    assert end.error is not None
    assert end.error["message"].startswith("invalid connect params: ")
    assert end.close_reason.startswith("invalid connect params: ")


@pytest.mark.parametrize("params", [None, [], "x", {}])
async def test_connect_without_an_object_is_refused(gateway: Target, params: Any) -> None:
    async with wire(gateway.url) as client:
        end = await refused(client, params)
    assert (end.code, end.close_code) == (INVALID, 1008)


PROOF: dict[str, tuple[Change, str]] = {
    "another device's id": (put("device", "id", value="0" * 64), "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
    "a key that is no key": (put("device", "publicKey", value="AAAA"), "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
    "another nonce": (put("device", "nonce", value="zzz"), "DEVICE_AUTH_NONCE_MISMATCH"),
    "a blank nonce": (put("device", "nonce", value=" "), "DEVICE_AUTH_NONCE_REQUIRED"),
    "a wrong signature": (put("device", "signature", value="A" * 86), "DEVICE_AUTH_SIGNATURE_INVALID"),
    "a short signature": (put("device", "signature", value="AA"), "DEVICE_AUTH_SIGNATURE_INVALID"),
    "unsigned scopes": (put("scopes", value=["operator.read"]), "DEVICE_AUTH_SIGNATURE_INVALID"),
    "an unsigned platform": (put("client", "platform", value="iOS 99"), "DEVICE_AUTH_SIGNATURE_INVALID"),
    "an unsigned client id": (put("client", "id", value="node-host"), "DEVICE_AUTH_SIGNATURE_INVALID"),
    "an unsigned token": (put("auth", value={}), "DEVICE_AUTH_SIGNATURE_INVALID"),
}


@pytest.mark.parametrize("name", PROOF)
async def test_bad_device_proof_is_refused(gateway: Target, name: str) -> None:
    change, detail = PROOF[name]
    async with wire(gateway.url) as client:
        params = node_params(client, new_identity(), auth={"token": gateway.token})
        change(params)
        end = await refused(client, params)
    assert (end.code, end.detail, end.close_code) == (INVALID, detail, 1008)
    assert end.error is not None
    assert end.close_reason == end.error["message"]


@pytest.mark.parametrize("skew_ms", [-130_000, 130_000])
async def test_clock_too_far_off_is_refused(gateway: Target, skew_ms: int) -> None:
    async with wire(gateway.url) as client:
        params = node_params(client, new_identity(), auth={"token": gateway.token}, skew_ms=skew_ms)
        end = await refused(client, params)
    assert (end.code, end.detail, end.close_code) == (INVALID, "DEVICE_AUTH_SIGNATURE_EXPIRED", 1008)


async def test_nonce_of_another_connection_is_refused(gateway: Target) -> None:
    async with wire(gateway.url) as one, wire(gateway.url) as other:
        end = await refused(other, node_params(one, new_identity(), auth={"token": gateway.token}))
    assert end.detail == "DEVICE_AUTH_NONCE_MISMATCH"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("skew_ms", [-100_000, 0, 100_000])
async def test_both_payload_versions_and_a_tolerable_clock_are_accepted(
    gateway: Target, version: int, skew_ms: int
) -> None:
    async with gateway.node(version=version, skew_ms=skew_ms) as (client, _):
        assert client.hello["auth"]["role"] == "node"


PROTOCOLS: dict[str, Change] = {
    "too old": both_protocols(2),
    "too new": both_protocols(5),
    "an empty range": lambda params: params.update(minProtocol=4, maxProtocol=3),
}


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_protocol_mismatch_is_refused(gateway: Target, name: str) -> None:
    async with wire(gateway.url) as client:
        params = node_params(client, new_identity(), auth={"token": gateway.token})
        PROTOCOLS[name](params)
        end = await refused(client, params)
    assert (end.code, end.detail, end.close_code) == (INVALID, "PROTOCOL_MISMATCH", 1002)
    assert end.close_reason == "protocol mismatch"
    assert end.error is not None
    assert end.error["details"]["expectedProtocol"] == 4
    assert end.error["details"]["minimumProbeProtocol"] == 3


async def test_old_protocol_is_for_nodes_only(gateway: Target) -> None:
    async with gateway.node(minProtocol=3, maxProtocol=3) as (client, _):
        assert client.hello["protocol"] == 4
    async with wire(gateway.url) as client:
        params = operator_params({"token": gateway.token}, minProtocol=3, maxProtocol=3)
        end = await refused(client, params)
    assert end.close_code == 1002


@pytest.mark.parametrize("role", ["admin", "Node", "node "])
async def test_unknown_role_is_refused(gateway: Target, role: str) -> None:
    async with wire(gateway.url) as client:
        end = await refused(client, node_params(client, new_identity(), auth={"token": gateway.token}, role=role))
    assert (end.code, end.detail, end.close_code, end.close_reason) == (INVALID, None, 1008, "invalid role")


@pytest.mark.parametrize("change", [put("role", value="worker"), put("client", "id", value="openclaw-worker")])
async def test_worker_is_turned_away_without_an_answer(gateway: Target, change: Change) -> None:
    async with wire(gateway.url) as client:
        params = operator_params({"token": gateway.token})
        change(params)
        end = await refused(client, params)
    assert (end.error, end.close_code, end.close_reason) == (None, 1008, "invalid-handshake")


# What is presented, the expected details.code, and whether the client may try its device token next.
CREDENTIALS: dict[str, tuple[Json | None, str, bool, str]] = {
    "nothing": (None, "AUTH_TOKEN_MISSING", False, "update_auth_configuration"),
    "an empty auth": ({}, "AUTH_TOKEN_MISSING", False, "update_auth_configuration"),
    "a wrong token": ({"token": "no"}, "AUTH_TOKEN_MISMATCH", True, "retry_with_device_token"),
    "a wrong device token": ({"deviceToken": "no"}, "AUTH_DEVICE_TOKEN_MISMATCH", False, "update_auth_credentials"),
    "both wrong": (
        {"token": "no", "deviceToken": "no"}, "AUTH_DEVICE_TOKEN_MISMATCH", False, "update_auth_credentials",
    ),
    "a wrong setup code": (
        {"bootstrapToken": "no"}, "AUTH_BOOTSTRAP_TOKEN_INVALID", False, "review_auth_configuration",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_wrong_credentials_are_refused(gateway: Target, name: str) -> None:
    auth, detail, retry, step = CREDENTIALS[name]
    async with wire(gateway.url) as client:
        end = await refused(client, node_params(client, new_identity(), auth=auth))
    assert (end.code, end.detail, end.close_code) == (INVALID, detail, 1008)
    assert end.error is not None
    assert end.error["details"]["canRetryWithDeviceToken"] is retry
    assert end.error["details"]["recommendedNextStep"] == step
    assert end.error["message"].startswith(end.close_reason)


async def test_node_without_a_device_key_is_refused(gateway: Target) -> None:
    async with wire(gateway.url) as client:
        params = node_params(client, new_identity(), auth={"token": gateway.token})
        del params["device"]
        end = await refused(client, params)
    assert (end.code, end.detail, end.close_code) == ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED", 1008)


@pytest.mark.parametrize(
    ("auth", "code", "detail"),
    [
        (None, "NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED"),
        ({"token": "no"}, INVALID, "AUTH_TOKEN_MISMATCH"),
        ({"deviceToken": "no"}, "NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED"),
    ],
)
async def test_operator_without_the_secret_is_refused(
    gateway: Target, auth: Json | None, code: str, detail: str
) -> None:
    async with wire(gateway.url) as client:
        end = await refused(client, operator_params(auth))
    assert (end.code, end.detail, end.close_code) == (code, detail, 1008)


async def test_backend_operator_keeps_the_scopes_it_asks_for(gateway: Target) -> None:
    async with gateway.operator(("operator.read", "operator.write")) as client:
        auth = client.hello["auth"]
    assert (auth["role"], auth["scopes"]) == ("operator", ["operator.read", "operator.write"])
    assert "deviceToken" not in auth


async def test_other_operator_without_a_device_has_no_scopes(gateway: Target) -> None:
    async with wire(gateway.url) as client:
        params = operator_params({"token": gateway.token})
        params["client"]["mode"] = "ui"
        assert (await client.ok("connect", params))["auth"]["scopes"] == []
        assert (await client.error("node.list", {}))["details"]["code"] == "MISSING_SCOPE"


async def test_browser_is_refused(gateway: Target) -> None:
    async with wire(gateway.url, {"Origin": "https://example.com"}) as client:
        end = await refused(client, operator_params({"token": gateway.token}))
    assert (end.code, end.detail, end.close_code) == (INVALID, "CONTROL_UI_ORIGIN_NOT_ALLOWED", 1008)


async def test_second_connect_is_no_method(gateway: Target) -> None:
    async with gateway.operator() as client:
        assert not (await client.ask("connect", operator_params({"token": gateway.token})))["ok"]


async def test_hello_fits_the_official_schema(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.node() as (node, _):
        for client in (operator, node):
            validate_frame({"type": "res", "id": "c1", "ok": True, "payload": client.hello}, method="connect")
        policy = node.hello["policy"]
    assert policy["tickIntervalMs"] == gateway.tick_ms
    assert (policy["maxPayload"], policy["maxBufferedBytes"]) == (26_214_400, 52_428_800)
    assert operator.hello["snapshot"]["sessionDefaults"]["mainSessionKey"] == "agent:main:main"
    assert node.hello["auth"]["scopes"] == []
    assert len(node.hello["auth"]["deviceToken"]) == 43


async def test_device_token_is_accepted_wherever_it_stands(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.node(identity) as (client, _):
        token = client.hello["auth"]["deviceToken"]
    for auth in ({"token": token}, {"deviceToken": token}, {"token": token, "deviceToken": token}):
        async with gateway.node(identity, auth=auth) as (client, _):
            assert client.hello["auth"]["deviceToken"] == token
            assert client.hello["auth"]["method"] == "device-token"
    async with gateway.node(identity, auth={"token": "wrong", "deviceToken": token}) as (client, _):
        assert client.hello["auth"]["role"] == "node"


async def test_device_token_is_worth_nothing_to_others(gateway: Target) -> None:
    identity, stranger = new_identity(), new_identity()
    async with gateway.node(identity) as (client, _):
        token = client.hello["auth"]["deviceToken"]
    async with wire(gateway.url) as client:
        end = await refused(client, node_params(client, stranger, auth={"deviceToken": token}))
    assert end.detail == "AUTH_DEVICE_TOKEN_MISMATCH"
    async with wire(gateway.url) as client:
        about = {"mode": "ui"}
        params = node_params(client, identity, auth={"deviceToken": token}, role="operator", about=about)
        end = await refused(client, params)
    assert end.detail == "AUTH_DEVICE_TOKEN_MISMATCH"


async def same_close(client: Wire, frame: Any) -> tuple[str | None, int | None, str]:
    end = await refused_raw(client, frame)
    return end.code, end.close_code, end.close_reason


# What is sent before `connect`, and how it ends: error code, close code, close reason.
FIRST_FRAMES: dict[str, tuple[Any, tuple[str | None, int, str]]] = {
    "no JSON": ("hello", (None, 1000, "")),
    "not UTF-8": (b"\xff\xfe", (None, 1000, "")),
    "a list": ("[]", (None, 1008, "invalid request frame")),
    "null": ("null", (None, 1008, "invalid request frame")),
    "the old dialect": ({"type": "hello"}, (None, 1008, "invalid request frame")),
    "no id": ({"type": "req", "method": "connect"}, (None, 1008, "invalid request frame")),
    "an empty id": ({"type": "req", "id": "", "method": "connect"}, (None, 1008, "invalid request frame")),
    "an unknown member": (
        {"type": "req", "id": "1", "method": "connect", "z": 1}, (None, 1008, "invalid request frame"),
    ),
    "an event": ({"type": "event", "event": "x"}, (None, 1008, "invalid request frame")),
    "another method": (
        {"type": "req", "id": "1", "method": "health"},
        (INVALID, 1008, "invalid handshake: first request must be connect"),
    ),
    "64 KiB, no JSON": ("x" * 65_536, (None, 1000, "")),
    "a byte more": ("x" * 65_537, (None, 1009, "")),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST_FRAMES)
async def test_first_frame_that_is_no_connect_ends_the_connection(gateway: Target, name: str) -> None:
    frame, expected = FIRST_FRAMES[name]
    async with wire(gateway.url) as client:
        assert await same_close(client, frame) == expected
