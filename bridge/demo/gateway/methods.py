"""Pure: who may call which method (gateway-protocol §8)."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.demo.gateway.refusals import Refusal, invalid, missing_scope

ADMIN, PAIRING, READ, WRITE = "operator.admin", "operator.pairing", "operator.read", "operator.write"

NODE_METHODS = frozenset(
    {
        "node.event", "node.invoke.result", "node.invoke.progress", "node.pending.pull", "node.pending.ack",
        "node.pending.drain", "node.pluginTools.update", "node.skills.update", "node.runnerInventory.update",
        "node.pluginSurface.refresh", "skills.bins",
    }
)  # fmt: skip

SCOPES = {
    "node.list": READ,
    "node.describe": READ,
    "node.invoke": WRITE,
    "node.pair.list": PAIRING,
    "node.pair.approve": PAIRING,
    "node.pair.reject": PAIRING,
    "node.pair.remove": PAIRING,
    "node.rename": PAIRING,
    "device.pair.list": PAIRING,
    "device.pair.approve": PAIRING,
    "device.pair.reject": PAIRING,
    "device.pair.remove": PAIRING,
    "agent": WRITE,
    "agent.wait": WRITE,
    "agents.list": READ,
    "chat.send": WRITE,
    "chat.history": READ,
    "chat.abort": WRITE,
    "sessions.list": READ,
    "voicewake.get": READ,
    "voicewake.set": WRITE,
    "voicewake.routing.get": READ,
    "config.get": READ,
    "gateway.identity.get": READ,
    "models.list": READ,
    "talk.config": READ,
    "users.prefs.get": READ,
    "exec.approval.list": "operator.approvals",
}
"""The operator's methods and what each needs; whatever is not listed needs `operator.admin`, and is then unknown."""

ALL_METHODS = ("health", *SCOPES, *sorted(NODE_METHODS))


def satisfies(granted: Sequence[str], scope: str) -> bool:
    """Tells whether a grant includes `scope`: admin includes all, write includes read."""
    return scope in granted or ADMIN in granted or (scope == READ and WRITE in granted)


def authorize(method: str, role: str, scopes: Sequence[str]) -> Refusal | None:
    """Returns why this caller may not call `method`, or None when it may."""
    if method == "health":
        return None
    if (role == "node") != (method in NODE_METHODS):
        return invalid(f"unauthorized role: {role}")
    if role == "node":
        return None
    needed = SCOPES.get(method, ADMIN)
    return None if satisfies(scopes, needed) else missing_scope(needed)
