"""Pure: the connected nodes, their effective surface, and the rows that `node.list` shows (gateway-protocol §4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.demo.gateway.devices import Device
from bridge.demo.gateway.model import Client
from bridge.demo.gateway.surfaces import Surface, Surfaces, labels
from gateway_client.frames import JsonObject


@dataclass(slots=True)
class Session:
    """The connection that speaks for a node id."""

    client: Client
    declared: Surface
    effective: Surface
    host_stats: JsonObject | None = None

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return self.client.conn_id


@dataclass(slots=True)
class Seen:
    """When a node was last heard of."""

    at_ms: int
    reason: str
    connected_at_ms: int | None = None
    disconnected_at_ms: int | None = None


@dataclass(slots=True)
class Nodes:
    """Sessions by node id; a newer connection takes the place of an older one, which stays open but is nobody."""

    sessions: dict[str, Session] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Names that an operator gave: they outlast what a node calls itself."""

    def register(self, session: Session, now_ms: int) -> Session | None:
        """Makes `session` the node's; returns the one that it replaced."""
        node_id = session.client.node_id
        previous = self.sessions.get(node_id)
        self.sessions[node_id] = session
        self.seen[node_id] = Seen(now_ms, "connect", connected_at_ms=now_ms)
        return previous

    def unregister(self, conn_id: str, now_ms: int) -> bool:
        """Forgets a connection that ended; tells whether it spoke for its node."""
        for node_id, session in self.sessions.items():
            if session.conn_id == conn_id:
                del self.sessions[node_id]
                if node_id in self.seen:
                    self.seen[node_id].disconnected_at_ms = now_ms
                return True
        return False

    def of(self, client: Client) -> Session | None:
        """Returns the session of this very connection, or None when a newer one took its place."""
        session = self.sessions.get(client.node_id)
        return session if session is not None and session.conn_id == client.conn_id else None

    def rows(self, devices: Iterable[Device], surfaces: Surfaces) -> list[JsonObject]:
        """Returns one row per paired node: connected ones first, then by name."""
        rows = [self._row(device, surfaces) for device in devices if "node" in device.tokens]
        return sorted(rows, key=lambda row: (not row["connected"], str(row.get("displayName")).lower(), row["nodeId"]))

    def _row(self, device: Device, surfaces: Surfaces) -> JsonObject:
        node_id = device.device_id
        session, seen = self.sessions.get(node_id), self.seen.get(node_id)
        approved, waiting = surfaces.approved.get(node_id), surfaces.pending.get(node_id)
        surface = session.effective if session else approved.surface if approved else Surface()
        row: JsonObject = {
            "nodeId": node_id,
            **labels(session.client.client if session else device.client),
            "caps": [*sorted(surface.caps)],
            "commands": [*sorted(surface.commands)],
            "sessionHost": False,
        }
        if node_id in self.names:
            row["displayName"] = self.names[node_id]
        if surface.permissions:
            row["permissions"] = dict(surface.permissions)
        if session is not None:
            row["nodePluginTools"] = []
            row["connectedAtMs"] = session.client.connected_at_ms
            if session.host_stats is not None:
                row["hostStats"] = session.host_stats
        again = "pending-reapproval" if approved else "pending-approval"
        row["approvalState"] = again if waiting else "approved" if approved else "unapproved"
        if waiting is not None:
            row["pendingRequestId"] = waiting.request_id
            row["pendingDeclaredCaps"] = [*sorted(waiting.surface.caps)]
            row["pendingDeclaredCommands"] = [*sorted(waiting.surface.commands)]
            if waiting.surface.permissions:
                row["pendingDeclaredPermissions"] = dict(waiting.surface.permissions)
        row.update(_seen(seen, connected=session is not None))
        row["approvedAtMs"] = approved.approved_at_ms if approved else device.approved_at_ms
        return {**row, "paired": True, "connected": session is not None}


def _seen(seen: Seen | None, *, connected: bool) -> JsonObject:
    if seen is None:
        return {}
    out: JsonObject = {"lastSeenAtMs": seen.at_ms, "lastSeenReason": seen.reason}
    if seen.connected_at_ms is not None:
        out["lastConnectedAtMs"] = seen.connected_at_ms
    if seen.disconnected_at_ms is not None and not connected:
        out["lastDisconnectedAtMs"] = seen.disconnected_at_ms
    return out
