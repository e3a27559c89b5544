"""Questions about the policy, as a person at the machine asks them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from acl.permissions import Permission
from bridge.control.requests import ExplainBody
from bridge.operations import BridgeOperations
from bridge.policy_file import POLICY_NAME
from tests.bridge.house import House
from tests.bridge.lan.phones import ANDROID, IPHONE


@pytest.mark.parametrize(
    ("method", "command", "decision", "rule"),
    [
        ("health", None, "allow", "node-health"),
        ("node.invoke", "screen.show", "allow", "command-screen"),
        ("screen.show", None, "allow", "command-screen"),
        ("node.invoke", "system.run", "deny", "command-system"),
        ("node.event", "voice.transcript", "allow", "event-agent-turn"),
        ("node.event", "exec.started", "deny", "event-exec"),
        ("chat.send", None, "allow", "operator-write"),
        ("config.set", None, "deny", "default-deny"),
    ],
)
async def test_explaining(bridge: House, method: str, command: str | None, decision: str, rule: str) -> None:
    await bridge.pair(IPHONE)
    explained = (
        await bridge.operations.explain(ExplainBody(node=IPHONE.node_id[:6], method=method, command=command))
    ).to_json()
    assert (explained["decision"], explained["rule"]) == (decision, rule)
    assert explained["reason"]


async def test_a_revoked_node_may_do_nothing(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE, revoked_at=datetime.now(UTC))
    explained = await operations.explain(ExplainBody(node=IPHONE.node_id, method="health"))
    assert (explained.decision, explained.rule) == ("deny", "revoked")


async def test_what_a_node_may_have_another_one_do_is_decided_about_that_one_as_well(bridge: House) -> None:
    """Red when the caller alone is asked about: the call would end at the other node all the same."""
    await bridge.pair(IPHONE, frozenset({Permission.NODES}))
    await bridge.pair(ANDROID, frozenset({Permission.DEVICE}))
    policy = bridge.home / POLICY_NAME
    policy.write_text(f'[nodes]\ntargets = ["{ANDROID.node_id}"]\n')
    policy.chmod(0o600)
    asked = {"node": IPHONE.node_id, "method": "node.invoke", "target": ANDROID.node_id}
    device = ExplainBody(**asked, command="device.info")
    assert (await bridge.operations.explain(device)).rule == "node-invoke"
    await bridge.policy.reload()
    assert (await bridge.operations.explain(device)).decision == "allow"
    told = await bridge.operations.explain(ExplainBody(**asked, command="screen.show"))
    assert (told.decision, told.rule) == ("deny", "command-screen")
    assert told.reason == f"of the node that would do it: needs `{Permission.SCREEN}`"
    assert told.fix == f"clawdis-bridge nodes permissions {ANDROID.node_id[:12]} screen,device"
    await bridge.hub.reception.revoke(ANDROID.node_id)
    assert (await bridge.operations.explain(device)).rule == "revoked"
