"""E1, E2, E15: what the policy does not name reaches nobody, whatever it looks like and whatever the file says.

E16, the decision against its reference, is in `tests/acl/test_engine_fuzz.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.errors import RefusedError
from bridge.node.native_node import NativeNode
from gateway_client.frames import Json, JsonObject
from tests.attacks.codes import phone_of, setup_code
from tests.attacks.fortress import Fortress, fortress
from tests.attacks.owners import BAD, DENY_EVENTS, LOOK_ALIKES, NO_LIMITS, reload, start, write_policy
from tests.bridge.lan import every_method
from tests.bridge.lan.phones import IPHONE
from tests.support.iphone import PhoneSocket
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

Ask = Callable[[str, dict[str, Json]], Awaitable[Any]]
OWN = frozenset({"connect", "node.list", "node.pair.list", "node.pair.approve", "device.pair.list", "health"})
"""What the bridge asks of the gateway on its own account when a node comes in."""
SIDE = OWN | {"node.invoke.result", "device.pair.approve", "config.get", "node.rename"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keep() -> AsyncIterator[Fortress]:
    async with fortress(limits=NO_LIMITS) as made:
        yield made


def golden(role: str, grant: str, *ways: str) -> set[str]:
    """Return what the golden table lets a socket have done in one of these ways."""
    lines = (line.split() for line in every_method.GOLDEN.read_text().splitlines())
    return {words[2] for words in lines if words[:2] == [role, grant] and words[-1] in ways}


def heard(castle: Fortress, since: int) -> set[str]:
    """Return the methods that the gateway has heard since."""
    return {str(one.frame["method"]) for one in castle.tap.seen[since:] if one.up and "method" in one.frame}


@asynccontextmanager
async def native(castle: Fortress, *permissions: str) -> AsyncIterator[NativeNode]:
    """A paired native node with these permissions, connected and linked."""
    identity = await castle.paired(None, *permissions)
    async with castle.node(identity) as node:
        await node.connect()
        assert (await node.request("node.pending.pull", {})).ok  # its link is there
        yield node


@asynccontextmanager
async def operator_of(castle: Fortress, *permissions: str, scopes: tuple[str, ...]) -> AsyncIterator[PhoneSocket]:
    """The operator socket of an app that a code has let in."""
    phone = phone_of(castle)
    _, token = await setup_code(castle, *permissions)
    async with phone.socket("node", {"bootstrapToken": token}):
        await castle.bridge.node_in(phone.node_id, "connected")
    castle.secrets.extend(phone.tokens.values())
    async with phone.socket("operator", {"token": phone.tokens["operator"]}, scopes) as socket:
        yield socket


async def answers(ask: Ask, names: list[str], node_id: str = "") -> dict[str, Any]:
    """Ask for every name; `health` between, because ten refusals in a row are borne and eleven are not."""
    out: dict[str, Any] = {}
    for number, name in enumerate(names):
        params = every_method.PARAMS.get(name, {})
        own = {key: node_id if value == IPHONE.node_id else value for key, value in params.items()}
        out[name] = await ask(name, own)
        if number % 5 == 0:
            await ask("health", {})
    return out


@pytest.mark.real
async def test_e1_a_node_reaches_the_gateway_with_its_methods_and_no_other(keep: Fortress) -> None:
    """Every method of the official schema, by a node that has `voice`.

    Positive control: each method that the node has is heard by the gateway in the same run. Red when `decide` is left
    out of `NodeTraffic.on_request`, or when a rule of the table gains a name.
    """
    names = every_method.every_name()
    async with keep.unharmed(store=False, heard=SIDE | golden("node", "voice", "gateway")):
        async with native(keep, "voice") as node:
            since = len(keep.tap.seen)
            told = await answers(node.request, names, node.state.node_id)
        said, mine = heard(keep, since), golden("node", "voice", "gateway")
        assert mine <= said, mine - said
        assert said <= mine | OWN, said - mine - OWN
        refused = {name for name, answer in told.items() if _words(answer) == "unauthorized role: node"}
        assert refused == set(names) - golden("node", "voice", "gateway", "bridge")
    keep.check_output()


def _words(answer: Any) -> str | None:
    return answer.error.message if answer.error is not None else None


@pytest.mark.real
async def test_e1_an_apps_operator_socket_reaches_the_gateway_with_its_methods_and_no_other(keep: Fortress) -> None:
    """The same by the operator socket of an app, whose every refusal is one that apps take for final."""
    names = every_method.every_name()
    async with operator_of(keep, "chat", "device", scopes=("operator.read", "operator.write")) as socket:
        since = len(keep.tap.seen)
        told = await answers(socket.request, names)
    mine = golden("operator", "phone", "gateway") - {"gateway.identity.get"}  # that one needs `notify`
    said = heard(keep, since)
    assert mine <= said, mine - said
    assert said <= mine | OWN, said - mine - OWN
    refused = {name for name, answer in told.items() if _code(answer) == "MISSING_SCOPE"}
    expected = set(names) - golden("operator", "phone", "gateway", "bridge") | {"gateway.identity.get"}
    assert expected <= refused  # the gateway of the test refuses some of the others itself


def _code(answer: dict[str, Any]) -> str | None:
    details = answer.get("error", {}).get("details")
    return str(details.get("code")) if isinstance(details, dict) else None


async def test_e2_nothing_that_looks_like_a_method_is_one(keep: Fortress) -> None:
    """Names that some comparison takes for `node.invoke`, by a node that may invoke. Red when names are folded.

    Positive control: the name itself reaches the gateway afterwards, on the same socket.
    """
    async with native(keep, "nodes", "device", "voice") as node:
        since = len(keep.tap.seen)
        params: JsonObject = {"nodeId": node.state.node_id, "command": "device.info", "idempotencyKey": "e2"}
        for number, name in enumerate(LOOK_ALIKES):
            answer = await node.request(name, params)
            assert not answer.ok, ascii(name)
            if number % 5 == 0:
                assert (await node.request("health", {})).ok
        assert heard(keep, since) <= OWN
        await node.request("node.invoke", params)
        assert "node.invoke" in heard(keep, since)


async def test_e2_nothing_that_looks_like_an_event_or_a_command_is_one(keep: Fortress) -> None:
    """Positive control: the real event reaches the gateway, and the real command the node."""
    async with native(keep, "voice", "device") as node:
        since = len(keep.tap.seen)
        for name in ("Voice.transcript", "voice.transcript ", "voice\u2024transcript", "\u0432oice.transcript"):
            answer = await node.event(name, {"text": "hi"})
            assert (answer.ok, answer.payload) == (
                True, {"ok": True, "event": name, "handled": False, "reason": "not_permitted"},
            ), ascii(name)  # fmt: skip
        assert "node.event" not in heard(keep, since)
        await node.event("voice.transcript", {"text": "hi"})
        assert "node.event" in heard(keep, since)
    since = len(keep.tap.seen)
    async with keep.unharmed(heard=SIDE), keep.node(keep.canary) as canary:
        await canary.connect()
        await eventually(keep.is_ready, timeout_s=10)
        *_, link = [one.connection for one in keep.tap.seen if one.up and _is_canarys(keep, one.frame)]
        for number, command in enumerate(("Device.info", "device.info ", "device\u2024info", "device.*", "system.run")):
            await keep.tap.inject(_invoke(f"look-{number}", keep.gateway_id, command), link)
        results = await eventually(lambda: _results(keep, since, "look-"), what="every look-alike answered")
        assert {each["error"]["code"] for each in results} == {"FORBIDDEN"}
        await keep.tap.inject(_invoke("real-0", keep.gateway_id, "device.info"), link)
        (control,) = await eventually(lambda: _results(keep, since, "real-"), what="the real one answered")
        assert control["ok"] is True


def _is_canarys(keep: Fortress, frame: dict[str, Any]) -> bool:
    """Whether it is the `connect` of the canary's link, which lingers and may be an older one."""
    return frame.get("method") == "connect" and frame["params"].get("device", {}).get("id") == keep.gateway_id


def _invoke(invoke_id: str, node: str, command: str) -> dict[str, Any]:
    payload = {"id": invoke_id, "nodeId": node, "command": command, "paramsJSON": None, "timeoutMs": 5_000}
    return {"type": "event", "event": "node.invoke.request", "payload": {**payload, "idempotencyKey": invoke_id}}


def _results(castle: Fortress, since: int, prefix: str) -> list[dict[str, Any]]:
    """The results of those invokes, once there is one for each that was asked."""
    frames = [one.frame["params"] for one in castle.tap.seen[since:] if one.frame.get("method") == "node.invoke.result"]
    found = [each for each in frames if str(each["id"]).startswith(prefix)]
    return found if len(found) == (5 if prefix == "look-" else 1) else []


async def test_scopes_that_an_app_says_for_itself_and_none_at_all_open_nothing(keep: Fortress) -> None:
    async with operator_of(keep, "chat", "device", scopes=("operator.admin", "operator.pairing")) as socket:
        assert socket.hello["auth"]["scopes"] == []
        assert _code(await socket.request("chat.history", {"sessionKey": "main"})) == "MISSING_SCOPE"
        assert _code(await socket.request("config.set", {"raw": "{}"})) == "MISSING_SCOPE"
    async with operator_of(keep, "device", scopes=("operator.read", "operator.write")) as socket:
        assert socket.hello["auth"]["scopes"] == []
        assert _code(await socket.request("chat.history", {"sessionKey": "main"})) == "MISSING_SCOPE"
    async with operator_of(keep, "chat", "device", scopes=("operator.read", "operator.admin")) as socket:
        assert socket.hello["auth"]["scopes"] == ["operator.read"]
        assert (await socket.request("chat.history", {"sessionKey": "main"}))["ok"] is True  # positive control


async def test_another_node_and_a_node_that_is_not_there_are_refused_in_the_same_words(keep: Fortress) -> None:
    async with native(keep, "nodes", "device") as node:
        since = len(keep.tap.seen)
        params: JsonObject = {"command": "device.info", "idempotencyKey": "k"}
        there = await node.request("node.invoke", {**params, "nodeId": keep.canary.node_id})
        nowhere = await node.request("node.invoke", {**params, "nodeId": "ab" * 32})
        assert there.error is not None
        assert nowhere.error is not None
        assert (there.error.code, there.error.message) == (nowhere.error.code, nowhere.error.message)
        assert there.error.details == nowhere.error.details
        assert "node.invoke" not in heard(keep, since)


async def test_e15_a_bad_file_is_refused_at_a_reload_and_the_old_policy_stays(keep: Fortress) -> None:
    """Red when the policy is put into force piece by piece, or a fault of the file is taken for an empty file.

    Positive control: the good file before it denies, and an empty one after it allows again.
    """
    async with native(keep, "voice") as node:
        assert (await node.event("voice.transcript", {"text": "one"})).ok
        await reload(keep, DENY_EVENTS)
        for text, words in BAD.values():
            with pytest.raises(RefusedError) as refused:
                await reload(keep, text)
            assert words in refused.value.message
            assert "acl check" in (refused.value.fix or "")
        since = len(keep.tap.seen)
        denied = await node.event("voice.transcript", {"text": "two"})
        assert denied.payload == {
            "ok": True, "event": "voice.transcript", "handled": False, "reason": "not_permitted",
        }  # fmt: skip
        assert "node.event" not in heard(keep, since)
        status = await keep.bridge.ask(keep.bridge.client.status)
        assert status.policy is not None
        assert status.policy.rules == 1
        await reload(keep, "")
        await node.event("voice.transcript", {"text": "three"})
        assert "node.event" in heard(keep, since)
    keep.check_output()


@pytest.mark.parametrize("text, words", [BAD[each] for each in ("a typo", "a wildcard for commands")])
async def test_e15_a_bad_file_is_a_refusal_to_start(tmp_path: Path, text: str, words: str) -> None:
    """Red when the daemon starts with the built-in policy instead. No key and no store is made before the refusal."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    path = write_policy(home, text)
    outcome = await start(home)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"clawdis-bridge: {path}: ")
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not {each.name for each in home.iterdir()} & {"keys", "paired-nodes.json", "names.json", "bridge.sock"}


async def test_a_denied_method_stays_denied_for_whoever_comes_again(keep: Fortress) -> None:
    """A reload ends the sockets that it concerns, and coming again restores nothing; others stay."""
    deny = '[[rules]]\nid = "no-agent"\nwhen = { direction = "from-node", method = "agent" }\ndecision = "deny"\n'
    async with native(keep, "voice") as node, native(keep, "device") as other:
        write_policy(keep.bridge.home, deny)
        told = await keep.bridge.cli("policy", "reload")
        assert told.returncode == 0, told.stderr
        assert "1 connection will come again" in told.stdout
        ended = await node.wait_closed()
        assert "1012" in str(ended)
        hello: Any = await node.connect()
        assert "agent" not in hello["features"]["methods"]
        since = len(keep.tap.seen)
        refused = await node.request("agent", {"message": "hi", "idempotencyKey": "again"})
        assert refused.error is not None
        assert (refused.error.code, refused.error.details) == ("FORBIDDEN", {"code": "POLICY", "reason": "owner-rule"})
        assert "agent" not in heard(keep, since)
        assert (await other.request("health", {})).ok
    await reload(keep, "")


async def test_a_hangup_reads_the_policy_again(keep: Fortress) -> None:
    write_policy(keep.bridge.home, DENY_EVENTS)
    os.kill(keep.bridge.pid, signal.SIGHUP)

    async def rules() -> bool:
        policy = (await keep.bridge.ask(keep.bridge.client.status)).policy
        return policy is not None and policy.rules == 1

    await eventually(rules, what="the rule is in force")
    write_policy(keep.bridge.home, "[agnet]")
    since = len(keep.bridge.log_lines())
    os.kill(keep.bridge.pid, signal.SIGHUP)
    await eventually(lambda: keep.events("policy-unchanged", since), what="the log says why not")
    assert await rules()
    await reload(keep, "")
