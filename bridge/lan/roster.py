"""Pure: which sockets are open for which node (design §4): one node socket, up to four operator sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bridge.pairing.records import Role

MAX_OPERATOR_SOCKETS = 4  # of one phone: the app opens one, its share extension another, and each may be replaced once

Peer = TypeVar("Peer")


@dataclass(slots=True)
class _Sockets(Generic[Peer]):
    node: Peer | None = None
    operators: list[Peer] = field(default_factory=list)


@dataclass(slots=True)
class Roster(Generic[Peer]):
    """The open sockets by node id."""

    _nodes: dict[str, _Sockets[Peer]] = field(default_factory=dict)

    def join(self, node_id: str, role: Role, peer: Peer) -> list[Peer]:
        """Adds a socket; returns those that it takes the place of, which the caller closes."""
        sockets = self._nodes.setdefault(node_id, _Sockets())
        if role is Role.NODE:
            former, sockets.node = sockets.node, peer
            return [former] if former is not None else []
        sockets.operators.append(peer)
        surplus = sockets.operators[:-MAX_OPERATOR_SOCKETS]
        sockets.operators = sockets.operators[-MAX_OPERATOR_SOCKETS:]
        return surplus

    def leave(self, node_id: str, peer: Peer) -> None:
        """Removes a socket; harmless when another has taken its place."""
        sockets = self._nodes.get(node_id)
        if sockets is None:
            return
        if sockets.node is peer:
            sockets.node = None
        sockets.operators = [other for other in sockets.operators if other is not peer]
        if sockets.node is None and not sockets.operators:
            del self._nodes[node_id]

    def node(self, node_id: str) -> Peer | None:
        """Returns the node socket of a node."""
        sockets = self._nodes.get(node_id)
        return sockets.node if sockets is not None else None

    def all_of(self, node_id: str) -> list[Peer]:
        """Returns every socket of a node."""
        sockets = self._nodes.get(node_id)
        if sockets is None:
            return []
        return [*([sockets.node] if sockets.node is not None else []), *sockets.operators]

    def operators(self) -> Iterator[Peer]:
        """Yields the operator sockets of all nodes."""
        for sockets in self._nodes.values():
            yield from sockets.operators

    def everyone(self) -> list[Peer]:
        """Returns every socket."""
        return [peer for node_id in self._nodes for peer in self.all_of(node_id)]

    def connected(self) -> int:
        """Returns how many nodes have a node socket."""
        return sum(sockets.node is not None for sockets in self._nodes.values())
