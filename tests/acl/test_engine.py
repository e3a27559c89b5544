"""The decision: which rule decides, which permission and scope it needs, and which look-alikes it never meets."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.engine import DEFAULT_DENY, allowed_names, decide, needed
from acl.model import Allow, Call, Deny, Direction, Policy, Reason, Subject
from acl.permissions import Permission, Permissions
from acl.rules import RULES, Rule
from tests.acl.reference import LISTED, allowed

EVERY = frozenset(Permission)
BOTH = frozenset({"operator.read", "operator.write"})
MASTER = Subject("me", EVERY, frozenset({*BOTH, "operator.admin"}))
"""May do everything that the table lists."""
SUBSETS: list[Permissions] = [
    frozenset(chosen) for size in range(len(EVERY) + 1) for chosen in itertools.combinations(Permission, size)
]
SCOPES = [
    frozenset[str](),
    frozenset({"operator.read"}),
    frozenset({"operator.write"}),
    BOTH,
    frozenset({"operator.admin"}),
]


def plain(direction: Direction, name: str) -> Call:
    """Return a call that no narrowing stops."""
    return Call(direction, name, target="me", command="screen.show", text="hello")


@pytest.mark.parametrize("direction", Direction)
def test_every_name_with_every_set_of_permissions_and_scopes(direction: Direction) -> None:
    names = [name for way, name in LISTED if way is direction]
    scope_sets = SCOPES if direction.endswith("-operator") else SCOPES[:1]
    policy = Policy()
    for permissions, scopes in itertools.product(SUBSETS, scope_sets):
        subject = Subject("me", permissions, scopes)
        for name in names:
            call = plain(direction, name)
            decision = decide(policy, subject, call)
            assert isinstance(decision, Allow) == allowed(policy, subject, call), (name, permissions, scopes)


@pytest.mark.parametrize("direction, name", LISTED, ids=lambda part: str(part))
def test_a_name_is_decided_by_the_one_rule_that_lists_it(direction: Direction, name: str) -> None:
    (rule,) = [rule for rule in RULES if rule.direction is direction and name in rule.names]
    call = plain(direction, name)
    decision = decide(Policy(), MASTER, call)
    assert decision == Allow(rule.id, call)
    assert isinstance(decision, Allow)
    assert decision.call is call
    if rule.any_of:
        nobody = Subject("me", EVERY - rule.any_of, MASTER.scopes)
        scoped = direction is Direction.FROM_OPERATOR
        reason = Reason.MISSING_SCOPE if scoped else Reason.NOT_PERMITTED
        assert decide(Policy(), nobody, call) == Deny(rule.id, reason, rule.scope if scoped else None)
    if rule.scope is not None:
        unscoped = Subject("me", EVERY, MASTER.scopes - {rule.scope})
        assert decide(Policy(), unscoped, call) == Deny(rule.id, Reason.MISSING_SCOPE, rule.scope)


@pytest.mark.parametrize("direction, name", LISTED, ids=lambda part: str(part))
def test_a_name_means_nothing_in_another_direction(direction: Direction, name: str) -> None:
    for way in Direction:
        listed = (way, name) in LISTED
        assert isinstance(decide(Policy(), MASTER, plain(way, name)), Allow) is listed
    assert (direction, name) in LISTED


DOUBLES: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "title": str.title,
    "capital first": lambda name: name[0].upper() + name[1:],
    "blank after": lambda name: name + " ",
    "blank before": lambda name: " " + name,
    "newline": lambda name: name + "\n",
    "nul after": lambda name: name + "\x00",
    "nul and more": lambda name: name + "\x00x",
    "dot after": lambda name: name + ".",
    "dot before": lambda name: "." + name,
    "two dots": lambda name: name.replace(".", "..") + "..",
    "family": lambda name: name + ".*",
    "star": lambda name: name[:-1] + "*",
    "one dot leader": lambda name: name.replace(".", "\u2024") + "\u2024",
    "full stop": lambda name: name.replace(".", "\uff0e") + "\u200b",
    "slash": lambda name: name.replace(".", "/") + "/",
    "zero width": lambda name: name[:2] + "\u200d" + name[2:],
    "word joiner": lambda name: name + "\u2060",
    "percent": lambda name: "%" + f"{ord(name[0]):02x}" + name[1:],
    "percent dot": lambda name: name.replace(".", "%2e") + "%00",
    "escape": lambda name: f"\\u{ord(name[0]):04x}" + name[1:],
    "full width": lambda name: chr(ord(name[0]) + 0xFEE0) + name[1:],
    "mark": lambda name: "\ufeff" + name,
    "soft hyphen": lambda name: name[:1] + "\u00ad" + name[1:],
    "shorter": lambda name: name[:-1],
    "longer": lambda name: name + "s",
    "query": lambda name: name + "?x",
    "quoted": lambda name: f'"{name}"',
    "twice": lambda name: f"{name},{name}",
    "long s": lambda name: "\u017f" + name[1:],
    "kelvin": lambda name: name.replace("k", "\u212a") + "\u212a",
    "ligature": lambda name: name.replace("fi", "\ufb01") + "\ufb01",
    "cyrillic": lambda name: name.replace("e", "\u0435").replace("a", "\u0430") + "\u0435",
    "accent": lambda name: name + "\u0301",
    "right to left": lambda name: "\u202e" + name[::-1],
    "empty": lambda name: "",
}


@pytest.mark.parametrize("change", DOUBLES.values(), ids=DOUBLES.keys())
def test_no_look_alike_of_a_listed_name_is_listed(change: Callable[[str], str]) -> None:
    for direction, name in LISTED:
        double = change(name)
        if (direction, double) not in LISTED:
            decision = decide(Policy(), MASTER, plain(direction, double))
            assert isinstance(decision, Deny), double
            assert decision.rule == DEFAULT_DENY


UNLISTED_METHODS = """config.set config.patch config.apply exec.approval.resolve exec.approvals.set device.pair.approve
    device.pair.list device.token.rotate node.pair.approve node.pair.request node.rename node.describe cron.add cron.run
    secrets.resolve update.run wizard.start channels.logout skills.install agents.create agents.files.set
    browser.request sessions.delete sessions.patch send poll wake set-heartbeats system-event connect tools.invoke
    terminal.open shutdown node.invoke.request node.invoke.cancel chat.inject""".split()  # noqa: SIM905 - one word a line would hide the list


@pytest.mark.parametrize("name", UNLISTED_METHODS)
@pytest.mark.parametrize("direction", [Direction.FROM_NODE, Direction.NODE_EVENT, Direction.TO_NODE])
def test_what_the_table_does_not_list_is_granted_by_nothing(direction: Direction, name: str) -> None:
    assert decide(Policy(), MASTER, plain(direction, name)) == Deny(DEFAULT_DENY, Reason.UNLISTED)


@pytest.mark.parametrize("name", UNLISTED_METHODS)
def test_an_operator_is_told_which_scope_an_unlisted_method_would_need(name: str) -> None:
    expected = Deny(DEFAULT_DENY, Reason.MISSING_SCOPE, "operator.admin")
    assert decide(Policy(), MASTER, plain(Direction.FROM_OPERATOR, name)) == expected


@pytest.mark.parametrize(
    "name, scope",
    [
        ("exec.approval.list", "operator.approvals"),
        ("exec.approval.get", "operator.approvals"),
        ("plugin.approval.list", "operator.approvals"),
        ("openclaw.approval.list", "operator.approvals"),
        ("question.list", "operator.questions"),
        ("question.get", "operator.questions"),
        ("question.resolve", "operator.questions"),
        ("talk.mode", "operator.talk"),
        ("talk.speak", "operator.talk"),
    ],
)
def test_methods_with_a_scope_of_their_own_name_it_and_stay_closed(name: str, scope: str) -> None:
    subject = Subject("me", EVERY, frozenset({*MASTER.scopes, scope}))
    expected = Deny(DEFAULT_DENY, Reason.MISSING_SCOPE, scope)
    assert decide(Policy(), subject, plain(Direction.FROM_OPERATOR, name)) == expected


def test_scopes_do_not_replace_a_permission_nor_open_another_role() -> None:
    subject = Subject("me", frozenset(), MASTER.scopes)
    for direction, name in LISTED:
        if LISTED[direction, name][0] != "everyone":
            assert isinstance(decide(Policy(), subject, plain(direction, name)), Deny)


permission_sets = st.frozensets(st.sampled_from(Permission))
scope_sets = st.frozensets(st.sampled_from(["operator.read", "operator.write", "operator.admin"]))


@given(permission_sets, permission_sets, scope_sets, st.sampled_from(sorted(LISTED)))
def test_more_permissions_never_take_a_call_away(
    some: Permissions, more: Permissions, scopes: frozenset[str], key: tuple[Direction, str]
) -> None:
    call = plain(*key)
    if isinstance(decide(Policy(), Subject("me", some, scopes), call), Allow):
        assert isinstance(decide(Policy(), Subject("me", some | more, scopes), call), Allow)


@given(st.sampled_from(Direction), permission_sets, scope_sets)
def test_what_is_advertised_is_what_would_be_allowed(
    direction: Direction, permissions: Permissions, scopes: frozenset[str]
) -> None:
    subject = Subject("me", permissions, scopes)
    names = allowed_names(Policy(), subject, direction)
    possible = {name for _, name in LISTED}
    assert names == sorted(
        name for name in possible if isinstance(decide(Policy(), subject, plain(direction, name)), Allow)
    )


@given(st.sampled_from(Direction), st.text(), st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
def test_it_is_total(
    direction: Direction, name: str, target: str | None, session: str | None, text: str | None
) -> None:
    call = Call(direction, name, target, target, session, text)
    assert isinstance(decide(Policy(), MASTER, call), Allow | Deny)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_what_a_call_needs_is_what_its_rule_says(rule: Rule) -> None:
    for name in rule.names:
        assert needed(rule.direction, name) == rule.any_of


def test_what_no_rule_knows_needs_nothing() -> None:
    assert needed(Direction.FROM_NODE, "no.such") == frozenset()
    assert needed(Direction.EVENT_TO_NODE, "health") == frozenset()
