"""Random policies, subjects and calls: the decision is the reference's, every time (E16)."""

import random
from collections import Counter

from acl.engine import decide
from acl.model import Allow, Call, Direction, Policy, Subject
from acl.permissions import Permission
from tests.acl.reference import LISTED, allowed
from tests.support.scale import scale, seed

NAMES = [name for _, name in LISTED]
SESSIONS = [None, "", "main", "agent:main:main", "kitchen", "agent:main:kitchen", "Main", "main "]
TEXTS = [None, "", "hello", "/new", " /new", "!ls", "\uff0fnew", "\u200b!ls", "a/b", "\x00/x", "\u2066/x"]
TARGETS = [None, "", "me", "you", "ME"]
PATTERNS = [
    "screen.*",
    "device.*",
    "system.*",
    "*",
    ".*",
    "camera.snap",
    "screen",
    "canvas.a2ui.*",
    "vendor.x",
    "vendor.*",
    "",
]
SCOPES = ["operator.read", "operator.write", "operator.admin", "operator.approvals", ""]
NOISE = ["", "x", "vendor.x", "screen.", "screen.*", "Health", "node.invoke ", "node\u2024invoke", "\u017fystem.run"]


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
            direction, name = rng.choice(
                [
                    (Direction.FROM_NODE, "node.invoke"),
                    (Direction.FROM_NODE, "agent"),
                    (Direction.NODE_EVENT, "agent.request"),
                ]
            )
    command = rng.choice([None, *NOISE, *rng.sample(NAMES, 20)])
    return Call(direction, name, rng.choice(TARGETS), command, rng.choice(SESSIONS), rng.choice(TEXTS))


def test_the_decision_is_the_references() -> None:
    rng = random.Random(seed())  # noqa: S311 - repeatable, not secret
    answers: Counter[bool] = Counter()
    for _ in range(scale(100_000)):
        policy = Policy(
            agent_sessions=some(rng, ["main", "agent:main:main", "kitchen", ""]),
            agent_commands=rng.random() < 0.3,
            invoke_targets=some(rng, ["you", "me", ""]),
            invoke_commands=tuple(some(rng, PATTERNS)),
        )
        permissions = frozenset(rng.sample([*Permission], rng.randint(0, len(Permission))))
        subject = Subject("me", permissions, some(rng, SCOPES))
        call = any_call(rng)
        expected = allowed(policy, subject, call)
        assert isinstance(decide(policy, subject, call), Allow) == expected, (policy, subject, call, call.text)
        answers[expected] += 1
    assert min(answers[True], answers[False]) > scale(100_000) / 10
