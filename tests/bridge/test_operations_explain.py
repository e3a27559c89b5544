"""Questions about the policy, as a person at the machine asks them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.control.requests import ExplainBody
from bridge.operations import BridgeOperations
from tests.bridge.house import House
from tests.bridge.lan.phones import IPHONE


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
