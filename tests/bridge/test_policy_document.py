"""`policy.toml`: what it says becomes the engine's policy, and what means nothing is an error (E15)."""

from pathlib import Path

import pytest

from acl.model import Direction, Navigation, OwnerRule, Policy
from acl.permissions import Permission
from acl.rules import RULES, listed_names
from bridge.policy_document import PolicyDocument, parse_policy
from bridge.strict_toml import ConfigError

NODE = "ab" * 32
EVERYTHING = f"""
[profiles.kiosk]
permissions = ["screen"]
[screen.navigate]
allow_http = true
allow_private = true
hosts = ["example.com", "*.example.org", "xn--bcher-kva.de", "192.168.1.9", "[fd00::1]"]
[screen.snapshot]
max_width = 1024
[agent]
sessions = ["main", "agent:main:kitchen"]
commands = true
[nodes]
targets = ["{NODE}"]
commands = ["screen.*", "camera.snap"]
[aliases]
"screen.navigate" = "canvas.navigate"
[[rules]]
id = "lend-eval"
when = {{ direction = "to-node", command = "screen.eval", node = "{NODE}" }}
decision = "allow"
[[rules]]
id = "no-eval-here"
when = {{ direction = "to-node", command = "screen.eval" }}
decision = "deny"
[[rules]]
id = "no-transcripts"
when = {{ direction = "node-event", event = "voice.transcript", node = "*" }}
decision = "deny"
[[rules]]
id = "no-history"
when = {{ direction = "from-operator", method = "chat.history", node = "{NODE}" }}
decision = "deny"
"""


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_policy(text, file="policy.toml")
    return str(refused.value)


def test_an_empty_file_is_the_built_in_policy() -> None:
    assert parse_policy("", file="policy.toml") == Policy() == PolicyDocument().policy()


def test_everything_it_can_say() -> None:
    policy = parse_policy(EVERYTHING, file="policy.toml")
    hosts = ("example.com", "*.example.org", "xn--bcher-kva.de", "192.168.1.9", "[fd00::1]")
    assert policy == Policy(
        agent_sessions=frozenset({"main", "agent:main:kitchen"}),
        agent_commands=True,
        invoke_targets=frozenset({NODE}),
        invoke_commands=("screen.*", "camera.snap"),
        navigation=Navigation(allow_http=True, allow_private=True, hosts=hosts),
        snapshot_max_width=1024,
        aliases={"screen.navigate": "canvas.navigate"},
        profiles={"kiosk": frozenset({Permission.SCREEN})},
        rules=(
            OwnerRule("lend-eval", Direction.TO_NODE, "screen.eval", NODE, allow=True),
            OwnerRule("no-eval-here", Direction.TO_NODE, "screen.eval", None, allow=False),
            OwnerRule("no-transcripts", Direction.NODE_EVENT, "voice.transcript", None, allow=False),
            OwnerRule("no-history", Direction.FROM_OPERATOR, "chat.history", NODE, allow=False),
        ),
    )


def rule(when: str, decision: str = "deny", id: str = "mine") -> str:
    return f'[[rules]]\nid = "{id}"\nwhen = {{ {when} }}\ndecision = "{decision}"\n'


EVAL = 'direction = "to-node", command = "screen.eval"'
WRONG = {
    "[profile.x]": "profile: there is no such key. Did you mean 'profiles'?",
    '[profiles.k]\npermission_s = ["screen"]': "k.permission_s: there is no such key. Did you mean 'permissions'?",
    '[profiles.k]\npermissions = ["screenn"]': "k.permissions: there is no such permission. Did you mean 'screen'?",
    '[profiles.k]\npermissions = ["*"]': "there is no such permission",
    '[profiles.k]\npermissions = ["screen", "screen"]': "stands twice",
    '[profiles.k]\npermissions = "screen"': "must be a list",
    "[profiles.phone]\npermissions = []": "the profile phone is built in",
    "[profiles.companion]\npermissions = []": "the profile companion is built in",
    "[profiles.K]\npermissions = []": "a profile's name has",
    "[screen]\nnavigat = {}": "screen.navigat: there is no such key. Did you mean 'navigate'?",
    '[screen.navigate]\nhosts = ["*"]': "* stands at the front of a host only",
    '[screen.navigate]\nhosts = ["*.*.com"]': "* stands at the front of a host only",
    '[screen.navigate]\nhosts = ["a*.com"]': "* stands at the front of a host only",
    '[screen.navigate]\nhosts = ["*.com"]': "a wildcard needs a domain",
    '[screen.navigate]\nhosts = ["b\u00fccher.de"]': "Write: xn--bcher-kva.de",
    '[screen.navigate]\nhosts = ["*.stra\u00dfe.de"]': "Write: *.xn--strae-oqa.de",
    '[screen.navigate]\nhosts = ["b\u00fc cher.de"]': "it is no host",
    '[screen.navigate]\nhosts = ["https://example.com"]': "no scheme",
    '[screen.navigate]\nhosts = ["example.com."]': "no dot at its end",
    '[screen.navigate]\nhosts = ["example.com:443"]': "no port",
    '[screen.navigate]\nhosts = ["Example.com"]': "lower case",
    '[screen.navigate]\nhosts = [""]': "it is no host",
    '[screen.navigate]\nhosts = ["example.com/x"]': "it is no host",
    '[screen.navigate]\nhosts = ["u@example.com"]': "it is no host",
    '[screen.navigate]\nhosts = ["127.1"]': "it is no host",
    '[screen.navigate]\nhosts = ["*.10.0.0.1"]': "it is no host",
    '[screen.navigate]\nhosts = ["[::0001]"]': "it is no host",
    '[screen.navigate]\nhosts = ["[fe80::1%en0]"]': "it is no host",
    '[screen.navigate]\nhosts = ["[x:]"]': "it is no host",
    "[screen.navigate]\nallow_http = 1": "must be true or false",
    "[screen.snapshot]\nmax_width = 0": "greater than or equal to 1",
    "[screen.snapshot]\nmax_width = 16385": "less than or equal to 16384",
    '[agent]\nsessions = ["*"]': "a session key has no wildcard",
    '[agent]\nsessions = ["a b"]': "visible ASCII",
    '[agent]\nsessions = [""]': "1 to 512",
    '[agent]\ncommands = "no"': "must be true or false",
    '[nodes]\ntargets = ["*"]': "64 digits",
    f'[nodes]\ntargets = ["{NODE.upper()}"]': "64 digits",
    f'[nodes]\ntargets = ["{NODE}", "{NODE}"]': "stands twice",
    '[nodes]\ncommands = ["*"]': "* stands alone for nothing",
    '[nodes]\ncommands = [".*"]': "* stands alone for nothing",
    '[nodes]\ncommands = ["screens.*"]': "Did you mean 'screen.*'?",
    '[nodes]\ncommands = ["screen.evl"]': "Did you mean 'screen.eval'?",
    '[aliases]\n"screen.navigate" = "screen.eval"': "Did you mean 'canvas.eval'?",
    '[aliases]\n"canvas.eval" = "canvas.eval"': "Did you mean 'screen.eval'?",
    '[aliases]\n"screen.eval" = "canvas.navigate"': "What can: canvas.eval",
    '[aliases]\n"screen.setMode" = "canvas.navigate"': "no older command does the same",
    '[aliases]\n"screen.record" = "canvas.eval"': "no rule knows such a command",
    rule(EVAL.replace("eval", "evl")): "rules[mine].when: no rule knows such a command. Did you mean 'screen.eval'?",
    rule(EVAL.replace("eval", "*")): "* is no wildcard",
    rule(EVAL.replace("screen.eval", "*")): "* is no wildcard",
    rule(EVAL.replace("to-node", "to-nodes")): "when.direction: there is no such direction. Did you mean 'to-node'",
    rule(EVAL.replace("command", "method")): "have one command, and nothing else",
    rule(EVAL + ', event = "chat"'): "have one command, and nothing else",
    rule('direction = "to-node"'): "have one command, and nothing else",
    rule('direction = "from-node", method = "config.set"'): "no rule knows such a method",
    rule('direction = "from-node", method = "chat.history"'): "no rule knows such a method",
    rule(EVAL + ', node = "ab"'): "rules[mine].when.node: a node's id is 64 digits",
    rule(EVAL + ", target = 1"): "rules[mine].when.target: there is no such key",
    rule(EVAL, "allowed"): "it should be 'allow' or 'deny'",
    rule(EVAL, "allow"): "an allow is for one node",
    rule(EVAL, id="node-agent"): "a built-in rule is called node-agent",
    rule(EVAL, id="default-deny"): "a built-in rule is called default-deny",
    rule(EVAL, id="No Eval"): "an id has a-z",
    rule(EVAL) + rule('direction = "to-node", command = "screen.show"'): "two rules have the id mine",
    rule(EVAL) + rule(EVAL, id="again"): "the rule again never decides: mine stands before it. Move it above mine.",
    rule(EVAL) + rule(EVAL + f', node = "{NODE}"', "allow", id="late"): "the rule late never decides",
    rule(EVAL + f', node = "{NODE}"', id="a") + rule(EVAL + f', node = "{NODE}"', "allow", id="b"): "never decides",
    "rules = 5": "must be a list",
    "[agent]\nsessions = [" + ",".join(f'"s{number}"' for number in range(257)) + "]": "at most 256",
    "".join(rule(EVAL, id=f"r{number}") for number in range(513)): "at most 512",
}  # fmt: skip


@pytest.mark.parametrize("text, words", WRONG.items(), ids=[text[:60] for text in WRONG])
def test_what_means_nothing_is_an_error_and_says_what_to_write(text: str, words: str) -> None:
    """Red when the check of that value is taken out: the file would load and protect less than it reads."""
    assert words in complaint(text)


def test_the_order_of_rules_may_go_from_one_node_to_all() -> None:
    mine = rule(EVAL + f', node = "{NODE}"', "allow", id="lend")
    other = rule(EVAL + f', node = "{"cd" * 32}"', "allow", id="lend-too")
    assert [each.id for each in parse_policy(mine + other + rule(EVAL), file="x").rules] == ["lend", "lend-too", "mine"]


@pytest.mark.parametrize("direction", Direction)
def test_every_listed_name_can_be_ruled_on_and_only_in_its_own_direction(direction: Direction) -> None:
    kind = {"to-node": "command", "from-node": "method", "from-operator": "method"}.get(direction, "event")
    text = "".join(
        rule(f'direction = "{direction}", {kind} = "{name}"', id=f"r-{number}")
        for number, name in enumerate(sorted(listed_names(direction)))
    )
    assert {each.name for each in parse_policy(text, file="x").rules} == listed_names(direction)


def test_no_built_in_rule_has_an_id_that_an_owner_could_take() -> None:
    for each in RULES:
        assert "a built-in rule" in complaint(rule(EVAL, id=each.id))


def test_the_operators_guide_shows_a_policy_that_loads() -> None:
    guide = Path(__file__).resolve().parents[2].joinpath("docs", "operators-guide.md").read_text(encoding="utf-8")
    shown = [block.split("```")[0] for block in guide.split("```toml\n")[1:]]
    policies = [block for block in shown if "[[rules]]" in block]
    assert policies
    for block in policies:
        assert parse_policy(block, file="guide").rules
