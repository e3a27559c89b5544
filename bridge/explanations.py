"""Pure: `acl explain`: the decision about a call, as a person would ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from acl import navigation
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
    Reason.NAVIGATION: "its screen may not be sent there",
    Reason.OWNER: "a rule of policy.toml denies it",
}
_RELOAD = "clawdis-bridge policy reload"
_WHERE = {
    Reason.TARGET: "nodes.targets or nodes.commands",
    Reason.SESSION: "agent.sessions",
    Reason.COMMAND_TEXT: "agent.commands",
}
"""The keys of policy.toml that narrow a call."""


@dataclass(frozen=True, slots=True)
class About:
    """What else is said of the call.

    Attributes:
        target: of `node.invoke`: the node that the asking one would invoke the command on; None: the agent invokes it
            on the asking one.
        session: the session it is about.
        text: the words of an agent turn.
        url: where a screen would be sent.
    """

    target: str | None = None
    session: str | None = None
    text: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)


def explain_call(
    policy: Policy, subject: Subject, method: str, command: str | None, about: About | None = None
) -> Explanation:
    """Decides a call and says which rule did.

    `node.invoke COMMAND`, or a command alone, asks whether the agent may have the node do it, and with a target whether
    the node may have that one do it; `node.event EVENT` asks about an event of the node; anything else about a method
    of the node, or of its phone's operator socket.
    """
    about = about or About()
    call, who = _call(policy, subject, method, command, about)
    outcome = decide(policy, subject, call)
    if isinstance(outcome, Deny) and outcome.reason is Reason.UNLISTED and call.direction is Direction.FROM_NODE:
        as_operator = replace(call, direction=Direction.FROM_OPERATOR)
        found = decide(policy, subject, as_operator)
        if found.rule != DEFAULT_DENY:
            call, outcome, who = as_operator, found, "the phone's operator socket may call it"
    if isinstance(outcome, Allow):
        lent = policy.owner_rule(call.direction, call.name, subject.node_id) is not None
        return Explanation(
            decision="allow", rule=outcome.rule, reason=f"{who}: a rule of policy.toml says so" if lent else who
        )
    lacking = _lacking(subject, call, outcome)
    if not lacking:
        fix = _policy_fix(outcome)
        reason = _words(policy, outcome, about)
        return Explanation(decision="deny", rule=outcome.rule, reason=reason, fix=fix)
    reason = "needs " + " or ".join(f"`{permission}`" for permission in lacking)
    wanted = ",".join(each for each in Permission if each in subject.permissions or each is lacking[0])
    fix = f"clawdis-bridge nodes permissions {subject.node_id[:SHORT_ID]} {wanted}"
    return Explanation(decision="deny", rule=outcome.rule, reason=reason, fix=fix)


def refusal_there(
    policy: Policy, target: Subject, method: str, command: str | None, url: str | None
) -> Explanation | None:
    """Says why a node would not be asked what another one may invoke on it; None: it would be.

    Args:
        policy: the one in force.
        target: that node.
        method: as for `explain_call`.
        command: likewise.
        url: where its screen would be sent.
    """
    name = command or method
    there = explain_call(policy, target, name, None, About(url=url)) if name in COMMANDS else None
    if there is None or there.decision == "allow":
        return None
    return there.model_copy(update={"reason": f"of the node that would do it: {there.reason}"})


def _words(policy: Policy, outcome: Deny, about: About) -> str:
    """Why not, in words."""
    fault = navigation.check(about.url, policy.navigation) if about.url is not None else None
    if outcome.reason is Reason.NAVIGATION and isinstance(fault, navigation.Fault):
        return f"{_WORDS[outcome.reason]}: {navigation.FAULT_WORDS[fault]}"
    return _WORDS[outcome.reason]


def _policy_fix(outcome: Deny) -> str | None:
    """What to change in policy.toml; None: nothing there would."""
    if outcome.reason is Reason.OWNER:
        return f"Take the rule {outcome.rule} out of policy.toml, then: {_RELOAD}"
    where = _WHERE.get(outcome.reason)
    return None if where is None else f"Change {where} in policy.toml, then: {_RELOAD}"


def _lacking(subject: Subject, call: Call, outcome: Deny) -> list[Permission]:
    """The permissions of which one would change the outcome, in the table's order."""
    if outcome.reason not in (Reason.NOT_PERMITTED, Reason.MISSING_SCOPE):
        return []
    wanted = needed(call.direction, call.name)
    if wanted & subject.permissions:  # the permission is there, and the operator socket has its scopes by `chat`
        wanted = frozenset({Permission.CHAT}) - subject.permissions
    return [each for each in Permission if each in wanted]


def _some_command(policy: Policy) -> str | None:
    """A command that nodes may have others do; None: there is none."""
    return next((name for name in COMMANDS if name in policy.invoke_commands or policy.is_of_a_family(name)), None)


def _call(policy: Policy, subject: Subject, method: str, command: str | None, about: About) -> tuple[Call, str]:
    if command is not None and method == "node.event":
        event = Call(Direction.NODE_EVENT, command, session=about.session, text=about.text)
        return event, "the node may send this event"
    if method == "node.invoke" and command is None:
        target = subject.node_id if about.target is None else about.target
        return Call(Direction.FROM_NODE, method, target=target, command=_some_command(policy)), "the node may call it"
    name = command or method
    url = navigation.destination(name, about.url)
    if about.target is not None:
        invoke = Call(Direction.FROM_NODE, "node.invoke", target=about.target, command=name, url=url)
        return invoke, "the node may have that one do this"
    if command is not None or method in COMMANDS:
        return Call(Direction.TO_NODE, name, url=url), "the agent may have the node do this"
    return Call(Direction.FROM_NODE, method, session=about.session, text=about.text), "the node may call it"
