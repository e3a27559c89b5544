"""The documents of design §17, from a bridge that really pairs, renames, revokes and explains."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from acl.permissions import PROFILES
from bridge.control.not_granted import not_granted
from bridge.control.requests import ExplainBody, RevokeBody
from bridge.errors import AlreadyDecided, NotAllowed, UnknownId
from bridge.operations import BridgeOperations
from bridge.pairing.records import key_fingerprint, unique_name
from tests.bridge.house import NOWHERE, House, house
from tests.bridge.lan.phones import ANDROID, IPHONE, PHONE
from tests.bridge.upstream.stage import embedded
from tests.support.waiting import eventually

DEFAULT = sorted(PROFILES["voice+screen"])
PIN = re.compile(r"[0-9a-f]{64}")


async def test_status(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE)
    await bridge.pair(ANDROID, revoked_at=datetime.now(UTC))
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        status = (await operations.status()).to_json()
    gateway = status.pop("gateway")
    limits, load = status.pop("limits"), status.pop("load")
    policy = status.pop("policy")
    assert isinstance(policy, dict)
    assert policy["source"] == "built-in"
    assert status == {
        "version": "0.1.0",
        "pid": os.getpid(),
        "startedAt": bridge.started.wall.isoformat().replace("+00:00", "Z"),
        "listeners": [
            {"name": "nodes", "addresses": ["127.0.0.1"], "port": bridge.nodes.port},
            {"name": "apps", "addresses": ["127.0.0.1"], "port": bridge.apps.port},
        ],
        "nodes": {"paired": 1, "connected": 1},
        "pending": 0,
        "pin": bridge.identity.pin,
        "spki": bridge.identity.spki,
        "discovery": {"state": "on"},
        "console": {},
        "audit": {"written": 0},
        "limitsInUse": {"refused": {}, "limited": {}, "turnedAway": {}, "strangers": 0, "penalties": []},
    }
    assert isinstance(gateway, dict)
    assert gateway["url"] == NOWHERE
    assert gateway["state"] in {"connecting", "down"}
    assert limits == bridge.config.limits.model_dump()
    assert load == dict.fromkeys(("calls", "inFlight", "queued", "bytesInFlight", "socketsHeld", "bytesBuffered"), 0)


async def test_metrics_tell_who_came_and_who_is_there(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        await bridge.trail.record("key-change", what="something")
        text = await operations.metrics()
    made, lines = 'handshakes_total{outcome="made"} 1.0', f"audit_lines {float(bridge.trail.written)}"
    for line in ("nodes_connected 1.0", made, 'gateway{state="connected"} 0.0', lines):
        assert f"\nclawdis_bridge_{line}\n" in text
    assert bridge.trail.written


async def test_a_pending_request(bridge: House, operations: BridgeOperations) -> None:
    before = datetime.now(UTC)
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        request_id = await bridge.waiting()
        (row,) = [document.to_json() for document in await operations.pending()]
    expires, created = (datetime.fromisoformat(str(row.pop(name))) for name in ("expiresAt", "createdAt"))
    assert before <= created <= datetime.now(UTC)
    assert timedelta(minutes=4, seconds=50) < expires - created < timedelta(minutes=5, seconds=5)
    assert row == {
        "id": request_id,
        "kind": "openclaw",
        "displayName": "Anna's iPhone",
        "platform": "iOS 26.1",
        "deviceFamily": "iPhone",
        "address": "127.0.0.1",
        "permissions": DEFAULT,
        "commands": sorted(IPHONE.commands),
        "keyFingerprint": key_fingerprint(IPHONE.node_id),
        "pin": bridge.identity.pin,
        "previouslyRevoked": False,
        "reason": "new",
        "adds": [],
        "notGranted": not_granted(IPHONE.commands, DEFAULT),
    }


# Approve and deny.


async def test_an_approval_lets_the_waiting_phone_in_although_the_gateway_is_away(bridge: House) -> None:
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        started = time.monotonic()
        approval = (await bridge.operations.approve(await bridge.waiting(), None, None)).to_json()
        assert time.monotonic() - started < 3.0
        hello = (await caller.read())["payload"]
    assert approval == {
        "nodeId": IPHONE.node_id,
        "displayName": "Anna's iPhone",
        "permissions": DEFAULT,
        "security": "device-key",
        "withheld": [],
        "notGranted": not_granted(sorted(IPHONE.commands), DEFAULT),
    }
    assert len(hello["auth"]["deviceToken"]) == 43
    assert "deviceTokens" not in hello["auth"]


async def test_an_approval_may_say_what_is_granted_and_what_it_is_called(bridge: House) -> None:
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        request_id = await bridge.waiting()
        approval = await bridge.operations.approve(request_id[:4], ["screen"], "Kitchen\u202e phone")
        await caller.read()
    assert (approval.permissions, approval.display_name) == (["screen"], "Kitchen phone")
    assert bridge.store.nodes[IPHONE.node_id].permissions == ("screen",)


async def test_an_approval_tells_what_the_gateway_withholds_and_how_to_allow_it(tmp_path: Path) -> None:
    async with embedded() as gateway, house(tmp_path / "home", gateway.url) as bridge:
        await eventually(lambda: bridge.stage.operator.is_open)
        async with bridge.call(IPHONE) as caller:
            await caller.connects()
            approval = await bridge.operations.approve(await bridge.waiting(), None, None)
            assert "screen.eval" in approval.withheld
            assert "screen.show" not in approval.withheld
            assert approval.allow_line is not None
            assert all(name in approval.allow_line for name in ("screen.show", "screen.eval"))
            detail = await bridge.operations.node(IPHONE.node_id)
    assert detail.withheld == approval.withheld
    assert set(detail.effective_commands).isdisjoint(detail.withheld)
    assert detail.allow_line == approval.allow_line


async def test_an_approval_of_a_phone_that_has_gone_does_not_wait_for_it(bridge: House) -> None:
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        request_id = await bridge.waiting()
    await bridge.operations.approve(request_id, None, None)
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        assert len((await caller.read())["payload"]["auth"]["deviceToken"]) == 43


@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_what_does_not_wait_cannot_be_decided(bridge: House, verb: str) -> None:
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        request_id = await bridge.waiting()
        assert (await bridge.operations.deny(request_id)).to_json() == {"id": request_id}
        assert (await caller.read())["error"]["details"]["pauseReconnect"] is True
    verbs: dict[str, Verb] = {
        "deny": lambda operations, id: operations.deny(id),
        "approve": lambda operations, id: operations.approve(id, None, None),
    }
    for wrong in ("abcdef", "1"):
        with pytest.raises(UnknownId):
            await verbs[verb](bridge.operations, wrong)
    for decided in (request_id, request_id[:5]):
        with pytest.raises(AlreadyDecided, match="was turned down already"):
            await verbs[verb](bridge.operations, decided)
        with pytest.raises(AlreadyDecided):
            await bridge.operations.request(decided)
    assert bridge.store.nodes == {}


# Nodes.


async def test_the_list_of_nodes(bridge: House, operations: BridgeOperations) -> None:
    record = await bridge.pair(IPHONE, wants=("contacts.search",))
    await bridge.pair(ANDROID, revoked_at=datetime.now(UTC))
    phone, other = [row.to_json() for row in await operations.nodes()]
    assert phone == {
        "nodeId": IPHONE.node_id,
        "displayName": "Anna's iPhone",
        "platform": "iOS 26.1",
        "security": "device-key",
        "permissions": sorted(PHONE),
        "state": "offline",
        "gatewayNodeId": record.gateway_node_id,
        "withheld": [],
        "wants": ["contacts.search"],
    }
    assert other["state"] == "revoked"


async def test_the_state_of_a_node_follows_its_socket(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        (row,) = await operations.nodes()
        assert row.state == "connected"
        assert row.connected_at is not None
        await caller.asks("node.event", {"event": "node.state", "payload": {"state": "background"}})
        await caller.read()
        assert (await operations.nodes())[0].state == "background"
    await eventually(lambda: bridge.hub.roster.node(IPHONE.node_id) is None)
    (row,) = await operations.nodes()
    assert (row.state, row.connected_at) == ("offline", None)


async def test_one_node(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE)
    detail = (await operations.node(IPHONE.node_id[:8])).to_json()
    assert detail["declaredCommands"] == sorted(IPHONE.commands)
    assert detail["tokens"] == {"node": 1, "operator": 1}
    assert detail["effectiveCommands"] == []


async def test_renaming(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE)
    assert (await operations.rename(IPHONE.node_id, "  Kitchen\u200b ")).display_name == "Kitchen"
    assert (await operations.rename(IPHONE.node_id, "\u202e")).display_name == "Kitchen"


async def test_what_is_changed_at_once_is_not_undone(bridge: House, operations: BridgeOperations) -> None:
    """Red when a change is made of what was read before its turn: the older version is back, the revoked renamed."""
    record = await bridge.pair(IPHONE)
    newer = record.labels.model_copy(update={"client_version": "2099.1.1"})
    updated = record.model_copy(update={"labels": newer})
    await asyncio.gather(bridge.store.put(updated), operations.rename(IPHONE.node_id, "Kitchen"))
    labels = bridge.store.nodes[IPHONE.node_id].labels
    assert (labels.client_version, labels.display_name) == ("2099.1.1", "Kitchen")
    gone = bridge.store.nodes[IPHONE.node_id].model_copy(update={"revoked_at": datetime.now(UTC)})
    _, refused = await asyncio.gather(
        bridge.store.put(gone), operations.rename(IPHONE.node_id, "Attic"), return_exceptions=True
    )
    assert isinstance(refused, NotAllowed)
    assert bridge.store.nodes[IPHONE.node_id] == gone


async def test_a_new_name_reaches_the_gateway_and_stays_there(tmp_path: Path) -> None:
    async with embedded() as gateway, house(tmp_path / "home", gateway.url) as bridge:
        await eventually(lambda: bridge.stage.operator.is_open)
        record = await bridge.pair(IPHONE)

        def shown() -> str:
            core = gateway.core
            return str(core.nodes.rows(core.devices.paired.values(), core.surfaces)[0]["displayName"])

        async with bridge.call(IPHONE) as caller:
            await caller.gets_in()
            link = await eventually(lambda: bridge.stage.switchboard.link(IPHONE.node_id))
            await eventually(lambda: link.surface)
            assert shown() == unique_name(record)
            renamed = await bridge.operations.rename(IPHONE.node_id, "Kitchen")
            await eventually(lambda: shown() == f"Kitchen [{IPHONE.node_id[:6]}]")
            assert bridge.stage.switchboard.link(IPHONE.node_id) is link
        await eventually(lambda: bridge.hub.roster.node(IPHONE.node_id) is None)
        gateway.core.nodes.names[record.gateway_node_id] = "what it was called while the bridge was away"
        async with bridge.call(IPHONE) as caller:
            await caller.gets_in()
            await eventually(lambda: shown() == f"Kitchen [{IPHONE.node_id[:6]}]")
    assert renamed.display_name == "Kitchen"


async def test_changing_permissions(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        row = await operations.set_permissions(IPHONE.node_id, ["voice", "screen"])
        assert row.permissions == ["screen", "voice"]
        assert await caller.ended() == (1012, "permissions changed")
    assert (await operations.set_permissions(IPHONE.node_id, [])).permissions == []


Verb = Callable[[BridgeOperations, str], Awaitable[object]]
CHANGES: dict[str, Verb] = {
    "rename": lambda operations, node: operations.rename(node, "x"),
    "permissions": lambda operations, node: operations.set_permissions(node, ["screen"]),
}
QUESTIONS: dict[str, Verb] = {
    "node": lambda operations, node: operations.node(node),
    "explain": lambda operations, node: operations.explain(ExplainBody(node=node, method="health")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_revoked_node_is_not_changed(bridge: House, operations: BridgeOperations, change: Verb) -> None:
    await bridge.pair(IPHONE, revoked_at=datetime.now(UTC))
    with pytest.raises(NotAllowed):
        await change(operations, IPHONE.node_id)


@pytest.mark.parametrize("verb", [*CHANGES.values(), *QUESTIONS.values()], ids=[*CHANGES, *QUESTIONS])
async def test_a_node_that_is_not_there(operations: BridgeOperations, verb: Verb) -> None:
    with pytest.raises(UnknownId):
        await verb(operations, "abcdef")


async def test_revoking_some_all_and_others(bridge: House, operations: BridgeOperations) -> None:
    for phone in (IPHONE, ANDROID):
        await bridge.pair(phone)
    with pytest.raises(UnknownId):
        await operations.revoke(RevokeBody(ids=[IPHONE.node_id, "abcdef"]))
    assert all(record.revoked_at is None for record in bridge.store.nodes.values())
    (revoked,) = [document.to_json() for document in await operations.revoke(RevokeBody(others=IPHONE.node_id))]
    assert revoked["nodeId"] == ANDROID.node_id
    assert datetime.fromisoformat(str(revoked["revokedAt"])).tzinfo is not None
    assert [one.node_id for one in await operations.revoke(RevokeBody(all=True))] == [IPHONE.node_id]
    assert await operations.revoke(RevokeBody(all=True)) == []
    with pytest.raises(AlreadyDecided, match="revoked already"):
        await operations.revoke(RevokeBody(ids=[IPHONE.node_id[:8]]))
    assert bridge.store.nodes[IPHONE.node_id].node_tokens == ()
