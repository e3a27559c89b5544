"""E16: random policies, subjects and calls; the decision is the reference's every time.

Goes red when the engine asks the table before the owner, forgets a node's name in a rule, lets an allow of the owner's
stand for a scope, a target or a session as well, leaves a method out of those that are about a session, or sends a
screen where it may not go, also that of another node, or by other rules than the policy's.
"""

import random
from collections import Counter

from acl.engine import decide
from acl.model import Allow, Call, Direction, Navigation, OwnerRule, Policy, Subject
from acl.permissions import Permission
from tests.acl.reference import LISTED, PLACES, SESSIONED, allowed
from tests.support.scale import is_full, seed

IN_CI = 10_000
IN_FULL = 1_000_000
NAMES = [name for _, name in LISTED]
NODES = ["me", "you"]
SESSIONS = [None, "", "main", "agent:main:main", "kitchen", "agent:main:kitchen", "Main", "main "]
TEXTS = [None, "", "hello", "/new", " /new", "!ls", "\uff0fnew", "\u200b!ls", "a/b", "\x00/x", "\u2066/x"]
TARGETS = [None, "", "me", "you", "ME"]
PATTERNS = [
    *("screen.*", "device.*", "system.*", "*", ".*", "camera.snap", "screen", "canvas.a2ui.*", "vendor.x"),
    *("vendor.*", ""),
]
URLS = [*PLACES, "", "https://a@ok.example/", "javascript:1", "canvas://main/.."]
HOSTS = [(), (), ("ok.example",), ("127.0.0.1", "other.example")]
SCOPES = ["operator.read", "operator.write", "operator.admin", "operator.approvals", ""]
NOISE = ["", "x", "vendor.x", "screen.", "screen.*", "Health", "node.invoke ", "node\u2024invoke", "\u017fystem.run"]
NARROWED: list[tuple[Direction, str]] = [
    (Direction.FROM_NODE, "node.invoke"),
    (Direction.FROM_NODE, "agent"),
    (Direction.NODE_EVENT, "agent.request"),
    *((Direction(way), name) for way, name in SESSIONED),
]


def some(rng: random.Random, choices: list[str]) -> frozenset[str]:
    return frozenset(rng.sample(choices, rng.randint(0, len(choices))))


def any_call(rng: random.Random) -> Call:
    direction, name = rng.choice([*LISTED])
    match rng.randrange(8):
        case 0:
            name = rng.choice(NAMES)
        case 1:
            name = rng.choice(NOISE)
        case 2 | 3:
            direction, name = rng.choice(NARROWED)
    command = rng.choice([None, *NOISE, *rng.sample(NAMES, 20)])
    is_command = direction is Direction.TO_NODE or name == "node.invoke"
    url = rng.choice(URLS) if is_command and rng.random() < 0.5 else None
    return Call(direction, name, rng.choice(TARGETS), command, rng.choice(SESSIONS), rng.choice(TEXTS), url)


def any_rules(rng: random.Random, call: Call) -> tuple[OwnerRule, ...]:
    """Return rules of which some are about the call, and some nearly."""
    rules = []
    for number in range(rng.choice([0, 0, 1, 2, 4])):
        direction, name = (call.direction, call.name) if rng.random() < 0.6 else rng.choice([*LISTED, *NARROWED])
        node = rng.choice([None, *NODES])
        rules.append(OwnerRule(f"rule-{number}", direction, name, node, node is not None and rng.random() < 0.6))
    return tuple(rules)


def compare(seeded: int, times: int) -> Counter[str]:
    """Return how often which kind of answer came; fails at the first difference."""
    rng = random.Random(seeded)  # noqa: S311 - repeatable, not secret
    answers: Counter[str] = Counter()
    for _ in range(times):
        call = any_call(rng)
        policy = Policy(
            agent_sessions=some(rng, ["main", "agent:main:main", "kitchen", ""]),
            agent_commands=rng.random() < 0.3,
            invoke_targets=some(rng, ["you", "me", ""]),
            invoke_commands=tuple(some(rng, PATTERNS)),
            navigation=Navigation(rng.random() < 0.5, rng.random() < 0.5, rng.choice(HOSTS)),
            rules=any_rules(rng, call),
        )
        permissions = frozenset(rng.sample([*Permission], rng.randint(0, len(Permission))))
        subject = Subject(rng.choice(NODES), permissions, some(rng, SCOPES))
        expected = allowed(policy, subject, call)
        decision = decide(policy, subject, call)
        assert isinstance(decision, Allow) == expected, (policy, subject, call, call.text)
        answers["allow" if expected else "deny"] += 1
        answers["by the owner"] += decision.rule.startswith("rule-")
        answers["lent"] += decision.rule.startswith("rule-") and expected
    return answers


def test_e16_the_decision_is_the_references() -> None:
    times = IN_FULL if is_full() else IN_CI
    answers = compare(seed(), times)
    print(f"\nseed {seed()}: {times} decisions, {dict(answers)}")  # noqa: T201 - a figure to report
    assert min(answers["allow"], answers["deny"]) > times / 10
    assert answers["by the owner"] > times / 20
    assert answers["lent"] > times / 100
