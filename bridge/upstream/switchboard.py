"""Connects sockets of phones with links to the gateway: one link per connected node, the operator link for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.lan.events import Forward, Join, Link, Report
from bridge.lan.recall import Replay
from bridge.log import Log
from bridge.pairing.records import NodeRecord, UpstreamIdentity
from bridge.tasks import Tasks
from bridge.upstream.channel import Channel, LinkDownError
from bridge.upstream.forwarding import PLACES, Forwarding, Peer
from bridge.upstream.lingering import Lingering
from bridge.upstream.node_link import Attached, NodeLink
from bridge.upstream.operator_link import OperatorLink
from bridge.upstream.secret import SecretSource
from bridge.upstream.surface import SurfaceApproval
from certs.errors import IdentityError
from certs.store import KeyFolder
from gateway_client.errors import GatewayError
from gateway_client.frames import Json, object_of
from gateway_client.identity import DeviceIdentity

CONNECTS = 8  # links that are being made at a time, when all phones come back at once: a connect costs a signature
LAST_WORDS_S = 2.0  # seconds for what a socket said just before it ended
READY_S = 5.0  # seconds that a phone's first calls wait for its link
KEY_AGAIN_S = 30.0  # seconds between looks whether a key that cannot be used has been mended: it needs a person
LOOK_AGAIN_S = 15.0  # seconds between looks whether a withheld command has been allowed


class Switchboard:
    """See the module's text."""

    def __init__(
        self,
        operator: OperatorLink,
        keys: KeyFolder,
        *,
        secret: SecretSource,
        tasks: Tasks,
        log: Log,
        places: int = PLACES,
        settled: Callable[[str, str], None] = lambda method, outcome: None,
        key_again_s: float = KEY_AGAIN_S,
        linger_s: float = 0.0,
    ) -> None:
        self.operator = operator
        self.approval = SurfaceApproval(operator, secret, log)
        self._keys = keys
        self._secret = secret
        self._tasks = tasks
        self._log = log
        self._links: dict[str, tuple[NodeLink, asyncio.Task[None]]] = {}
        self._opening: dict[str, Peer] = {}
        self._keyless: dict[str, tuple[Peer, str]] = {}  # who waits for a key that cannot be used, and why
        self._key_again_s = key_again_s
        self._opened = asyncio.Event()
        self._lingering = Lingering(linger_s, self.close)
        self._connects = asyncio.Semaphore(CONNECTS)
        self.forwarding = Forwarding(self._channel_for, tasks, log, places=places, settled=settled)

    def link(self, node_id: str) -> NodeLink | None:
        """Returns the link of a connected node."""
        entry = self._links.get(node_id)
        return entry[0] if entry is not None else None

    def links(self) -> Iterator[NodeLink]:
        """The links of all connected nodes."""
        return (link for link, _ in self._links.values())

    def join(self, peer: Peer, join: Join) -> None:
        """A node socket is in: its link is reused when it offers the same, else made anew."""
        node_id = join.record.node_id
        link = self.link(node_id)
        if link is not None and link.serves(join.record, join.offer):
            self._lingering.end(node_id)
            link.attach(peer)
            return
        self.close(node_id)
        self._opening[node_id] = peer
        self._tasks.spawn("open-link", self._open(peer, join))

    async def _open(self, peer: Peer, join: Join) -> None:
        record = join.record
        key = await self._key(peer, record)
        if key is None or self._opening.get(record.node_id) is not peer:
            return  # gone again, or replaced, while the key was read
        del self._opening[record.node_id]
        self._keyless.pop(record.node_id, None)
        link = NodeLink(
            self.operator.url,
            record,
            join.offer,
            DeviceIdentity(key),
            secret=self._secret,
            approval=self.approval,
            connects=self._connects,
            tasks=self._tasks,
            log=self._log,
        )
        link.attach(peer)
        self._links[record.node_id] = (link, self._tasks.spawn("node-link", link.run()))
        self._wake()

    async def _key(self, peer: Peer, record: NodeRecord) -> Ed25519PrivateKey | None:
        """Reads the key that stands for a node, again and again while it cannot be used; None: the phone has gone.

        Meanwhile the phone stays, and is told at once that its calls go nowhere: coming again would not help it.
        """
        told = ""
        while True:
            try:
                return await asyncio.to_thread(self._keys.load_ed25519, record.upstream_key)
            except IdentityError as exc:
                revoke = f"clawdis-bridge nodes revoke {record.node_id[:12]}"
                error = f"{exc.what}: {exc.why}\n{exc.mend}\nOr revoke the node, and pair it again: {revoke}"
            if self._opening.get(record.node_id) is not peer:
                return None
            if error != told:
                self._log.error("upstream-key-unusable", node=record.node_id, error=error)
            told = error
            del self._opening[record.node_id]
            self._keyless[record.node_id] = (peer, error)
            self._wake()
            await asyncio.sleep(self._key_again_s)
            waits = self._keyless.get(record.node_id)
            if waits is None or waits[0] is not peer:
                return None
            self._opening[record.node_id] = peer

    def is_linking(self, node_id: str) -> bool:
        """Whether a node's link is being made, its surface not settled yet."""
        link = self.link(node_id)
        return node_id in self._opening if link is None else link.coming and not link.ready.is_set()

    def rename(self, record: NodeRecord) -> None:
        """Has the gateway call a linked node what it is called here; others are renamed when they are linked."""
        link = self.link(record.node_id)
        if link is not None and link.record.labels.display_name != record.labels.display_name:
            link.rename(record)

    def link_error(self, node_id: str) -> str | None:
        """Returns why nothing stands for a connected node at the gateway, and what to do; None: nothing is wrong."""
        link, keyless = self.link(node_id), self._keyless.get(node_id)
        if link is not None:
            return link.error
        return keyless[1] if keyless is not None else None

    def _wake(self) -> None:
        """Has those look again who wait for a link."""
        opened, self._opened = self._opened, asyncio.Event()
        opened.set()

    def leave(self, peer: Peer, stand_in: Callable[[NodeLink], Attached] | None = None) -> None:
        """A socket has ended; a link with nobody at its end lingers with who `stand_in` makes, or is closed."""
        self._tasks.spawn("end-forwards", _end(self.forwarding.of(peer)))
        node_id = peer.node_id or ""
        if self._opening.get(node_id) is peer:
            del self._opening[node_id]
        if node_id in self._keyless and self._keyless[node_id][0] is peer:
            del self._keyless[node_id]
        link = self.link(node_id)
        if link is None or not link.detach(peer):
            return
        if stand_in is None or link.outdated or not self._lingering.is_on:
            self.close(node_id, self.forwarding.of(peer))
        else:
            link.attach(stand_in(link))
            self._lingering.begin(node_id)

    def lingers(self, node_id: str) -> bool:
        """Whether the gateway counts a node as connected whose phone is away."""
        return node_id in self._lingering

    def changed(self, record: NodeRecord) -> None:
        """A record has changed; a link that was made on other terms is outdated."""
        link = self.link(record.node_id)
        if link is not None and link.record.terms != record.terms:
            self.outdate(record.node_id)
        self.rename(record)

    def outdate(self, node_id: str) -> None:
        """What a node's link offers is true no longer: it ends with its socket, at once when that is gone."""
        link = self.link(node_id)
        if link is not None:
            link.outdated = True
        if self.lingers(node_id):
            self.close(node_id)

    def close(self, node_id: str, last: set[asyncio.Task[None]] | None = None) -> None:
        """Ends the link of a node, after what is still being said over it.

        Args:
            node_id: the node.
            last: calls of its last socket, which get a moment to be sent.
        """
        self._opening.pop(node_id, None)
        self._keyless.pop(node_id, None)
        self._lingering.end(node_id)
        entry = self._links.pop(node_id, None)
        if entry is not None:
            self._tasks.spawn("close-link", _close(*entry, last or set()))

    def forward(self, peer: Peer, command: Forward) -> None:
        """Sends a request to the gateway; the socket is told its answer, or that there is none.

        What a socket asked for ends with it: an answer that nobody waits for keeps no place.
        """
        self.forwarding.forward(peer, command)

    async def _channel_for(self, peer: Peer, link: Link, is_owed: bool) -> Channel:
        if link is Link.OPERATOR:
            return self.operator
        own = self.link(peer.node_id or "")
        # What is owed is about what has come over the open connection, and is lost with it: it waits for no surface.
        return own if is_owed and own is not None and own.is_open else await self._ready_link(peer)

    async def _ready_link(self, peer: Peer) -> NodeLink:
        # A phone speaks the moment it is in (push registration, the pending queue); its link takes some 100 ms more.
        # While the gateway is there, that is waited for; when it is not, the answer is immediate.
        node_id = peer.node_id or ""
        try:
            async with asyncio.timeout(READY_S):
                while (entry := self._links.get(node_id)) is None and self._opening.get(node_id) is peer:
                    await self._opened.wait()
                if entry is not None and self.operator.is_open and entry[0].coming:
                    await entry[0].ready.wait()
        except TimeoutError:
            raise LinkDownError from None
        if entry is None:
            raise LinkDownError
        return entry[0]

    def report(self, peer: Peer, command: Report | Replay) -> None:
        """Ends an invoke at the gateway on the bridge's own account."""
        link = self.link(peer.node_id or "")
        if link is not None:
            link.report(command)

    async def watch_withheld(self) -> None:
        """Looks, while the gateway withholds something, whether its owner has allowed it since; then links anew."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            withholding = [link for link, _ in self._links.values() if link.surface and link.surface.withheld]
            if not withholding:
                continue
            allowed = frozenset(await self.allowed_at_gateway() or ())
            for link in withholding:
                link.consider(allowed)

    async def allowed_at_gateway(self) -> list[str] | None:
        """Returns the gateway's list of commands that it lets through beside its defaults; None: it cannot be asked."""
        try:
            answer = await self.operator.request("config.get", {}, wait_s=5.0)
        except (LinkDownError, GatewayError):
            return None
        found: Json = object_of(answer.payload).get("config")
        for name in ("gateway", "nodes", "commands", "allow"):
            found = object_of(found).get(name)
        if not answer.ok:
            return None
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    async def remove_stale(self, record: NodeRecord) -> list[UpstreamIdentity]:
        """Removes from the gateway, and from the keys folder, what stood for a node; returns what is gone.

        Raises:
            GatewayError, SecretError, SurfaceError: the gateway could not be asked, or refused.
            IdentityError: a key could not be removed.
        """
        gone: list[UpstreamIdentity] = []
        for stale in record.stale_upstream:
            await self.approval.remove(stale.gateway_node_id)
            await asyncio.to_thread(self._keys.delete, stale.key_name)
            gone.append(stale)
        return gone


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_WORDS_S)
    for task in tasks:
        task.cancel()


async def _close(link: NodeLink, task: asyncio.Task[None], last: set[asyncio.Task[None]]) -> None:
    await _end(last)
    await link.finish_reports()
    task.cancel()
    await asyncio.wait({task})
