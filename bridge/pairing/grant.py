"""Pure: the record that a grant makes of a request: what the person read, with what is kept of an earlier pairing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from acl.permissions import Permissions
from bridge.pairing.desk import Draft
from bridge.pairing.records import NodeRecord, Security, Surface, clean_label


@dataclass(frozen=True, slots=True)
class Upstream:
    """Who stands for a node at the gateway.

    Attributes:
        key_name: name of the Ed25519 key.
        gateway_node_id: the key's id.
    """

    key_name: str
    gateway_node_id: str


def revoked_at(record: NodeRecord | None) -> datetime | None:
    """Returns when a key was revoked; None: it is in force, or was never paired."""
    return record.revoked_at if record is not None else None


def paired_record(
    draft: Draft,
    permissions: Permissions,
    name: str | None,
    known: NodeRecord | None,
    upstream: Upstream,
    now: datetime,
) -> NodeRecord:
    """Returns the record of a request that was granted.

    A node that is paired already keeps its tokens; a revoked one keeps nothing but what has to be removed upstream.

    Args:
        draft: the request, frozen.
        permissions: what is granted.
        name: another display name, as a person typed it; None: the device's own.
        known: what the store holds of the key.
        upstream: who stands for it at the gateway from now on.
        now: aware UTC time.
    """
    labels = draft.labels
    if name is not None:
        labels = labels.model_copy(update={"display_name": clean_label(name, labels.display_name)})
    alive = known if revoked_at(known) is None else None
    stale = known.stale_upstream if known is not None else ()
    if alive is not None and alive.gateway_node_id != upstream.gateway_node_id:
        stale = (*stale, alive.gateway_node_id)
    return NodeRecord(
        node_id=draft.node_id,
        public_key=draft.public_key,
        security=Security.DEVICE_KEY,
        labels=labels,
        permissions=tuple(sorted(permissions)),
        declared=Surface.model_validate(draft.declared),
        node_tokens=alive.node_tokens if alive else (),
        operator_tokens=alive.operator_tokens if alive else (),
        token_due=alive.token_due if alive else False,
        upstream_key=upstream.key_name,
        gateway_node_id=upstream.gateway_node_id,
        stale_upstream=stale,
        created_at=alive.created_at if alive else now,
        last_seen_at=alive.last_seen_at if alive else None,
    )
