"""Pure: `policy.toml`: what the owner may tune, over the built-in rules (design §18).

Every key has a default, so an empty file is the built-in policy. A value is checked for meaning: a name that no rule
knows, a wildcard where none is one, a rule that never decides is an error, because it would read as protection.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from acl.model import Direction, Navigation, OwnerRule, Policy
from acl.permissions import COMMANDS, PROFILES, Permission, read_permissions
from acl.rules import listed_names
from bridge.policy_words import (
    MAX_ENTRIES,
    MAX_RULES,
    Bad,
    require_alias,
    require_command_pattern,
    require_each_once,
    require_host,
    require_listed,
    require_node_id,
    require_profile_name,
    require_rule_id,
    require_session_key,
)
from bridge.strict_toml import Table, nearest, parse_document

MAX_SNAPSHOT_WIDTH = 16_384  # pixels: four 4K screens side by side
_Words = Annotated[tuple[str, ...], Field(strict=False, max_length=MAX_ENTRIES)]


class ProfileTable(Table):
    """A named set of permissions."""

    permissions: _Words
    """Permissions that the profile stands for; an empty list grants nothing."""

    @field_validator("permissions")
    @classmethod
    def _known(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if word not in list(Permission):
                raise Bad("there is no such permission", nearest(word, list(Permission)))
        return require_each_once(words)


class NavigateTable(Table):
    """Where a node's screen may be sent."""

    allow_http: bool = False
    """Whether plain `http` targets pass."""
    allow_private: bool = False
    """Whether loopback, private and link-local targets pass."""
    hosts: _Words = ()
    """Exact hosts, or `*.example.com` for what is below one; empty: any."""

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            require_host(host)
        return require_each_once(hosts)


class SnapshotTable(Table):
    """Pictures of a node's screen."""

    max_width: Annotated[int, Field(ge=1, le=MAX_SNAPSHOT_WIDTH)] = 4096
    """Pixels of the widest one, 1 to 16384."""


class ScreenTable(Table):
    """The screens of nodes."""

    navigate: NavigateTable = NavigateTable()
    """Where a screen may be sent."""
    snapshot: SnapshotTable = SnapshotTable()
    """Pictures of it."""


class AgentTable(Table):
    """What a node may say to the agent, and where."""

    sessions: _Words = ("main",)
    """Session keys that a node may address; empty: none."""
    commands: bool = False
    """Whether text that the gateway reads as a command passes."""

    @field_validator("sessions")
    @classmethod
    def _keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            require_session_key(key)
        return require_each_once(keys)


class NodesTable(Table):
    """What a node with the permission `nodes` may have others do."""

    targets: _Words = ()
    """Ids of nodes that it may address beside itself."""
    commands: _Words = ("screen.*", "device.*")
    """Commands, or families of them such as `screen.*`."""

    @field_validator("targets")
    @classmethod
    def _ids(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for target in targets:
            require_node_id(target)
        return require_each_once(targets)

    @field_validator("commands")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            require_command_pattern(pattern)
        return require_each_once(patterns)


class WhenTable(Table):
    """Which calls a rule is about: a direction, one name in it, and one node or all."""

    direction: Annotated[Direction, Field(strict=False)]
    """`from-node`, `from-operator`, `to-node`, `node-event`, `event-to-node` or `event-to-operator`."""
    command: str | None = None
    """Of `to-node`: the command."""
    method: str | None = None
    """Of `from-node` and `from-operator`: the method."""
    event: str | None = None
    """Of the other three: the event."""
    node: str = "*"
    """Id of the one node it is about; `*`: every node."""

    @field_validator("direction", mode="before")
    @classmethod
    def _direction(cls, word: object) -> object:
        if isinstance(word, str) and word not in list(Direction):
            raise Bad("there is no such direction", nearest(word, list(Direction)))
        return word

    @field_validator("node")
    @classmethod
    def _node(cls, node: str) -> str:
        if node != "*":
            require_node_id(node)
        return node

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        given = [key for key in ("command", "method", "event") if getattr(self, key) is not None]
        if given != [self.kind]:
            raise Bad(f"calls {self.direction} have one {self.kind}, and nothing else", f'Write: {self.kind} = "..."')
        require_listed(self.name, self.kind, listed_names(self.direction))
        return self

    @property
    def kind(self) -> str:
        """The key that holds the name."""
        if self.direction is Direction.TO_NODE:
            return "command"
        return "method" if self.direction in (Direction.FROM_NODE, Direction.FROM_OPERATOR) else "event"

    @property
    def name(self) -> str:
        """The command, method or event."""
        return self.command or self.method or self.event or ""


class RuleTable(Table):
    """A rule of the owner's."""

    id: str
    """What `acl explain` and the log call it."""
    when: WhenTable
    """Which calls it is about."""
    decision: Literal["allow", "deny"]
    """What becomes of them."""

    @field_validator("id")
    @classmethod
    def _own_id(cls, id: str) -> str:
        return require_rule_id(id)

    @model_validator(mode="after")
    def _for_one(self) -> Self:
        if self.decision == "allow" and self.when.node == "*":
            raise Bad("an allow is for one node", "Name it in when.node, or grant the permission: clawdis-bridge nodes")
        return self

    def rule(self) -> OwnerRule:
        """The rule as the engine takes it."""
        node = None if self.when.node == "*" else self.when.node
        return OwnerRule(self.id, self.when.direction, self.when.name, node, self.decision == "allow")


class PolicyDocument(Table):
    """The whole of `policy.toml`."""

    profiles: Annotated[dict[str, ProfileTable], Field(max_length=MAX_ENTRIES)] = Field(default_factory=dict)
    """Named sets of permissions beside the built-in ones."""
    screen: ScreenTable = ScreenTable()
    """The screens of nodes."""
    agent: AgentTable = AgentTable()
    """What a node may say to the agent."""
    nodes: NodesTable = NodesTable()
    """What a node may have others do."""
    aliases: Annotated[dict[str, str], Field(max_length=MAX_ENTRIES)] = Field(default_factory=dict)
    """`screen.*` command -> the `canvas.*` command that stands for it on nodes that declare only that."""
    rules: Annotated[tuple[RuleTable, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    """Asked in this order, before the built-in table; the first that fits decides."""

    @field_validator("profiles")
    @classmethod
    def _names(cls, profiles: dict[str, ProfileTable]) -> dict[str, ProfileTable]:
        for name in profiles:
            require_profile_name(name, PROFILES)
        return profiles

    @field_validator("aliases")
    @classmethod
    def _pairs(cls, aliases: dict[str, str]) -> dict[str, str]:
        for left, right in aliases.items():
            for family, name in (("screen.", left), ("canvas.", right)):
                require_listed(name, "command", _on_screen(family))
            require_alias(left, right)
        return aliases

    @field_validator("rules")
    @classmethod
    def _each_decides(cls, rules: tuple[RuleTable, ...]) -> tuple[RuleTable, ...]:
        ids: set[str] = set()
        seen: dict[tuple[Direction, str, str], str] = {}
        for each in rules:
            if each.id in ids:
                raise Bad(f"two rules have the id {each.id}", "Give one of them another.")
            ids.add(each.id)
            key = (each.when.direction, each.when.name)
            before = seen.get((*key, "*")) or seen.get((*key, each.when.node))
            if before is not None:
                raise Bad(f"the rule {each.id} never decides: {before} stands before it", f"Move it above {before}.")
            seen[(*key, each.when.node)] = each.id
        return rules

    def policy(self) -> Policy:
        """The policy as the engine takes it."""
        navigate = self.screen.navigate
        return Policy(
            agent_sessions=frozenset(self.agent.sessions),
            agent_commands=self.agent.commands,
            invoke_targets=frozenset(self.nodes.targets),
            invoke_commands=self.nodes.commands,
            navigation=Navigation(navigate.allow_http, navigate.allow_private, navigate.hosts),
            snapshot_max_width=self.screen.snapshot.max_width,
            aliases=self.aliases,
            profiles={name: read_permissions(table.permissions) for name, table in self.profiles.items()},
            rules=tuple(each.rule() for each in self.rules),
        )


def _on_screen(family: str) -> set[str]:
    return {name for name, needs in COMMANDS.items() if needs is Permission.SCREEN and name.startswith(family)}


def parse_policy(text: str, *, file: str) -> Policy:
    """The policy in the text of a `policy.toml`.

    Args:
        text: TOML.
        file: the file's name, for messages only.

    Raises:
        ConfigError: no TOML, an unknown key or table, or a value that means nothing.
    """
    return parse_document(text, PolicyDocument, file=file).policy()
