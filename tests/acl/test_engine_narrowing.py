"""What a permission still does not open: other nodes, other commands, other sessions, and orders to the gateway."""

import sys
import unicodedata
from dataclasses import replace

import pytest

from acl.engine import decide, reads_as_command
from acl.model import Allow, Call, Deny, Direction, Policy, Reason, Subject, canonical_session
from acl.permissions import Permission
from tests.acl.reference import is_order

ME = Subject("me", frozenset(Permission))
TURNS = [
    (Direction.FROM_NODE, "agent"),
    (Direction.NODE_EVENT, "voice.transcript"),
    (Direction.NODE_EVENT, "agent.request"),
    (Direction.NODE_EVENT, "notifications.changed"),
]


def invoke(target: str | None, command: str | None, policy: Policy | None = None) -> Reason | None:
    call = Call(Direction.FROM_NODE, "node.invoke", target=target, command=command)
    decision = decide(policy or Policy(), ME, call)
    if isinstance(decision, Deny):
        assert decision.rule == "node-invoke"
        return decision.reason
    return None


@pytest.mark.parametrize("target", ["me", "other"])
def test_a_screen_is_sent_nowhere_by_a_detour_over_another_node(target: str) -> None:
    """Red without `_elsewhere` beside `_invoke`: a node of the gateway that is not behind the bridge would be sent."""
    policy = Policy(invoke_targets=frozenset({"other"}))
    call = Call(Direction.FROM_NODE, "node.invoke", target=target, command="screen.navigate")
    assert isinstance(decide(policy, ME, replace(call, url="https://ok.example/")), Allow)
    denied = decide(policy, ME, replace(call, url="https://127.0.0.1/"))
    assert denied == Deny("node-invoke", Reason.NAVIGATION)


@pytest.mark.parametrize("target", [None, "", "other", "ME", "me ", "me\x00", "m", "mee", "*"])
def test_only_the_node_itself_may_be_addressed(target: str | None) -> None:
    assert invoke("me", "screen.show") is None
    assert invoke(target, "screen.show") is Reason.TARGET


def test_other_nodes_may_be_addressed_when_the_owner_names_them() -> None:
    policy = Policy(invoke_targets=frozenset({"other", "*"}))
    assert invoke("other", "screen.show", policy) is None
    assert invoke("me", "screen.show", policy) is None
    assert invoke("third", "screen.show", policy) is Reason.TARGET
    assert invoke(None, "screen.show", policy) is Reason.TARGET


@pytest.mark.parametrize(
    "command, passes",
    [
        ("screen.show", True), ("screen.eval", True), ("device.info", True), ("screen.record", True),
        ("device.health", True), ("device.apps", False),
        (None, False), ("", False), ("screen", False), ("screen.", False), ("screen.*", False), ("screen.delete",
        False),
        ("screen.show.x", False), ("Screen.show", False), ("screen.show ", False), ("screenx.show", False),
        ("system.run", False),
        ("camera.snap", False), ("canvas.eval", False), ("device.*", False), ("device.wipe", False),
    ],
)  # fmt: skip
def test_a_family_covers_its_listed_commands_only(command: str | None, passes: bool) -> None:
    assert (invoke("me", command) is None) == passes


@pytest.mark.parametrize(
    "pattern, command, passes",
    [
        ("camera.snap", "camera.snap", True),
        ("camera.snap", "camera.clip", False),
        ("camera.snap", "camera.snap.x", False),
        ("vendor.special", "vendor.special", True),
        ("vendor.*", "vendor.special", False),
        ("camera.ptz.*", "camera.ptz.status", True),
        ("camera.ptz.*", "camera.snap", False),
        ("system.*", "system.run", True),
        ("*", "screen.show", False),
        (".*", "screen.show", False),
        ("*.show", "screen.show", False),
        ("screen*", "screen.show", False),
        ("", "", True),
        ("scr.*", "screen.show", False),
    ],
)
def test_only_a_trailing_dot_star_is_a_family(pattern: str, command: str, passes: bool) -> None:
    assert (invoke("me", command, Policy(invoke_commands=(pattern,))) is None) == passes


def test_without_patterns_nothing_may_be_invoked() -> None:
    assert invoke("me", "screen.show", Policy(invoke_commands=())) is Reason.TARGET


def test_target_and_command_narrow_node_invoke_only() -> None:
    for name in ("node.list", "node.event"):
        call = Call(Direction.FROM_NODE, name, target="other", command="system.run")
        assert isinstance(decide(Policy(), ME, call), Allow)


def turn(
    way: tuple[Direction, str], session: str | None, text: str | None, policy: Policy | None = None
) -> Reason | None:
    decision = decide(policy or Policy(), ME, Call(*way, session=session, text=text))
    return decision.reason if isinstance(decision, Deny) else None


@pytest.mark.parametrize("way", TURNS, ids=str)
@pytest.mark.parametrize("session", [None, "", "main", "agent:main:main"])
def test_the_main_session_has_four_spellings(way: tuple[Direction, str], session: str | None) -> None:
    assert turn(way, session, "hello") is None
    assert canonical_session(session) == "main"


OTHERS = [
    "Main", "MAIN", " main", "main ", "main\x00", "main\n", "agent:main:main\n", "agent:main:Main", "agent:main",
    "agent:main:main:x",
    "agent:other:main", "agent:main:cron", "xagent:main:main", "global", "main,main", "\u200bmain", "*",
]  # fmt: skip


@pytest.mark.parametrize("way", TURNS, ids=str)
@pytest.mark.parametrize("session", OTHERS)
def test_any_other_session_is_refused(way: tuple[Direction, str], session: str) -> None:
    assert turn(way, session, "hello") is Reason.SESSION
    assert turn(way, session, "hello", Policy(agent_sessions=frozenset())) is Reason.SESSION
    assert turn(way, session, "hello", Policy(agent_sessions=frozenset({session}))) is None


def test_the_owners_sessions_are_compared_in_their_one_spelling() -> None:
    policy = Policy(agent_sessions=frozenset({"agent:main:main", "kitchen"}))
    assert turn(TURNS[0], None, "hello", policy) is None
    assert turn(TURNS[0], "kitchen", "hello", policy) is None
    assert turn(TURNS[0], "agent:main:kitchen", "hello", policy) is Reason.SESSION
    assert turn(TURNS[0], None, "hello", Policy(agent_sessions=frozenset({"kitchen"}))) is Reason.SESSION


BEFORE = {
    "nothing": "", "blank": " ", "tab": "\t", "lines": "\r\n\n", "no-break": "\u00a0", "ideographic": "\u3000",
    "zero width": "\u200b",
    "joiner": "\u200d", "left-to-right": "\u200e", "override": "\u202e", "isolate": "\u2066", "word joiner": "\u2060",
    "mark": "\ufeff",
    "soft hyphen": "\u00ad", "nul": "\x00", "escape": "\x1b", "delete": "\x7f", "next line": "\x85",
    "separator": "\u2028",
    "invisible plus": "\u2064", "mongolian": "\u180e", "variation": "\ufe0f", "tag": "\U000e0041",
    "grapheme joiner": "\u034f",
    "arabic mark": "\u061c", "hangul filler": "\u3164", "half filler": "\uffa0", "jamo fillers": "\u115f\u1160",
    "braille": "\u2800",
    "annotation": "\ufff9", "many": " \u200b\t\u2060 \x00" * 50,
}  # fmt: skip
MARKS = ["/", "!", "\uff0f", "\uff01", "\ufe57", "\u203c", "\u2049"]


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())
@pytest.mark.parametrize("mark", MARKS)
def test_nothing_invisible_hides_an_order(before: str, mark: str) -> None:
    assert reads_as_command(f"{before}{mark}new")
    for way in TURNS:
        assert turn(way, None, f"{before}{mark}new") is Reason.COMMAND_TEXT
        assert turn(way, None, f"{before}{mark}new", Policy(agent_commands=True)) is None


WORDS = [
    "",
    " ",
    "\u200b",
    "hello",
    "and/or",
    "wow!",
    "a /new",
    "1/2",
    "\\new",
    "|new",
    "?",
    "\u00bfquien?",
    "\u00a1hola",
    "-/x",
    ".",
    "\u2044x",
    '"/new"',
]


@pytest.mark.parametrize("text", WORDS)
def test_words_are_words(text: str) -> None:
    assert not reads_as_command(text)
    for way in TURNS:
        assert turn(way, None, text) is None


def test_a_turn_without_text_is_no_order() -> None:
    assert turn(TURNS[0], None, None) is None


def test_the_session_is_checked_before_the_text() -> None:
    assert turn(TURNS[0], "other", "/new") is Reason.SESSION


def test_orders_are_looked_for_in_agent_turns_only() -> None:
    for direction, name in [
        (Direction.FROM_NODE, "agent.wait"),
        (Direction.FROM_NODE, "health"),
        (Direction.NODE_EVENT, "node.state"),
    ]:
        assert isinstance(decide(Policy(), ME, Call(direction, name, session="other", text="/new")), Allow)


def test_every_character_alone_and_before_a_mark() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) == "Cs":
            continue  # a frame holds none
        assert reads_as_command(char) == is_order(char), hex(code)
        assert reads_as_command(char + "/x") == is_order(char + "/x"), hex(code)


def test_a_long_run_of_nothing_is_looked_through() -> None:
    assert reads_as_command("\u200b" * 1_000_000 + "/new")
    assert not reads_as_command(" " * 1_000_000 + "new")
