"""Pure: what becomes of a `connect`: the proof of the key, then what the store knows of it (design §§5, 6).

The order is fixed: protocol, device block, key id, clock skew, nonce, signature, penalty, port, tombstone, credential,
and only then pairing. No check is skipped because another credential is present: only validated results count.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from acl.permissions import Permissions
from bridge.lan import refusal
from bridge.lan.connect import Auth, Connect
from bridge.lan.directory import Directory
from bridge.lan.refusal import Refusal
from bridge.pairing.desk import DENIED_S, Draft, Why
from bridge.pairing.records import NodeRecord, Role, Security, TokenEntry
from bridge.pairing.tokens import find
from gateway_client.identity import (
    BadKeyError,
    SignedFields,
    device_id_of,
    encode_base64url,
    read_public_key,
    verify_payload,
)

MAX_SKEW_MS = 120_000  # milliseconds either way (gateway-protocol §2.3)
PROTOCOL = 4
LEGACY_NODE_PROTOCOL = 3  # nodes, and nodes only, may be one version behind (gateway-protocol §9)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What this socket was challenged with; good for one `connect`.

    Attributes:
        nonce: our random text.
        ts_ms: our clock when it was sent, in milliseconds.
    """

    nonce: str
    ts_ms: int


@dataclass(frozen=True, slots=True)
class ProvenKey:
    """A key whose holder signed our challenge.

    Attributes:
        node_id: the key's id.
        public_key: the raw key, base64url.
    """

    node_id: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Enter:
    """Let it in.

    Attributes:
        token: the token it used; None when it gets one now.
        mint: the roles that get a new token.
    """

    token: TokenEntry | None
    mint: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class AskPerson:
    """File a pairing request."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class TryCode:
    """See whether the setup code is good for this key."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class TellRevoked:
    """Say once per role that the key was revoked, and note that it was said."""

    refusal: Refusal


Verdict = Refusal | Enter | AskPerson | TryCode | TellRevoked


def agree_protocol(connect: Connect) -> int | None:
    """Returns the protocol version to speak, or None when there is none in common."""
    if connect.min_protocol <= PROTOCOL <= connect.max_protocol:
        return PROTOCOL
    if connect.role is Role.NODE and connect.min_protocol <= LEGACY_NODE_PROTOCOL <= connect.max_protocol:
        return LEGACY_NODE_PROTOCOL
    return None


def prove_key(connect: Connect, challenge: Challenge, now_ms: int) -> ProvenKey | Refusal:
    """Checks the device block against our own challenge.

    Args:
        connect: the parameters.
        challenge: what this socket was sent; the caller uses it once.
        now_ms: our clock, milliseconds.
    """
    device = connect.device
    if device is None:
        return refusal.device_auth("DEVICE_IDENTITY_REQUIRED", "device identity required")
    try:
        public_key = read_public_key(device.public_key)
    except BadKeyError:
        return refusal.device_auth("DEVICE_AUTH_PUBLIC_KEY_INVALID", "device public key invalid")
    if device_id_of(public_key) != device.id:
        return refusal.device_auth("DEVICE_AUTH_DEVICE_ID_MISMATCH", "device identity mismatch")
    if abs(now_ms - device.signed_at) > MAX_SKEW_MS:
        return refusal.device_auth("DEVICE_AUTH_SIGNATURE_EXPIRED", "device signature expired")
    if not device.nonce:
        return refusal.device_auth("DEVICE_AUTH_NONCE_REQUIRED", "device nonce required")
    if not hmac.compare_digest(device.nonce.strip().encode(), challenge.nonce.encode()):
        return refusal.device_auth("DEVICE_AUTH_NONCE_MISMATCH", "device nonce mismatch")
    if not _signature_holds(connect, public_key, challenge):
        return refusal.device_auth("DEVICE_AUTH_SIGNATURE_INVALID", "device signature invalid")
    return ProvenKey(device.id, encode_base64url(public_key))


def prove(connect: Connect, challenge: Challenge, now_ms: int, certified: str | None) -> ProvenKey | Refusal:
    """Finds out whose socket it is; where TLS proved a node, a `device` block may only name the same one (design §5).

    Args:
        connect: the parameters.
        challenge: of this socket.
        now_ms: our clock.
        certified: the node that a client certificate proved; None: the device block has to prove one.
    """
    if certified is None:
        return prove_key(connect, challenge, now_ms)
    if connect.device is not None:
        signed = prove_key(connect, challenge, now_ms)
        if isinstance(signed, Refusal):
            return signed
        if signed.node_id != certified:
            return refusal.device_auth("DEVICE_AUTH_DEVICE_ID_MISMATCH", "certificate and device name two nodes")
    return ProvenKey(certified, "")


def verdict_on(connect: Connect, key: ProvenKey, directory: Directory, wall: datetime, *, certified: bool) -> Verdict:
    """Decides what a proven key gets, at either port; see `judge_certified` and `judge`."""
    connect = connect.with_aliases(directory.policy.aliases)
    record = directory.record(key.node_id)
    if certified:
        return judge_certified(connect, key, record)
    return judge(connect, key, record, directory.default_permissions, wall, directory.window_opened)


def judge_certified(connect: Connect, key: ProvenKey, record: NodeRecord | None) -> Verdict:
    """Decides what a node gets at the node port, whose key TLS has proved: the store decides, not the certificate."""
    if record is None or record.revoked_at is not None:
        return refusal.not_paired()
    if record.security is not Security.MTLS:
        return refusal.wrong_port("device key")
    if _changed_class(connect, record):
        return refusal.pairing_required(None, key.node_id, connect.role)
    return Enter(None)


def _signature_holds(connect: Connect, public_key: bytes, challenge: Challenge) -> bool:
    device = connect.device
    if device is None:
        return False
    fields = SignedFields(
        device_id=device.id,
        client_id=connect.client.id,
        client_mode=connect.client.mode,
        role=connect.role,
        scopes=connect.scopes,
        signed_at_ms=device.signed_at,
        token=connect.auth.signed_token,
        nonce=challenge.nonce,
        platform=connect.client.platform,
        device_family=connect.client.device_family,
    )
    try:
        return verify_payload(public_key, fields, device.signature) is not None
    except (BadKeyError, ValueError):
        return False


def judge(
    connect: Connect,
    key: ProvenKey,
    record: NodeRecord | None,
    default: Permissions,
    wall: datetime,
    window_opened: datetime | None = None,
) -> Verdict:
    """Decides what a proven key gets at the app port.

    Args:
        connect: the parameters.
        key: the proven key.
        record: what the store holds of it.
        default: the permissions that a prompt proposes.
        wall: aware UTC time.
        window_opened: when a person last invited devices (`pair`), which ends the silence after a revocation.
    """
    draft = _draft(connect, key, record, default)
    if record is None:
        return _stranger(connect, key, draft)
    if record.revoked_at is not None:
        return _revoked(connect, key, draft, wall, window_opened, told=connect.role in record.revocation_told)
    if record.security is not Security.DEVICE_KEY:
        return refusal.wrong_port("mutual TLS")
    if _changed_class(connect, record):
        return (
            AskPerson(draft) if connect.role is Role.NODE else refusal.pairing_required(None, key.node_id, "operator")
        )
    return _paired(connect.auth, connect.role, record, draft)


def promised(connect: Connect | None) -> frozenset[Role]:
    """Returns the roles that get a token when a held `connect` is approved; with a setup code, both (design §6)."""
    both = connect is not None and connect.auth.bootstrap_token is not None
    return frozenset(Role) if both else frozenset({Role.NODE})


def _draft(connect: Connect, key: ProvenKey, record: NodeRecord | None, default: Permissions) -> Draft:
    why, permissions = Why.NEW, default
    if record is not None:
        why = Why.RETURN if record.revoked_at else Why.CHANGED if _changed_class(connect, record) else Why.REPAIR
        permissions = default if record.revoked_at else record.granted
    revoked_at = record.revoked_at if record is not None else None
    return Draft(key.node_id, key.public_key, connect.labels(), connect.surface(), permissions, why, revoked_at)


def _stranger(connect: Connect, key: ProvenKey, draft: Draft) -> Verdict:
    if connect.role is Role.OPERATOR:
        return refusal.pairing_required(None, key.node_id, connect.role)
    return TryCode(draft) if connect.auth.bootstrap_token else AskPerson(draft)


def _revoked(
    connect: Connect, key: ProvenKey, draft: Draft, wall: datetime, window_opened: datetime | None, *, told: bool
) -> Verdict:
    if connect.role is Role.NODE and connect.auth.bootstrap_token:
        return TryCode(draft)
    if not told:
        return TellRevoked(refusal.device_token_mismatch())
    if connect.role is Role.OPERATOR or draft.revoked_at is None:
        return refusal.device_token_mismatch()
    invited = window_opened is not None and window_opened > draft.revoked_at
    if not invited and wall - draft.revoked_at < timedelta(seconds=DENIED_S):
        return refusal.pairing_denied(key.node_id, connect.role)
    return AskPerson(draft)


def _changed_class(connect: Connect, record: NodeRecord) -> bool:
    return not connect.labels().same_kind(record.labels)


def _paired(auth: Auth, role: Role, record: NodeRecord, draft: Draft) -> Verdict:
    tokens = record.tokens(role)
    for presented in (auth.token, auth.device_token):
        if presented and (entry := find(tokens, presented)):
            return Enter(entry)
    if auth.bootstrap_token and role is Role.NODE:
        return TryCode(draft)
    if role is Role.NODE and record.token_due:
        # Approved while it was away: whatever old token it still presents, its key is good and its new token waits.
        return Enter(None, frozenset({Role.NODE}))
    if auth.device_token:
        return refusal.device_token_mismatch()
    if auth.token:
        return refusal.token_mismatch()
    if role is Role.OPERATOR:
        return refusal.token_missing()
    return AskPerson(draft)
