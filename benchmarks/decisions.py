"""What one decision of the policy costs, for every way it can go, under the largest policy that a file can hold.

Run on its own: `python -m benchmarks.decisions`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping

from acl.engine import decide
from acl.model import Call, Direction, OwnerRule, Policy, Subject
from acl.permissions import COMMANDS, Permission
from bridge.policy_words import MAX_ENTRIES, MAX_RULES

NODE, OTHER = "ab" * 32, "cd" * 32
ROUNDS = 9
EVERYTHING = Subject(NODE, frozenset(Permission), frozenset({"operator.read", "operator.write"}))


def largest_policy() -> Policy:
    """Every list as long as a file may make it; the most rules on one name, of which the last one fits."""
    rules = [
        OwnerRule(f"r{number}", Direction.TO_NODE, "screen.eval", f"{number:064x}", allow=False)
        for number in range(MAX_RULES - 1)
    ]
    return Policy(
        agent_sessions=frozenset(f"session-{number}" for number in range(MAX_ENTRIES - 1)) | {"main"},
        invoke_targets=frozenset(f"{number:064x}" for number in range(MAX_ENTRIES)),
        invoke_commands=(*[*COMMANDS][:200], "device.*"),
        rules=(*rules, OwnerRule("mine", Direction.TO_NODE, "screen.show", NODE, allow=False)),
    )


CALLS: Mapping[str, Call] = {
    "allowed": Call(Direction.TO_NODE, "screen.navigate"),
    "denied by the table": Call(Direction.FROM_NODE, "config.set"),
    "denied by the owner": Call(Direction.TO_NODE, "screen.show"),
    "a turn of the agent": Call(Direction.FROM_NODE, "agent", session="agent:main:main", text="what is the time?"),
    "an invoke on another node": Call(Direction.FROM_NODE, "node.invoke", target=f"{9:064x}", command="device.info"),
    "a phone's history": Call(Direction.FROM_OPERATOR, "chat.history", session="main"),
}
"""Calls as they come; the text is looked through to its first visible character only."""
MANY_RULES = Call(Direction.TO_NODE, "screen.eval")
"""The worst a file can do: all of its rules are about this one name, and none fits."""


def microseconds(call: Call, times: int = 2_000) -> float:
    """Returns the median of what one decision took, over some rounds."""
    policy = largest_policy()
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            decide(policy, EVERYTHING, call)
        rounds.append((time.perf_counter() - started) / times * 1_000_000)
    return statistics.median(rounds)


def main() -> int:
    """Measures and prints."""
    for name, call in {**CALLS, "511 rules on this name": MANY_RULES}.items():
        print(f"{name:30}{microseconds(call):8.2f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
