"""Pure: what a session may look up; all of it in memory, none of it its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from acl.model import Policy
from acl.permissions import Permissions
from bridge.lan.allowance import Allowance
from bridge.lan.screen_page import ScreenPage
from bridge.pairing.records import NodeRecord
from bridge.upstream.idempotency import Ledger
from gateway_client.frames import JsonObject


class Directory(Protocol):
    """What a session may look up; all of it in memory."""

    @property
    def policy(self) -> Policy:
        """The policy in force."""

    @property
    def default_permissions(self) -> Permissions:
        """What a prompt proposes."""

    @property
    def window_opened(self) -> datetime | None:
        """When a person last invited devices."""

    @property
    def gateway_hello(self) -> JsonObject:
        """The gateway's last hello-ok on the operator link; empty before the first."""

    @property
    def ledger(self) -> Ledger:
        """The keyed calls that were made already, of every node; what it changes is to be remembered."""

    def record(self, node_id: str) -> NodeRecord | None:
        """The stored record of a key."""

    def lan_ids(self) -> Mapping[str, str]:
        """Node ids at the gateway -> node ids on the LAN, for every paired node."""

    def allowance(self, node_id: str) -> Allowance:
        """What the key may use up, over all of its sockets."""

    def screen(self, node_id: str) -> ScreenPage:
        """What is known of the page on the node's screen, over all of its sockets."""

    def penalty_left(self, node_id: str, now: float) -> float:
        """Seconds for which this key may not come in."""
