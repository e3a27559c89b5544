"""Pure: the decision. Total: every call of every subject gets an `Allow` or a `Deny`, and nothing is raised.

Names are compared byte for byte. They are never folded, trimmed or normalised: what a person granted is what is written
in the table, not what looks like it.
"""

from __future__ import annotations

import unicodedata

from acl import navigation
from acl.model import Allow, Call, Decision, Deny, Direction, Policy, Reason, Subject
from acl.permissions import Permissions
from acl.rules import RULES, SCOPES_ELSEWHERE, Rule

_BY_NAME: dict[tuple[Direction, str], Rule] = {}
for _entry in RULES:
    for _name in _entry.names:
        _BY_NAME.setdefault((_entry.direction, _name), _entry)  # the first rule that names it wins

DEFAULT_DENY = "default-deny"
# What nobody sees before a text: controls, formats, blanks and separators, combining marks, and the letters (Hangul
# fillers, the empty Braille cell) that are drawn as nothing.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me"})
_UNSEEN_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_AGENT_TURNS = frozenset(
    {
        (Direction.FROM_NODE, "agent"),
        (Direction.NODE_EVENT, "voice.transcript"),
        (Direction.NODE_EVENT, "agent.request"),
        (Direction.NODE_EVENT, "notifications.changed"),  # wakes the agent in the main session
    }
)
# What reads or writes one session; without a key, the main one.
_OF_A_SESSION = frozenset(
    {
        (Direction.FROM_OPERATOR, "chat.history"),
        (Direction.FROM_OPERATOR, "chat.startup"),
        (Direction.FROM_OPERATOR, "chat.send"),
        (Direction.FROM_OPERATOR, "chat.abort"),
        (Direction.FROM_OPERATOR, "sessions.messages.subscribe"),
        (Direction.FROM_OPERATOR, "sessions.messages.unsubscribe"),
        (Direction.FROM_OPERATOR, "sessions.branches.list"),
        (Direction.FROM_OPERATOR, "progressCard.get"),
        (Direction.FROM_OPERATOR, "artifacts.download"),
        (Direction.FROM_OPERATOR, "tools.effective"),
    }
)
# What is about a session only when it names one; an answer that lists sessions is asked about row by row.
_OF_A_SESSION_IF_NAMED = frozenset(
    {
        (Direction.NODE_EVENT, "chat.subscribe"),
        (Direction.NODE_EVENT, "chat.unsubscribe"),
        (Direction.FROM_OPERATOR, "chat.metadata"),
        (Direction.FROM_OPERATOR, "commands.list"),
        (Direction.FROM_OPERATOR, "agent.identity.get"),
        (Direction.FROM_OPERATOR, "sessions.list"),
        (Direction.FROM_OPERATOR, "sessions.preview"),
        (Direction.FROM_OPERATOR, "sessions.resolve"),
        (Direction.FROM_OPERATOR, "tasks.list"),
        (Direction.FROM_OPERATOR, "skills.status"),
        (Direction.EVENT_TO_NODE, "chat"),
        (Direction.EVENT_TO_NODE, "agent"),
        (Direction.EVENT_TO_OPERATOR, "chat"),
        (Direction.EVENT_TO_OPERATOR, "agent"),
    }
)


def decide(policy: Policy, subject: Subject, call: Call) -> Decision:
    """Decides one call.

    Args:
        policy: what the owner tuned.
        subject: who asks, or who is asked.
        call: what for.

    Returns:
        `Allow`, which is the only thing a call can be forwarded with, or `Deny` with the reason.
    """
    listed = _BY_NAME.get((call.direction, call.name))
    if listed is None:
        return _unlisted(call)
    rule_id, reason = _named(policy, subject, listed, call.name)
    if reason is not None:
        return Deny(rule_id, reason, _told_scope(listed, reason))
    reason = _narrowed(policy, subject, call)
    return Deny(listed.id, reason) if reason else Allow(rule_id, call)


def _named(policy: Policy, subject: Subject, listed: Rule, name: str) -> tuple[str, Reason | None]:
    """What a name alone decides: the deciding rule's id, and why not.

    A rule of the owner's stands before the table: it denies, or stands for the permission. It stands for nothing else.
    """
    owner = policy.owner_rule(listed.direction, name, subject.node_id)
    if owner is not None and not owner.allow:
        return owner.id, Reason.OWNER
    if owner is None and listed.any_of and not listed.any_of & subject.permissions:
        is_operators = listed.direction is Direction.FROM_OPERATOR
        return listed.id, Reason.MISSING_SCOPE if is_operators else Reason.NOT_PERMITTED
    if listed.scope is not None and listed.scope not in subject.scopes:
        return listed.id, Reason.MISSING_SCOPE
    return owner.id if owner is not None else listed.id, None


def _told_scope(listed: Rule, reason: Reason) -> str | None:
    """The scope that an app is told it lacks: the one form of a refusal that every app takes for final."""
    if listed.direction is Direction.FROM_OPERATOR:
        return listed.scope or "operator.admin"
    return listed.scope if reason is Reason.MISSING_SCOPE else None


def _unlisted(call: Call) -> Deny:
    if call.direction is Direction.FROM_OPERATOR:
        return Deny(DEFAULT_DENY, Reason.MISSING_SCOPE, SCOPES_ELSEWHERE.get(call.name, "operator.admin"))
    return Deny(DEFAULT_DENY, Reason.UNLISTED)


def _narrowed(policy: Policy, subject: Subject, call: Call) -> Reason | None:
    if call.direction is Direction.FROM_NODE and call.name == "node.invoke":
        return _invoke(policy, subject, call) or _elsewhere(policy, call)
    if (call.direction, call.name) in _AGENT_TURNS:
        return _agent_turn(policy, call)
    if (call.direction, call.name) in _OF_A_SESSION:
        return None if policy.may_address(call.session) else Reason.SESSION
    if (call.direction, call.name) in _OF_A_SESSION_IF_NAMED and call.session:
        return None if policy.may_address(call.session) else Reason.SESSION
    return _elsewhere(policy, call)


def _elsewhere(policy: Policy, call: Call) -> Reason | None:
    if call.url is not None and isinstance(navigation.check(call.url, policy.navigation), navigation.Fault):
        return Reason.NAVIGATION
    return None


def _invoke(policy: Policy, subject: Subject, call: Call) -> Reason | None:
    if call.target != subject.node_id and call.target not in policy.invoke_targets:
        return Reason.TARGET
    command = call.command
    if command is None:
        return Reason.TARGET
    named = command in policy.invoke_commands and not command.endswith(".*")
    return None if named or (command in _LISTED_COMMANDS and policy.is_of_a_family(command)) else Reason.TARGET


_LISTED_COMMANDS = frozenset(name for (direction, name) in _BY_NAME if direction is Direction.TO_NODE)


def _agent_turn(policy: Policy, call: Call) -> Reason | None:
    if not policy.may_address(call.session):
        return Reason.SESSION
    if not policy.agent_commands and reads_as_command(call.text or ""):
        return Reason.COMMAND_TEXT
    return None


def reads_as_command(text: str) -> bool:
    """Tells whether the gateway might take a text for an order (`/new`, `!ls`) instead of for words.

    What is invisible before the mark does not hide it, and neither does another width or form of it. Unlike names, text
    may be normalised here: that only ever refuses more.
    """
    for char in text:
        if char not in _UNSEEN_LETTERS and unicodedata.category(char) not in _UNSEEN_CATEGORIES:
            return unicodedata.normalize("NFKC", char).startswith(("/", "!"))
    return False


def needed(direction: Direction, name: str) -> Permissions:
    """Returns the permissions of which a call needs one; empty when it needs none, or no rule knows it."""
    rule = _BY_NAME.get((direction, name))
    return rule.any_of if rule is not None else frozenset()


def allowed_names(policy: Policy, subject: Subject, direction: Direction) -> list[str]:
    """Returns the methods or events of a direction that a subject could use, sorted: what hello-ok advertises.

    Narrowing by target, session or text is left out: it is about a call, not about a name.
    """
    return sorted(
        name
        for (way, name), listed in _BY_NAME.items()
        if way is direction and _named(policy, subject, listed, name)[1] is None
    )
