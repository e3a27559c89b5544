"""Pure: the built-in rules, one ordered table. The first rule that names a call decides; what none names is denied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from acl.model import Direction
from acl.permissions import COMMANDS, Permission, Permissions

_P = Permission


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table.

    Attributes:
        id: what `acl explain` and the logs call it.
        direction: which calls it is about.
        names: exact names.
        any_of: permissions of which one is needed; empty: every paired node.
        scope: the operator scope needed as well; None: none.
    """

    id: str
    direction: Direction
    names: frozenset[str]
    any_of: Permissions = frozenset()
    scope: str | None = None


def _rule(
    rule_id: str, direction: Direction, names: str, any_of: Iterable[Permission] = (), scope: str | None = None
) -> Rule:
    return Rule(rule_id, direction, frozenset(names.split()), frozenset(any_of), scope)


def _commands() -> list[Rule]:
    by_permission: dict[Permission, list[str]] = {}
    for name, permission in COMMANDS.items():
        by_permission.setdefault(permission, []).append(name)
    return [
        _rule(f"command-{permission}", Direction.TO_NODE, " ".join(names), [permission])
        for permission, names in by_permission.items()
    ]


_NODE = Direction.FROM_NODE
_EVENT = Direction.NODE_EVENT
_OPERATOR = Direction.FROM_OPERATOR
_DOWN = Direction.EVENT_TO_NODE
_DOWN_OPERATOR = Direction.EVENT_TO_OPERATOR

RULES: tuple[Rule, ...] = (
    _rule("node-health", _NODE, "health"),
    _rule("node-results", _NODE, "node.invoke.result node.invoke.progress"),
    _rule("node-pending", _NODE, "node.pending.pull node.pending.ack node.pending.drain"),
    _rule(
        "node-publishing", _NODE, "node.pluginTools.update node.skills.update node.runnerInventory.update skills.bins"
    ),
    _rule("node-surface-refresh", _NODE, "node.pluginSurface.refresh"),
    _rule("node-event", _NODE, "node.event"),
    _rule("node-list", _NODE, "node.list"),
    _rule("node-invoke", _NODE, "node.invoke", [_P.NODES]),
    _rule("node-agent", _NODE, "agent agent.wait", [_P.VOICE, _P.CHAT]),
    _rule("node-voicewake", _NODE, "voicewake.get", [_P.VOICE]),
    _rule("event-presence", _EVENT, "node.presence.alive node.presence.activity node.host.stats node.state"),
    _rule("event-agent-turn", _EVENT, "voice.transcript agent.request", [_P.VOICE]),
    _rule("event-chat", _EVENT, "chat.subscribe chat.unsubscribe", [_P.CHAT]),
    _rule("event-push", _EVENT, "push.apns.register", [_P.NOTIFY]),
    _rule("event-notification", _EVENT, "notifications.changed", [_P.NOTIFY]),
    _rule("event-exec", _EVENT, "exec.started exec.finished exec.denied", [_P.SYSTEM]),
    _rule("operator-health", _OPERATOR, "health"),
    _rule("operator-identity", _OPERATOR, "gateway.identity.get", [_P.NOTIFY], "operator.read"),
    _rule(
        "operator-read",
        _OPERATOR,
        """chat.history chat.metadata chat.startup config.get users.prefs.get agents.list agent.identity.get models.list
        commands.list talk.config sessions.list sessions.preview sessions.resolve sessions.subscribe
        sessions.messages.subscribe sessions.messages.unsubscribe sessions.branches.list sessions.groups.list tasks.list
        progressCard.get artifacts.download skills.status tools.effective voicewake.get""",
        [_P.CHAT],
        "operator.read",
    ),
    _rule("operator-write", _OPERATOR, "chat.send chat.abort agent.wait", [_P.CHAT], "operator.write"),
    *_commands(),
    _rule("down-invoke", _DOWN, "node.invoke.cancel node.invoke.input"),
    _rule("down-voice", _DOWN, "voicewake.changed voicewake.routing.changed", [_P.VOICE]),
    _rule("down-chat", _DOWN, "chat agent", [_P.CHAT]),
    _rule("down-operator-chat", _DOWN_OPERATOR, "chat agent", [_P.CHAT], "operator.read"),
    _rule(
        "down-operator-voice",
        _DOWN_OPERATOR,
        "voicewake.changed voicewake.routing.changed",
        [_P.VOICE],
        "operator.read",
    ),
)
"""The table, in order."""

SCOPES_ELSEWHERE: dict[str, str] = {
    "exec.approval.list": "operator.approvals",
    "exec.approval.get": "operator.approvals",
    "plugin.approval.list": "operator.approvals",
    "openclaw.approval.list": "operator.approvals",
    "question.list": "operator.questions",
    "question.get": "operator.questions",
    "question.resolve": "operator.questions",
    "talk.mode": "operator.talk",
    "talk.speak": "operator.talk",
}
"""Methods outside the table whose missing scope an app knows how to show; others would need `operator.admin`."""

APPS_TRY = frozenset(
    {name for rule in RULES if rule.direction is _OPERATOR for name in rule.names}
    | SCOPES_ELSEWHERE.keys()
    | frozenset(
        """sessions.create sessions.patch sessions.delete sessions.reset sessions.compact sessions.fork sessions.rewind
        sessions.observer.visibility sessions.branches.switch sessions.groups.put sessions.groups.rename
        sessions.groups.delete device.pair.setupCode tts.speak voicewake.set voicewake.routing.get
        desktop.observe""".split()  # noqa: SIM905 - one word a line would hide the list
    )
)
"""Methods that an ordinary app tries on its own (mobile-clients §5.2): being refused one is no sign of an attack."""


def listed_names(direction: Direction) -> frozenset[str]:
    """Returns every name that the table knows in a direction: what no rule of the owner's can add to."""
    return frozenset(name for rule in RULES if rule.direction is direction for name in rule.names)
