"""Pure: the answers of local control, exactly the JSON that `--json` prints (design §17).

Field names are snake case here and camel case in JSON; optional fields are left out of the JSON when they are None.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bridge.control.document import Document, Instant
from bridge.control.limit_documents import LimitsInUse, LimitUse, Load


class Listener(Document):
    """One listening port."""

    name: Literal["nodes", "apps"]
    addresses: list[str]
    port: int


class GatewayStatus(Document):
    """The connection to the gateway."""

    url: str
    state: Literal["connected", "connecting", "refused", "down"]
    version: str | None = None
    detail: str | None = None
    """Why it is not connected and what to do; None when there is nothing to say."""


class NodeCounts(Document):
    """How many nodes there are."""

    paired: int
    connected: int


class DiscoveryReport(Document):
    """Whether phones find the bridge by themselves."""

    state: Literal["off", "starting", "on", "conflict", "failed"]
    detail: str | None = None


class ConsoleReport(Document):
    """The browser console."""

    url: str | None = None
    """None: it is switched off."""


class PolicySource(Document):
    """Which policy is in force."""

    source: Literal["built-in", "file"]
    file: str | None = None
    """The file it was read from; None: there was none."""
    loaded_at: Instant
    rules: int
    """Number of the owner's rules."""


class AuditReport(Document):
    """The audit log."""

    written: int
    """Number of the last entry on disk."""
    problem: str | None = None
    """Why nothing can be written now, and what mends it; None: it can."""


class Status(Document):
    """The state of the daemon at a glance."""

    version: str
    pid: int
    started_at: Instant
    listeners: list[Listener]
    gateway: GatewayStatus
    nodes: NodeCounts
    pending: int
    """Number of pairing requests that wait for a decision."""
    pin: str
    """SHA-256 hex of the certificate's DER; what a phone shows before it trusts the bridge."""
    spki: str
    """SHA-256 hex of the certificate's SPKI DER."""
    discovery: DiscoveryReport
    console: ConsoleReport = ConsoleReport()
    policy: PolicySource | None = None
    """Which policy is in force; None: the daemon is an older one."""
    audit: AuditReport | None = None
    limits: dict[str, int] = Field(default_factory=dict)
    """The limits in force, by their configuration key."""
    limits_in_use: LimitsInUse = LimitsInUse()
    load: Load = Load()


class PendingRequest(Document):
    """A pairing request that waits for a decision, frozen as the prompt showed it."""

    id: str
    kind: Literal["native", "openclaw"]
    display_name: str
    platform: str
    device_family: str = ""
    address: str
    permissions: list[str]
    """What an approval grants unless it names something else."""
    commands: list[str]
    key_fingerprint: str
    pin: str
    created_at: Instant
    expires_at: Instant
    previously_revoked: bool = False
    reason: Literal["new", "repair", "changed", "return", "wider"] = "new"
    """`new`: a key that was never seen; `repair`: a paired one that lost its token; `changed`: a paired one whose
    platform changed; `return`: a revoked one; `wider`: a paired node that offers more than it did."""
    adds: list[str] = Field(default_factory=list)
    """Commands that an approval adds to those the node has; of `wider` and `changed` requests."""
    not_granted: dict[str, list[str]] = Field(default_factory=dict)
    """Commands it offers that the permissions do not cover, by the permission they need."""


class Approval(Document):
    """The outcome of an approval."""

    node_id: str
    display_name: str
    permissions: list[str]
    security: Literal["mtls", "device-key"]
    withheld: list[str]
    """Granted commands that the gateway does not let through."""
    allow_line: str | None = None
    """The command that makes the gateway let them through; None when nothing is withheld."""
    not_granted: dict[str, list[str]] = Field(default_factory=dict)
    """Commands it offers that the permissions do not cover, by the permission they need."""


class Denial(Document):
    """The outcome of a denial."""

    id: str


class NodeRow(Document):
    """A paired or revoked node."""

    node_id: str
    display_name: str
    platform: str
    security: Literal["mtls", "device-key"]
    permissions: list[str]
    state: Literal["connected", "background", "offline", "revoked"]
    at_gateway: Literal[True] | None = None
    """The gateway counts it as connected although it is away (`gateway.linger_s`); None: it does not, or it is here."""
    linking: Literal[True] | None = None
    """The connection that stands for it at the gateway is being made: it cannot be asked there yet; None: it is not."""
    connected_at: Instant | None = None
    last_seen_at: Instant | None = None
    gateway_node_id: str
    """Its id at the gateway; empty before it was first linked."""
    withheld: list[str]
    wants: list[str]
    """Commands that it newly declares and that nobody has granted."""


class TokenCounts(Document):
    """How many device tokens are valid, by role."""

    node: int
    operator: int


class NodeDetail(NodeRow):
    """Everything that is known of one node."""

    declared_commands: list[str]
    effective_commands: list[str]
    tokens: TokenCounts
    allow_line: str | None = None
    """The command that makes the gateway let the withheld commands through; None when nothing is withheld."""
    not_granted: dict[str, list[str]] = Field(default_factory=dict)
    """Commands it offers that the permissions do not cover, by the permission they need."""
    request: str | None = None
    """Its pairing request that waits for a decision."""
    limits: dict[str, LimitUse] = Field(default_factory=dict)
    """Its limits by name; empty when it has not come in since the start, or has everything left."""
    refused: dict[str, int] = Field(default_factory=dict)
    """What it was refused since then, by kind."""
    penalty_s: int | None = None
    """Seconds for which it is kept out; None: it is not."""
    link_error: str | None = None
    """Why the bridge cannot stand for it at the gateway at the moment, and what to do."""


class Revocation(Document):
    """The outcome for one revoked node."""

    node_id: str
    revoked_at: Instant


class SetupCode(Document):
    """A one-time code. Whoever presents it first is paired: it is a secret and its repr says nothing of it."""

    id: str
    setup_code: str = Field(repr=False)
    link: str = Field(repr=False)
    """`oc-pair://` and the code."""
    url: str
    permissions: list[str]
    expires_at: Instant
    pin: str


class NativeInvitation(Document):
    """A one-time link for a native node. Whoever presents it first is paired: its repr says nothing of it."""

    id: str
    link: str = Field(repr=False)
    """`clawdis-bridge://pair#` and what the node needs."""
    url: str
    permissions: list[str]
    expires_at: Instant
    pin: str
    spki: str


class Window(Document):
    """A person invites devices."""

    open_until: Instant


class TokenRow(Document):
    """A one-time code that was made; never the code."""

    id: str
    kind: Literal["native", "openclaw"]
    state: Literal["unused", "used", "expired", "revoked"]
    permissions: list[str]
    created_at: Instant
    expires_at: Instant
    used_by: str | None = None
    """The node that used it."""


class NodeCertificateRow(Document):
    """The certificate of a native node."""

    node_id: str
    display_name: str
    serial: str | None = None
    """Hexadecimal; None: it has fetched none yet."""
    not_after: Instant | None = None
    knows_next: bool
    """Whether it has said that it holds the bridge's next key; that it was told is no sign of it."""


class AuthorityReport(Document):
    """What certificates of native nodes are issued with."""

    spki: str
    not_after: Instant


class Certificates(Document):
    """The bridge's certificates, and those of its native nodes."""

    pin: str
    spki: str
    host: str
    not_before: Instant
    not_after: Instant
    authority: AuthorityReport
    next_spki: str | None = None
    """SPKI hash of the key that will follow; None: no change of keys is prepared."""
    passphrase_place: Literal["keyring", "file"]
    """Where the passphrase of the private keys is kept."""
    nodes: list[NodeCertificateRow] = Field(default_factory=list)
    apps: int = 0
    """OpenClaw clients that pin the certificate itself and lose the bridge when it changes."""


class Explanation(Document):
    """What the access policy says of one call."""

    decision: Literal["allow", "deny"]
    rule: str
    reason: str
    fix: str | None = None
    """The command that would change the decision; None: there is none."""
