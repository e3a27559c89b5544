"""Pure: the documents of local control, made of what the bridge keeps about requests and nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bridge.control import documents, limit_documents
from bridge.control.not_granted import not_granted
from bridge.limit_reports import NodeLimits
from bridge.metrics import Levels
from bridge.pairing.desk import KEPT_S, PairingRequest
from bridge.pairing.grant import proposed
from bridge.pairing.records import NodeRecord, Security, key_fingerprint
from bridge.upstream.surface import SurfaceState

_NO_LIMITS = NodeLimits()
NodeState = Literal["connected", "background", "offline", "revoked"]


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of a node beside its record.

    Attributes:
        state: whether it is there.
        connected_at: since when; None while it is away.
        surface: what the gateway makes of its offer; None while it is not linked.
        link_error: why it is not linked, in words.
        request: the id of its request that waits for a decision.
        at_gateway: whether the gateway counts it as connected although it is away.
        linking: whether the connection that stands for it there is being made.
        limits: how much of its limits it has used up.
    """

    state: NodeState
    connected_at: datetime | None = None
    surface: SurfaceState | None = None
    link_error: str | None = None
    request: str | None = None
    at_gateway: bool = False
    linking: bool = False
    limits: NodeLimits = _NO_LIMITS


def pending_row(
    request: PairingRequest, known: NodeRecord | None, pin: str, now: float, wall: datetime
) -> documents.PendingRequest:
    """Returns a request as a person decides about it.

    Args:
        request: the request.
        known: what the store holds of its key.
        pin: the bridge's.
        now: monotonic seconds.
        wall: aware UTC time.
    """
    draft = request.draft
    paired = known if known is not None and known.revoked_at is None else None
    granted = proposed(draft, known)
    native = draft.native is not None or (request.lasting and paired is not None and paired.security is Security.MTLS)
    left = KEPT_S if request.lasting else max(0.0, request.expires - now)
    return documents.PendingRequest(
        id=request.id,
        kind="native" if native else "openclaw",
        display_name=draft.labels.display_name,
        platform=draft.labels.platform,
        device_family=draft.labels.device_family,
        address=request.address,
        permissions=sorted(granted),
        commands=list(draft.declared.commands),
        key_fingerprint=key_fingerprint(draft.node_id),
        pin=pin,
        created_at=request.created_at,
        expires_at=wall + timedelta(seconds=left),
        previously_revoked=draft.revoked_at is not None,
        reason=draft.why.value,
        adds=list(draft.declared.beyond(paired.declared)) if paired is not None else [],
        not_granted=not_granted(draft.declared.commands, granted),
    )


def node_row(record: NodeRecord, presence: Presence) -> documents.NodeRow:
    """Returns the row of a node in the list."""
    surface = presence.surface
    return documents.NodeRow(
        node_id=record.node_id,
        display_name=record.labels.display_name,
        platform=record.labels.platform,
        security=record.security.value,
        permissions=sorted(record.permissions),
        state=presence.state,
        at_gateway=True if presence.at_gateway else None,
        linking=True if presence.linking else None,
        connected_at=presence.connected_at,
        last_seen_at=record.last_seen_at,
        gateway_node_id=record.gateway_node_id,
        withheld=list(surface.withheld) if surface is not None else [],
        wants=list(record.wants),
    )


def node_detail(record: NodeRecord, presence: Presence, allow_line: str | None) -> documents.NodeDetail:
    """Returns everything about one node."""
    surface = presence.surface
    return documents.NodeDetail(
        **dict(node_row(record, presence)),
        declared_commands=list(record.declared.commands),
        effective_commands=sorted(surface.effective) if surface is not None else [],
        tokens=documents.TokenCounts(node=len(record.node_tokens), operator=len(record.operator_tokens)),
        allow_line=allow_line,
        not_granted=not_granted(record.declared.commands, record.permissions) if record.revoked_at is None else {},
        request=presence.request,
        limits=presence.limits.limits,
        refused=presence.limits.refused,
        penalty_s=presence.limits.penalty_s,
        link_error=presence.link_error,
    )


def load_report(levels: Levels) -> limit_documents.Load:
    """Returns how much is under way."""
    return limit_documents.Load(
        calls=levels.calls,
        in_flight=levels.places,
        queued=levels.calls_waiting,
        bytes_in_flight=levels.bytes_in_flight,
        sockets_held=levels.sockets_held,
        bytes_buffered=levels.bytes_buffered,
    )
