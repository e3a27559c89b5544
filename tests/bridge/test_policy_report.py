"""The policy as `acl show` and `status` tell it: every rule, in the order in which the engine asks."""

from datetime import UTC, datetime
from pathlib import Path

from acl.model import Direction, Navigation, OwnerRule, Policy
from acl.permissions import PROFILES, Permission
from acl.rules import RULES
from bridge.policy_file import PolicyInForce
from bridge.policy_report import in_order, policy_report, policy_source

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
NODE = "ab" * 32


def in_force(policy: Policy, file: Path | None = None) -> PolicyInForce:
    return PolicyInForce(policy, PROFILES["voice"], file, NOW)


def test_the_owners_rules_come_first_then_the_table() -> None:
    own = (
        OwnerRule("lend", Direction.TO_NODE, "camera.snap", NODE, allow=True),
        OwnerRule("no-eval", Direction.TO_NODE, "screen.eval", None, allow=False),
    )
    rows = policy_report(in_force(Policy(rules=own))).rules
    assert [each.id for each in rows] == ["lend", "no-eval", *(each.id for each in RULES)]
    assert rows[0].to_json() == {
        "id": "lend", "origin": "owner", "direction": "to-node", "names": ["camera.snap"], "node": NODE,
        "decision": "allow", "permissions": [],
    }  # fmt: skip
    assert (rows[1].decision, rows[1].node) == ("deny", None)
    history = next(each for each in rows if "chat.history" in each.names)
    assert (history.permissions, history.scope, history.origin) == (["chat"], "operator.read", "built-in")


def test_every_limit_is_told() -> None:
    policy = Policy(
        agent_sessions=frozenset({"b", "a"}),
        agent_commands=True,
        invoke_targets=frozenset({NODE}),
        invoke_commands=("screen.*",),
        navigation=Navigation(allow_http=True, allow_private=True, hosts=("example.com",)),
        snapshot_max_width=10,
        aliases={"screen.eval": "canvas.eval"},
        profiles={"kiosk": frozenset({Permission.SCREEN})},
    )
    told = policy_report(in_force(policy)).to_json()
    assert told["agent"] == {"sessions": ["a", "b"], "commands": True}
    assert told["nodes"] == {"targets": [NODE], "commands": ["screen.*"]}
    assert told["screen"] == {
        "navigate": {"allowHttp": True, "allowPrivate": True, "hosts": ["example.com"]}, "snapshot": {"maxWidth": 10},
    }  # fmt: skip
    assert told["aliases"] == {"screen.eval": "canvas.eval"}
    assert told["ownProfiles"] == ["kiosk"]


def test_where_it_comes_from() -> None:
    assert policy_source(in_force(Policy())).to_json() == {
        "source": "built-in", "loadedAt": "2026-11-27T12:00:00Z", "rules": 0,
    }  # fmt: skip
    assert policy_source(in_force(Policy(), Path("/h/policy.toml"))).file == "/h/policy.toml"


def test_permissions_are_listed_in_one_order() -> None:
    assert in_order(PROFILES["phone"]) == ["screen", "voice", "notify", "device", "chat"]
