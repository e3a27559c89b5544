"""Pure: the record that a grant makes of a request: what the person read, with what is kept of an earlier pairing."""

from __future__ import annotations

from datetime import datetime

from acl.permissions import Permissions
from bridge.pairing.desk import Draft, Why
from bridge.pairing.records import Enrolment, NodeRecord, Security, Surface, UpstreamIdentity, clean_label
from bridge.pairing.transcript import fetch_digest


def revoked_at(record: NodeRecord | None) -> datetime | None:
    """Returns when a key was revoked; None: it is in force, or was never paired."""
    return record.revoked_at if record is not None else None


def proposed(draft: Draft, known: NodeRecord | None) -> Permissions:
    """Returns what an approval grants when the person names no permissions.

    What a person narrowed while the request of a paired node waited stays narrowed.

    Args:
        draft: the request, frozen.
        known: what the store holds of the key.
    """
    if draft.why is Why.WIDER and known is not None and known.revoked_at is None:
        return known.granted
    return draft.permissions


def paired_record(
    draft: Draft,
    permissions: Permissions,
    name: str | None,
    known: NodeRecord | None,
    upstream: UpstreamIdentity,
    now: datetime,
    request_id: str = "",
) -> NodeRecord:
    """Returns the record of a request that was granted.

    A node that is paired already keeps its tokens, unless it now proves itself in another way; a revoked one keeps
    nothing but what has to be removed upstream.

    Args:
        draft: the request, frozen.
        permissions: what is granted.
        name: another display name, as a person typed it; None: the one it has here, else the device's own.
        known: what the store holds of the key.
        upstream: who stands for it at the gateway from now on.
        now: aware UTC time.
        request_id: the request, under which a native node fetches its certificate.
    """
    alive = known if revoked_at(known) is None else None
    shown = alive.labels.display_name if alive is not None else draft.labels.display_name
    labels = draft.labels.model_copy(update={"display_name": clean_label(name, shown) if name is not None else shown})
    stale = known.stale_upstream if known is not None else ()
    if alive is not None and alive.gateway_node_id != upstream.gateway_node_id:
        stale = (*stale, alive.upstream)
    security = _security(draft, alive)
    keeper = alive if alive is not None and alive.security is security and draft.native is None else None
    return NodeRecord(
        node_id=draft.node_id,
        public_key=draft.public_key,
        security=security,
        labels=labels,
        permissions=tuple(sorted(permissions)),
        declared=Surface.model_validate(draft.declared),
        node_tokens=keeper.node_tokens if keeper else (),
        operator_tokens=keeper.operator_tokens if keeper else (),
        token_due=keeper.token_due if keeper else False,
        enrolment=_enrolment(draft, request_id, now) or (keeper.enrolment if keeper else None),
        certificate=keeper.certificate if keeper else None,
        next_spki_told=keeper.next_spki_told if keeper else None,
        upstream_key=upstream.key_name,
        gateway_node_id=upstream.gateway_node_id,
        stale_upstream=stale,
        created_at=alive.created_at if alive else now,
        last_seen_at=alive.last_seen_at if alive else None,
    )


def _security(draft: Draft, alive: NodeRecord | None) -> Security:
    """How the node proves itself from now on; a paired node that only offers more goes on as it does."""
    if draft.why is Why.WIDER and alive is not None:
        return alive.security
    return Security.DEVICE_KEY if draft.native is None else Security.MTLS


def _enrolment(draft: Draft, request_id: str, now: datetime) -> Enrolment | None:
    if draft.native is None:
        return None
    digest = fetch_digest(draft.native.transcript).hex()
    return Enrolment(request_id=request_id, fetch_digest=digest, approved_at=now)


def tombstone(known: NodeRecord, now: datetime) -> NodeRecord:
    """Returns what is left of a pairing that a person ended; one that has ended already stays as it is."""
    if known.revoked_at is not None:
        return known
    ended = {
        "revoked_at": now,
        "stale_upstream": (*known.stale_upstream, known.upstream),
        "node_tokens": (),
        "operator_tokens": (),
        "token_due": False,
        "revocation_told": (),
        "wants": (),
        "enrolment": None,
        "certificate": None,
    }
    return known.model_copy(update=ended)
