"""What a person does leaves a trace first; what leaves none does not come into force, unless it only takes away."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from acl.permissions import PROFILES
from bridge.control.documents import NodeRow
from bridge.control.requests import RevokeBody
from bridge.errors import BridgeError, RefusedError
from bridge.operations import BridgeOperations
from bridge.pairing.store import StoreError
from tests.bridge.audit.remembered import FULL
from tests.bridge.house import House
from tests.bridge.lan.phones import IPHONE
from tests.bridge.pairing.samples import draft

WIDEST: list[str] = sorted(PROFILES["full"])


async def test_an_approval_without_a_trace_leaves_the_request_waiting(bridge: House) -> None:
    """Red when `Registrar.pair` writes the store first, or lets the error pass."""
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        request_id = await bridge.waiting()
        bridge.trail.refuses = FULL
        with pytest.raises(BridgeError, match="Nothing was approved, because the audit log") as failed:
            await bridge.operations.approve(request_id, None, None)
        assert (failed.value.code, failed.value.fix) == ("AUDIT", "Make room: df -h /home")
        assert [request.id for request in bridge.reception.desk.pending()] == [request_id]
        assert not bridge.store.nodes
        bridge.trail.refuses = None
        await bridge.operations.approve(request_id, ["voice"], "Kitchen")
        hello = await caller.read()
        assert hello["ok"] is True
    (approved,) = bridge.trail.named("approved")
    assert (approved["node"], approved["by"], approved["name"]) == (IPHONE.node_id, "cli", "Kitchen")
    assert (approved["permissions"], approved["request"], approved["why"]) == (["voice"], request_id, "new")
    (issued,) = bridge.trail.named("token-issued")
    assert issued == {"node": IPHONE.node_id, "roles": ["node"]}
    token = hello["payload"]["auth"]["deviceToken"]
    assert token not in repr(bridge.trail.events)


async def test_what_the_store_refuses_after_the_trace_is_said_to_be_undone(bridge: House) -> None:
    (bridge.home / "paired-nodes.json").mkdir()
    with pytest.raises(StoreError):
        await bridge.registrar.pair(draft(), PROFILES["voice"], None)
    assert [event for event, _ in bridge.trail.events] == ["approved", "approval-undone"]


async def test_a_code_without_a_trace_is_not_made(bridge: House, operations: BridgeOperations) -> None:
    bridge.trail.refuses = FULL
    for mint in (operations.codes.mint_setup_code, operations.codes.mint_native_link):
        with pytest.raises(BridgeError, match="No code was made"):
            await mint(None, None, 300, None)
    assert not await operations.codes.tokens()
    bridge.trail.refuses = None
    made = await operations.codes.mint_setup_code(["voice"], None, 300, None)
    link = await operations.codes.mint_native_link(["voice"], None, 300, None)
    events = bridge.trail.named("code-made")
    assert [(event["code_id"], event["for"]) for event in events] == [(made.id, "openclaw"), (link.id, "native")]
    for secret in (made.setup_code, link.link.partition("#")[2]):
        assert secret not in repr(bridge.trail.events)


async def test_without_a_trace_a_node_gets_no_more_and_can_lose_what_it_has(
    bridge: House, operations: BridgeOperations
) -> None:
    """Red when a revocation waits for the log: a full disk would keep a stolen phone in."""
    await bridge.pair(IPHONE, PROFILES["voice+screen"])
    before = sorted(PROFILES["voice+screen"])
    bridge.trail.refuses = FULL
    with pytest.raises(BridgeError, match="Nothing was changed, because the audit log"):
        await operations.set_permissions(IPHONE.node_id, WIDEST)
    assert (await operations.node(IPHONE.node_id)).permissions == before
    assert (await operations.set_permissions(IPHONE.node_id, ["voice"])).permissions == ["voice"]
    (revoked,) = await operations.revoke(RevokeBody(all=True))
    assert revoked.node_id == IPHONE.node_id
    assert (await operations.status()).audit is not None


async def test_more_permissions_leave_a_trace_with_what_there_was(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE, PROFILES["voice"])
    await operations.set_permissions(IPHONE.node_id, WIDEST)
    (widened,) = bridge.trail.named("permissions-widened")
    assert widened == {"node": IPHONE.node_id, "permissions": WIDEST, "before": ["voice"]}


async def test_what_takes_away_at_the_first_look_and_gives_more_at_the_last_is_refused(
    bridge: House, operations: BridgeOperations
) -> None:
    """Two changes at once, the second from what the first has ended; red when it gives the screen back unwritten."""
    await bridge.pair(IPHONE, PROFILES["voice+screen"])
    first, second = await asyncio.gather(
        operations.set_permissions(IPHONE.node_id, ["voice"]),
        operations.set_permissions(IPHONE.node_id, ["screen"]),
        return_exceptions=True,
    )
    assert isinstance(first, NodeRow)
    assert "at the same moment" in str(second)
    assert (await operations.node(IPHONE.node_id)).permissions == ["voice"]
    assert len(bridge.stage.events("permissions-narrowed")) == 1


async def test_keys_do_not_change_without_a_trace(bridge: House, operations: BridgeOperations) -> None:
    bridge.trail.refuses = FULL
    for change in (operations.certs.renew, lambda: operations.certs.rotate(False), operations.certs.reload):
        with pytest.raises(RefusedError, match="stays in force"):
            await change()
    assert (await operations.certs.show()).next_spki is None
    assert bridge.certificates.identity.pin == bridge.identity.pin
    bridge.trail.refuses = None
    await operations.certs.rotate(False)
    await operations.certs.rotate(True)
    assert [event["what"] for event in bridge.trail.named("key-change")] == ["next key prepared", "next key in force"]


async def test_status_says_when_nothing_can_be_written(bridge: House, operations: BridgeOperations) -> None:
    bridge.trail.refuses = FULL
    status = await operations.status()
    assert status.audit is not None
    assert "df -h" in str(status.audit.problem)


async def test_a_policy_without_a_trace_does_not_come_into_force(bridge: House, operations: BridgeOperations) -> None:
    """Red when the desk puts it into force first."""
    (bridge.home / "policy.toml").write_text("[screen.navigate]\nallow_http = true\n")
    bridge.trail.refuses = FULL
    with pytest.raises(RefusedError, match="The policy was not changed, because the audit log") as refused:
        await operations.policy.reload()
    assert refused.value.fix == "Make room: df -h /home"
    assert plain_http(bridge) is False
    bridge.trail.refuses = None
    await operations.policy.reload()
    assert plain_http(bridge) is True
    digest = hashlib.sha256((bridge.home / "policy.toml").read_bytes()).hexdigest()
    told = {"file": str(bridge.home / "policy.toml"), "rules": 0, "sha256": digest}
    assert bridge.trail.named("policy-in-force") == [told], (
        "which rules they are is told by the file that has this hash"
    )


def plain_http(bridge: House) -> bool:
    """Whether the policy in force lets nodes open pages without TLS."""
    return bridge.hub.policy.navigation.allow_http
