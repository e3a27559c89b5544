"""`acl explain`: the words are those of the decision that the session would meet."""

from __future__ import annotations

import pytest

from acl.engine import decide
from acl.model import Allow, Call, Direction, OwnerRule, Policy, Subject
from acl.permissions import COMMANDS, PROFILES, Permission, Permissions
from bridge.explanations import About, explain_call

NODE = "aa" * 32
READ_WRITE = frozenset({"operator.read", "operator.write"})


def subject(permissions: Permissions, scopes: frozenset[str] = frozenset()) -> Subject:
    return Subject(NODE, permissions, scopes)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_is_about_what_the_agent_may_have_the_node_do(command: str) -> None:
    may = subject(frozenset({COMMANDS[command]}))
    may_not = subject(frozenset(Permission) - {COMMANDS[command]})
    for method, given in ((command, None), ("node.invoke", command)):
        allowed = explain_call(Policy(), may, method, given)
        assert (allowed.decision, allowed.reason) == ("allow", "the agent may have the node do this")
        denied = explain_call(Policy(), may_not, method, given)
        assert (denied.decision, denied.reason) == ("deny", f"needs `{COMMANDS[command]}`")
        assert denied.rule
        assert denied.fix is not None
        assert set(denied.fix.rpartition(" ")[2].split(",")) == set(Permission)


@pytest.mark.parametrize("method", ["no.such", "config.set", "node.pair.approve", "exec.run", "Node.event", ""])
def test_what_no_rule_lists_is_denied(method: str) -> None:
    told = explain_call(Policy(), subject(frozenset(Permission), READ_WRITE), method, None)
    assert (told.decision, told.reason) == ("deny", "no rule lists it")


def test_an_event_of_the_node() -> None:
    voice = subject(PROFILES["voice"])
    assert explain_call(Policy(), voice, "node.event", "voice.transcript").decision == "allow"
    told = explain_call(Policy(), subject(frozenset()), "node.event", "voice.transcript")
    assert (told.decision, told.reason) == ("deny", "needs `voice`")
    assert told.fix == f"clawdis-bridge nodes permissions {NODE[:12]} voice"


def test_a_method_of_the_phones_operator_socket_is_said_to_be_one() -> None:
    chatting = subject(PROFILES["phone"], READ_WRITE)
    told = explain_call(Policy(), chatting, "chat.history", None)
    assert (told.decision, told.reason) == ("allow", "the phone's operator socket may call it")
    assert explain_call(Policy(), subject(PROFILES["voice"]), "chat.history", None).decision == "deny"


@pytest.mark.parametrize("method", ["chat.send", "chat.history", "sessions.list"])
def test_a_method_of_chat_is_listed_also_for_a_node_without_chat(method: str) -> None:
    told = explain_call(Policy(), subject(PROFILES["voice"]), method, None)
    assert (told.decision, told.reason) == ("deny", "needs `chat`")
    assert told.rule.startswith("operator-")
    assert told.fix == f"clawdis-bridge nodes permissions {NODE[:12]} voice,chat"


def test_a_scope_that_chat_would_bring_is_said_so() -> None:
    told = explain_call(Policy(), subject(frozenset({Permission.NOTIFY})), "gateway.identity.get", None)
    assert (told.decision, told.rule, told.reason) == ("deny", "operator-identity", "needs `chat`")


def test_either_of_two_permissions_is_said() -> None:
    told = explain_call(Policy(), subject(frozenset({Permission.SCREEN})), "agent", None)
    assert told.reason == "needs `voice` or `chat`"
    assert told.fix == f"clawdis-bridge nodes permissions {NODE[:12]} screen,voice"


@pytest.mark.parametrize("method", ["node.event", "node.invoke.result", "health", "node.list", "agent"])
@pytest.mark.parametrize("permissions", [frozenset(), PROFILES["voice"], PROFILES["full"]])
def test_a_method_of_the_node_is_explained_as_it_is_decided(method: str, permissions: Permissions) -> None:
    node = subject(permissions)
    outcome = decide(Policy(), node, Call(Direction.FROM_NODE, method))
    told = explain_call(Policy(), node, method, None)
    if isinstance(outcome, Allow):
        assert (told.decision, told.rule, told.reason) == ("allow", outcome.rule, "the node may call it")
    else:
        assert (told.decision, told.rule) == ("deny", outcome.rule)


def test_node_invoke_alone_asks_about_the_nodes_own_invokes() -> None:
    """Red when it is asked about one command only, which the owner may not have listed."""
    nodes = subject(PROFILES["full"])
    assert explain_call(Policy(), subject(PROFILES["voice+screen"]), "node.invoke", None).reason == "needs `nodes`"
    for commands in (Policy().invoke_commands, ("device.*",), ("camera.snap",)):
        policy = Policy(invoke_commands=commands)
        assert explain_call(policy, nodes, "node.invoke", None).reason == "the node may call it"
    told = explain_call(Policy(invoke_commands=()), nodes, "node.invoke", None)
    assert (told.reason, told.fix) == (
        "it may not invoke that there",
        "Change nodes.targets or nodes.commands in policy.toml, then: clawdis-bridge policy reload",
    )


def test_node_invoke_alone_with_a_target_asks_whether_that_one_may_be_addressed() -> None:
    """Red when the method's own name is taken for the command."""
    nodes, other = subject(PROFILES["full"]), "cd" * 32
    assert explain_call(Policy(), nodes, "node.invoke", None, About(other)).decision == "deny"
    open_to = Policy(invoke_targets=frozenset({other}))
    assert explain_call(open_to, nodes, "node.invoke", None, About(other)).decision == "allow"


# The owner's policy.


OTHER = "cd" * 32


def ruled(name: str, *, allow: bool, way: Direction = Direction.TO_NODE) -> Policy:
    return Policy(rules=(OwnerRule("mine", way, name, subject(frozenset()).node_id, allow),))


def test_a_rule_of_the_owners_is_named_and_what_would_change_it() -> None:
    lent = explain_call(ruled("camera.snap", allow=True), subject(frozenset()), "node.invoke", "camera.snap")
    assert (lent.decision, lent.rule, lent.fix) == ("allow", "mine", None)
    assert lent.reason == "the agent may have the node do this: a rule of policy.toml says so"
    denied = explain_call(ruled("screen.eval", allow=False), subject(PROFILES["full"]), "screen.eval", None)
    assert (denied.decision, denied.rule) == ("deny", "mine")
    assert denied.fix == "Take the rule mine out of policy.toml, then: clawdis-bridge policy reload"


def test_targets_are_followed() -> None:
    master, other = subject(PROFILES["full"]), About(target=OTHER)
    told = explain_call(Policy(), master, "node.invoke", "screen.show", other)
    assert (told.decision, told.rule) == ("deny", "node-invoke")
    assert told.fix == "Change nodes.targets or nodes.commands in policy.toml, then: clawdis-bridge policy reload"
    opened = Policy(invoke_targets=frozenset({OTHER}))
    assert explain_call(opened, master, "node.invoke", "screen.show", other).decision == "allow"
    assert explain_call(opened, master, "screen.show", None, other).rule == "node-invoke"
    assert explain_call(opened, master, "node.invoke", "camera.snap", other).decision == "deny"


@pytest.mark.parametrize("method, command", [("agent", None), ("node.event", "agent.request")])
def test_sessions_and_orders_are_followed(method: str, command: str | None) -> None:
    voice = subject(PROFILES["voice"])
    assert explain_call(Policy(), voice, method, command).decision == "allow"
    elsewhere = explain_call(Policy(), voice, method, command, About(session="kitchen"))
    assert elsewhere.fix == "Change agent.sessions in policy.toml, then: clawdis-bridge policy reload"
    order = explain_call(Policy(), voice, method, command, About(text="/new"))
    assert order.fix == "Change agent.commands in policy.toml, then: clawdis-bridge policy reload"


def test_the_session_of_an_operators_call_is_followed() -> None:
    chatting = subject(PROFILES["phone"], READ_WRITE)
    assert explain_call(Policy(), chatting, "chat.send", None, About(session="main")).decision == "allow"
    told = explain_call(Policy(), chatting, "chat.send", None, About(session="kitchen"))
    assert (told.decision, told.rule, told.reason) == ("deny", "operator-write", "it may not address that session")


def test_where_a_screen_would_be_sent_is_followed() -> None:
    screen = subject(PROFILES["voice+screen"])
    there = About(url="https://example.com/")
    assert explain_call(Policy(), screen, "screen.navigate", None, there).decision == "allow"
    told = explain_call(Policy(), screen, "node.invoke", "screen.navigate", About(url="https://127.0.0.1/"))
    assert (told.decision, told.rule) == ("deny", "command-screen")
    assert told.reason.startswith("its screen may not be sent there: loopback, private")
    assert explain_call(Policy(), screen, "screen.navigate", None, About(url="file:///etc/passwd")).decision == "deny"
    to_other = About(target="bb" * 32, url="https://127.0.0.1/")
    policy, caller = Policy(invoke_targets=frozenset({"bb" * 32})), subject(frozenset({Permission.NODES}))
    told = explain_call(policy, caller, "screen.navigate", None, to_other)
    assert (told.decision, told.rule) == ("deny", "node-invoke")


@pytest.mark.parametrize("target", [None, NODE])
@pytest.mark.parametrize(
    ("command", "url", "decision"),
    [
        ("canvas.navigate", "/", "allow"),
        ("canvas.present", "", "allow"),
        ("canvas.navigate", "https://127.1/", "deny"),
        ("screen.navigate", "/", "deny"),
        ("device.info", "https://127.1/", "allow"),
    ],
)
def test_an_address_is_decided_about_as_it_is_for_a_call(
    target: str | None, command: str, url: str, decision: str
) -> None:
    """Red when any address is asked about: an older app's own page needs no leave, and other commands go nowhere."""
    policy = Policy(invoke_commands=("screen.*", "canvas.*", "device.*"))
    told = explain_call(policy, subject(PROFILES["full"]), "node.invoke", command, About(target, url=url))
    assert told.decision == decision
