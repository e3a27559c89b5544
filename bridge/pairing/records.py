"""Pure: what the bridge keeps about a paired node: the documents of `paired-nodes.json` (design §§5-7)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from acl.permissions import CAPABILITIES, COMMANDS, OS_PERMISSIONS, Permission, Permissions

STORE_VERSION = 1
MAX_LABEL_CHARS = 64
SEEN_WITHIN = timedelta(seconds=10)  # how exactly it is kept when a node was here: each time is a write to disk
# Default_Ignorable_Code_Point outside the categories C* (DerivedCoreProperties.txt of Unicode 15), and a blank symbol.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
MAX_TOKENS_PER_ROLE = 4  # a former token stays valid until a newer one is used, so a few may be alive at once


class Document(BaseModel):
    """A stored document: frozen, camelCase on disk, unknown members refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, ser_json_timedelta="float"
    )


class Role(StrEnum):
    """The two roles of a phone's sockets."""

    NODE = "node"
    OPERATOR = "operator"


class Security(StrEnum):
    """How a node proves itself; fixed at pairing."""

    DEVICE_KEY = "device-key"
    MTLS = "mtls"


class Surface(Document):
    """What a node declares or is granted: commands, capabilities, and what its operating system allows."""

    commands: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    permissions: Mapping[str, bool] = Field(default_factory=dict)

    def granted(self, permissions: Permissions) -> Surface:
        """Returns the part that these permissions cover; what no table lists is covered by none."""
        return Surface(
            commands=tuple(name for name in self.commands if COMMANDS.get(name) in permissions),
            caps=tuple(name for name in self.caps if CAPABILITIES.get(name) in permissions),
            permissions={name: on for name, on in self.permissions.items() if OS_PERMISSIONS.get(name) in permissions},
        )

    def within(self, other: Surface) -> Surface:
        """Returns the part that `other` has as well; the values of `permissions` stay this one's."""
        return Surface(
            commands=tuple(name for name in self.commands if name in other.commands),
            caps=tuple(name for name in self.caps if name in other.caps),
            permissions={name: on for name, on in self.permissions.items() if name in other.permissions},
        )

    def beyond(self, other: Surface) -> tuple[str, ...]:
        """Returns the commands that `other` lacks, those only that some permission could cover."""
        return tuple(name for name in self.commands if name not in other.commands and name in COMMANDS)

    def joined(self, other: Surface) -> Surface:
        """Returns both together."""
        return Surface(
            commands=_union(self.commands, other.commands),
            caps=_union(self.caps, other.caps),
            permissions={**self.permissions, **other.permissions},
        )


def _union(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*left, *right)))


class Labels(Document):
    """What a device says about itself. Labels, never identity."""

    display_name: str
    client_id: str
    client_version: str
    platform: str
    device_family: str = ""
    model_identifier: str = ""
    instance_id: str = ""

    @property
    def platform_class(self) -> str:
        """The part of `platform` that may not change without a new pairing: its first word, in lower case."""
        return self.platform.split(" ", 1)[0].lower()

    def refreshed(self, now: Labels) -> Labels:
        """Returns these labels with the versions that the device has now; its name and kind stay as they were."""
        return self.model_copy(update={"client_version": now.client_version, "platform": now.platform})

    def same_kind(self, other: Labels) -> bool:
        """Tells whether platform class and device family are the same."""
        return (self.platform_class, self.device_family) == (other.platform_class, other.device_family)


class TokenEntry(Document):
    """A device token at rest: never the token, only its SHA-256."""

    hash: str
    issued_at: datetime
    used: bool = False


class UpstreamIdentity(Document):
    """Who stands, or stood, for a node at the gateway."""

    key_name: str
    """Name of the Ed25519 key."""
    gateway_node_id: str
    """The key's id."""


class Enrolment(Document):
    """How a native node fetches its certificate after the approval."""

    request_id: str
    """The id under which it asks."""
    fetch_digest: str
    """What its key signs to show that the request is its own: SHA-256 hex (design §6)."""
    approved_at: datetime


class CertificateNote(Document):
    """The newest certificate of a native node; the certificate itself is not kept."""

    serial: str
    """Hexadecimal."""
    not_after: datetime


class NodeRecord(Document):
    """One paired node, or the tombstone of one.

    `declared` is what the person saw when approving; what the node may do is `declared.granted(permissions)`.
    """

    node_id: str
    public_key: str
    """Base64url: the raw Ed25519 key of an OpenClaw client, the SubjectPublicKeyInfo (DER) of a native node."""
    security: Security
    labels: Labels
    permissions: tuple[Permission, ...]
    declared: Surface
    wants: tuple[str, ...] = ()
    """Commands that the node has declared since and nobody approved."""
    node_tokens: tuple[TokenEntry, ...] = ()
    operator_tokens: tuple[TokenEntry, ...] = ()
    token_due: bool = False
    """Approved, and not yet seen to use a node token: a connect with this key and no known token is given one."""
    upstream_key: str
    """Name of the Ed25519 key that stands for this node at the gateway."""
    gateway_node_id: str
    created_at: datetime
    last_seen_at: datetime | None = None
    revoked_at: datetime | None = None
    stale_upstream: tuple[UpstreamIdentity, ...] = ()
    """Who stood for this node at the gateway and has to be removed there."""
    revocation_told: tuple[Role, ...] = ()
    """Roles that have been told of the revocation."""
    enrolment: Enrolment | None = None
    """Of a native node: the request it was approved by."""
    certificate: CertificateNote | None = None
    """Of a native node: its newest certificate; None before it fetched one."""
    next_spki_told: str | None = None
    """The bridge's next key (SPKI hash, hex), once this node has said that it holds it."""

    @property
    def upstream(self) -> UpstreamIdentity:
        """Who stands for it at the gateway."""
        return UpstreamIdentity(key_name=self.upstream_key, gateway_node_id=self.gateway_node_id)

    @property
    def terms(self) -> tuple[object, ...]:
        """What an open socket was admitted by, and a link was made for: with others, both are made anew."""
        return self.permissions, self.declared, self.security, self.upstream_key

    @property
    def granted(self) -> Permissions:
        """The permissions as a set."""
        return frozenset(self.permissions)

    @property
    def operator_scopes(self) -> frozenset[str]:
        """The scopes its operator socket may have: reading and writing with `chat`, else none."""
        return frozenset({"operator.read", "operator.write"}) if Permission.CHAT in self.granted else frozenset()

    def seen(self, now: datetime) -> datetime:
        """Returns when it was here last, now that it is here: who comes all the time is not written down each time."""
        known = self.last_seen_at
        return known if known is not None and timedelta(0) <= now - known < SEEN_WITHIN else now

    def tokens(self, role: Role) -> tuple[TokenEntry, ...]:
        """Returns the tokens of one role, oldest first."""
        return self.node_tokens if role is Role.NODE else self.operator_tokens

    def with_tokens(self, role: Role, tokens: Iterable[TokenEntry]) -> NodeRecord:
        """Returns the record with other tokens for a role, oldest first; `MAX_TOKENS_PER_ROLE` are kept.

        The newest are, and with them the one in use: answers that carried newer ones may all have been lost.
        """
        listed = tuple(tokens)
        in_use = tuple(entry for entry in listed[:-MAX_TOKENS_PER_ROLE] if entry.used)[-1:]
        kept = (*in_use, *listed[len(in_use) - MAX_TOKENS_PER_ROLE :])
        return self.model_copy(update={"node_tokens" if role is Role.NODE else "operator_tokens": kept})


class StoreFile(Document):
    """`paired-nodes.json`."""

    version: int = STORE_VERSION
    nodes: tuple[NodeRecord, ...] = ()


def clean_label(text: str, fallback: str) -> str:
    """Returns a name as it may be shown: one line, no control, format or private character, at most 64 characters.

    Bidirectional overrides and zero-width characters are format characters, so they go too (design §5), and so do the
    characters that Unicode calls letters or marks and that show nothing.
    """
    shown = "".join(" " if c.isspace() else c for c in text if c.isspace() or _shows(c))
    return " ".join(shown.split())[:MAX_LABEL_CHARS].strip() or fallback


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] != "C" and not _BLANK.fullmatch(character)


def unique_name(record: NodeRecord) -> str:
    """Returns the name a node has at the gateway: its own with six digits of its id.

    The gateway retires silently paired siblings of one name (gateway-protocol §11.4).
    """
    return f"{record.labels.display_name} [{record.node_id[:6]}]"


def key_fingerprint(node_id: str) -> str:
    """Returns the short form of a key's hash that people compare, as `ab12 cd34 ...` (80 bits)."""
    digits = hashlib.sha256(bytes.fromhex(node_id)).hexdigest()[:20]
    return " ".join(digits[at : at + 4] for at in range(0, 20, 4))
