"""Pure: `acl explain`: the decision about a call, as a person would ask for it."""

from __future__ import annotations

from acl.engine import DEFAULT_DENY, decide, needed
from acl.model import Allow, Call, Deny, Direction, Policy, Reason, Subject
from acl.permissions import COMMANDS, Permission
from bridge.control.documents import Explanation

SHORT_ID = 12  # characters of a node's id in a command, as everywhere on the command line

_WORDS = {
    Reason.UNLISTED: "no rule lists it",
    Reason.NOT_PERMITTED: "the node lacks the permission",
    Reason.MISSING_SCOPE: "its operator socket lacks the scope",
    Reason.TARGET: "it may not invoke that there",
    Reason.SESSION: "it may not address that session",
    Reason.COMMAND_TEXT: "the text would be read as a command",
}


def explain_call(policy: Policy, subject: Subject, method: str, command: str | None) -> Explanation:
    """Decides a call and says which rule did.

    `node.invoke COMMAND`, or a command alone, asks whether the agent may have the node do it; `node.event EVENT` asks
    about an event of the node; anything else about a method of the node, or of its phone's operator socket.
    """
    call, who = _call(subject, method, command)
    outcome = decide(policy, subject, call)
    if isinstance(outcome, Deny) and outcome.reason is Reason.UNLISTED and call.direction is Direction.FROM_NODE:
        as_operator = Call(Direction.FROM_OPERATOR, method)
        found = decide(policy, subject, as_operator)
        if found.rule != DEFAULT_DENY:
            call, outcome, who = as_operator, found, "the phone's operator socket may call it"
    if isinstance(outcome, Allow):
        return Explanation(decision="allow", rule=outcome.rule, reason=who)
    lacking = _lacking(subject, call, outcome)
    if not lacking:
        return Explanation(decision="deny", rule=outcome.rule, reason=_WORDS[outcome.reason])
    reason = "needs " + " or ".join(f"`{permission}`" for permission in lacking)
    wanted = ",".join(each for each in Permission if each in subject.permissions or each is lacking[0])
    fix = f"clawdis-bridge nodes permissions {subject.node_id[:SHORT_ID]} {wanted}"
    return Explanation(decision="deny", rule=outcome.rule, reason=reason, fix=fix)


def _lacking(subject: Subject, call: Call, outcome: Deny) -> list[Permission]:
    """The permissions of which one would change the outcome, in the table's order."""
    if outcome.reason not in (Reason.NOT_PERMITTED, Reason.MISSING_SCOPE):
        return []
    wanted = needed(call.direction, call.name)
    if wanted & subject.permissions:  # the permission is there, and the operator socket has its scopes by `chat`
        wanted = frozenset({Permission.CHAT}) - subject.permissions
    return [each for each in Permission if each in wanted]


def _call(subject: Subject, method: str, command: str | None) -> tuple[Call, str]:
    if command is not None and method == "node.event":
        return Call(Direction.NODE_EVENT, command), "the node may send this event"
    if command is not None or method in COMMANDS:
        return Call(Direction.TO_NODE, command or method), "the agent may have the node do this"
    if method == "node.invoke":
        return Call(Direction.FROM_NODE, method, target=subject.node_id, command="screen.show"), "the node may call it"
    return Call(Direction.FROM_NODE, method), "the node may call it"
