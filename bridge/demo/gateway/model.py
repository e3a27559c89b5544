"""Pure: what the owner of the embedded gateway chooses, and the facts of one connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway_client.frames import JsonObject

VERSION = "2026.9.6"  # the gateway whose behaviour is played


@dataclass(frozen=True, slots=True)
class GatewaySetup:
    """Choices of the owner; every default is the real gateway's."""

    auth: Literal["token", "password", "none"] = "token"
    """How clients prove themselves."""
    token: str = field(default="demo-gateway-token", repr=False)
    """The shared secret of the modes token and password."""
    auto_approve_local: bool = True
    """Whether a first device from loopback is paired silently."""
    commands_allow: tuple[str, ...] = ()
    """`gateway.nodes.commands.allow`."""
    tick_interval_ms: int = 30_000
    """Milliseconds between two ticks."""
    handshake_s: float = 15.0
    """Seconds from the upgrade to hello-ok."""
    port: int = 0
    """TCP port on 127.0.0.1; 0 takes a free one at the first start and keeps it."""


@dataclass(slots=True)
class Client:
    """One admitted connection, as the rest of the gateway knows it."""

    conn_id: str
    role: str
    scopes: tuple[str, ...]
    client: JsonObject
    """`connect.client`."""
    device_id: str | None = None
    caps: Sequence[str] = ()
    commands: Sequence[str] = ()
    permissions: JsonObject = field(default_factory=dict)
    connected_at_ms: int = 0
    subscriptions: set[str] = field(default_factory=set)
    """Canonical session keys that a node asked to follow."""

    @property
    def node_id(self) -> str:
        """The id under which a node is known: its device's."""
        return self.device_id or str(self.client["id"])
