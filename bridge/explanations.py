"""Pure: `acl explain`: the decision about a call, as a person would ask for it."""

from __future__ import annotations

from acl.engine import decide
from acl.model import Allow, Call, Deny, Direction, Policy, Reason, Subject
from acl.permissions import COMMANDS
from bridge.control.documents import Explanation

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
        as_operator = decide(policy, subject, Call(Direction.FROM_OPERATOR, method))
        if isinstance(as_operator, Allow):
            outcome, who = as_operator, "the phone's operator socket may call it"
    if isinstance(outcome, Allow):
        return Explanation(decision="allow", rule=outcome.rule, reason=who)
    return Explanation(decision="deny", rule=outcome.rule, reason=_WORDS[outcome.reason])


def _call(subject: Subject, method: str, command: str | None) -> tuple[Call, str]:
    if command is not None and method == "node.event":
        return Call(Direction.NODE_EVENT, command), "the node may send this event"
    if command is not None or method in COMMANDS:
        return Call(Direction.TO_NODE, command or method), "the agent may have the node do this"
    if method == "node.invoke":
        return Call(Direction.FROM_NODE, method, target=subject.node_id, command="screen.show"), "the node may call it"
    return Call(Direction.FROM_NODE, method), "the node may call it"
