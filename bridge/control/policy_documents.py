"""Pure: the answers of local control about the policy, exactly the JSON that `--json` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bridge.control.document import Document
from bridge.control.documents import PolicySource


class RuleRow(Document):
    """One rule, in the order in which it is asked."""

    id: str
    origin: Literal["owner", "built-in"]
    direction: str
    names: list[str]
    """Exact methods, commands or events."""
    node: str | None = None
    """Of an owner's rule: the one node it is about; None: every node."""
    decision: Literal["allow", "deny"]
    permissions: list[str] = Field(default_factory=list)
    """Of a built-in rule: it allows whoever has one of these; empty: every paired node."""
    scope: str | None = None
    """What an operator socket needs as well."""


class AgentLimits(Document):
    """What a node may say to the agent, and where."""

    sessions: list[str]
    commands: bool


class NodesLimits(Document):
    """What a node with `nodes` may have others do."""

    targets: list[str]
    commands: list[str]


class NavigateLimits(Document):
    """Where a screen may be sent."""

    allow_http: bool
    allow_private: bool
    hosts: list[str]


class SnapshotLimits(Document):
    """Pictures of a screen."""

    max_width: int
    """Pixels."""


class ScreenLimits(Document):
    """What is narrowed of the screen commands."""

    navigate: NavigateLimits
    snapshot: SnapshotLimits


class PolicyReport(Document):
    """The whole of the policy in force."""

    source: PolicySource
    rules: list[RuleRow]
    agent: AgentLimits
    nodes: NodesLimits
    screen: ScreenLimits
    aliases: dict[str, str]
    profiles: dict[str, list[str]]
    """Every profile, the built-in ones first."""
    own_profiles: list[str]
    """Those of the owner."""


class PolicyReload(Document):
    """What a reload did."""

    policy: PolicySource
    reconnecting: int
    """Number of open sockets that have to come again because of it."""


class PolicyProblem(Document):
    """One thing that is wrong with a file."""

    key: str
    why: str
    mend: str


class PolicyCheck(Document):
    """What is to be said of a file."""

    ok: bool
    file: str
    problems: list[PolicyProblem] = Field(default_factory=list)
    rules: int = 0
    """Number of rules in it, when it is right."""
    profiles: list[str] = Field(default_factory=list)
    """Names of the profiles in it, when it is right."""
