"""Pure: the vocabulary of a decision: who asks, what for, and the two answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from acl.permissions import Permissions

MAIN_SESSION = "main"
"""The session that an absent key means (gateway-protocol §6)."""
_MAIN_ALIAS = "agent:main:main"


def canonical_session(key: str | None) -> str:
    """Returns the one spelling of a session key: absent, empty and `agent:main:main` all mean `main`."""
    return MAIN_SESSION if not key or key == _MAIN_ALIAS else key


class Direction(StrEnum):
    """Where a call comes from and goes to."""

    FROM_NODE = "from-node"
    """A request of a node's own socket."""
    NODE_EVENT = "node-event"
    """The event inside a node's `node.event`."""
    FROM_OPERATOR = "from-operator"
    """A request of the operator socket of a phone."""
    TO_NODE = "to-node"
    """A command that the gateway invokes on a node."""
    EVENT_TO_NODE = "event-to-node"
    """An event that the gateway sends to a node."""
    EVENT_TO_OPERATOR = "event-to-operator"
    """An event that the gateway sends to the operator socket of a phone."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The paired node that a decision is about.

    Attributes:
        node_id: its id.
        permissions: what a person granted.
        scopes: of an operator socket: what it was admitted with; empty for a node socket.
    """

    node_id: str
    permissions: Permissions
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked.

    Attributes:
        direction: from whom to whom.
        name: method, event or command, exactly as on the wire.
        target: of `node.invoke`: the node it is aimed at.
        command: of `node.invoke`: the command.
        session: of what is about a session: its key as given; None when there is none.
        text: of an agent turn: the text that the agent will read.
        url: of a command that sends a screen somewhere: the address.
    """

    direction: Direction
    name: str
    target: str | None = None
    command: str | None = None
    session: str | None = None
    text: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)


class Reason(StrEnum):
    """Why a call was denied."""

    UNLISTED = "unlisted"
    """No rule knows the name."""
    NOT_PERMITTED = "not-permitted"
    """A rule knows it, and the node lacks the permission."""
    MISSING_SCOPE = "missing-scope"
    """The operator socket lacks the scope."""
    TARGET = "target"
    """Another node may not be addressed, or not with this command."""
    SESSION = "session"
    """The session may not be addressed."""
    COMMAND_TEXT = "command-text"
    """The text would be read as a gateway command."""
    OWNER = "owner-rule"
    """A rule of the owner's denies it."""
    NAVIGATION = "navigation"
    """The screen may not be sent there."""


@dataclass(frozen=True, slots=True)
class Allow:
    """The proof that a call was decided and allowed. Only `acl.engine` makes one.

    Attributes:
        rule: id of the rule that decided.
        call: what it permits, and nothing else.
    """

    rule: str
    call: Call


@dataclass(frozen=True, slots=True)
class Deny:
    """A refusal.

    Attributes:
        rule: id of the rule that decided; `default-deny` when none did.
        reason: why, for programs.
        missing_scope: of a call of an operator socket that is refused by its name: the scope that it would need, or
            that its refusal is told by.
    """

    rule: str
    reason: Reason
    missing_scope: str | None = None


Decision = Allow | Deny


@dataclass(frozen=True, slots=True)
class Navigation:
    """Where a node's screen may be sent (`[screen.navigate]`).

    Attributes:
        allow_http: whether plain `http` targets pass.
        allow_private: whether loopback, private and link-local targets do.
        hosts: exact A-label hosts or `*.example.com`; empty: any.
    """

    allow_http: bool = False
    allow_private: bool = False
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnerRule:
    """A rule of the owner's, asked before the built-in table.

    Attributes:
        id: what `acl explain` and the logs call it.
        direction: which calls it is about.
        name: the exact method, event or command.
        node: the one node it is about; None: every node.
        allow: what it decides.

    Raises:
        ValueError: it allows something to every node: what all may do is for permissions to say, which people grant.
    """

    id: str
    direction: Direction
    name: str
    node: str | None
    allow: bool

    def __post_init__(self) -> None:
        if self.allow and self.node is None:
            raise ValueError("an allow is for one node")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner can tune (design §18), over the built-in table.

    Attributes:
        agent_sessions: session keys that a node may address.
        agent_commands: whether text that the gateway reads as a command passes.
        invoke_targets: node ids that a node with `nodes` may invoke beside itself.
        invoke_commands: commands it may invoke; here a trailing `.*` is a family.
        navigation: where a screen may be sent.
        snapshot_max_width: pixels of the widest snapshot.
        aliases: `screen.*` command -> the `canvas.*` command that stands for it on nodes that only declare that.
        profiles: named sets of permissions beside the built-in ones.
        rules: the owner's, in order.
    """

    agent_sessions: frozenset[str] = frozenset({MAIN_SESSION})
    agent_commands: bool = False
    invoke_targets: frozenset[str] = frozenset()
    invoke_commands: tuple[str, ...] = ("screen.*", "device.*")
    navigation: Navigation = Navigation()
    snapshot_max_width: int = 4096
    aliases: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Permissions] = field(default_factory=dict)
    rules: tuple[OwnerRule, ...] = ()
    _rules: Mapping[tuple[Direction, str, str | None], tuple[int, OwnerRule]] = field(
        init=False, repr=False, compare=False
    )
    _sessions: frozenset[str] = field(init=False, repr=False, compare=False)
    _families: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first: dict[tuple[Direction, str, str | None], tuple[int, OwnerRule]] = {}
        for place, rule in enumerate(self.rules):
            first.setdefault((rule.direction, rule.name, rule.node), (place, rule))
        families = tuple(pattern[:-1] for pattern in self.invoke_commands if pattern.endswith(".*"))
        object.__setattr__(self, "_rules", first)  # all three: so that a decision does not grow with the lists
        object.__setattr__(self, "_sessions", frozenset(map(canonical_session, self.agent_sessions)))
        object.__setattr__(self, "_families", families)

    def owner_rule(self, direction: Direction, name: str, node_id: str) -> OwnerRule | None:
        """Returns the first rule of the owner's that is about this call of this node; None: there is none."""
        found, anybodys = self._rules.get((direction, name, node_id)), self._rules.get((direction, name, None))
        if found is None or (anybodys is not None and anybodys[0] < found[0]):
            found = anybodys
        return found[1] if found is not None else None

    def may_address(self, session: str | None) -> bool:
        """Tells whether a session is one of the owner's, in whatever spelling."""
        return canonical_session(session) in self._sessions

    def is_of_a_family(self, command: str) -> bool:
        """Tells whether a command begins like one of the families that a node may invoke; `.*` alone is none."""
        return command.startswith(self._families)
