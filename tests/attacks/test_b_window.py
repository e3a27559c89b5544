"""B1, B4, and what of B12 to B14 and B17 needs a bridge with the caps of an ordinary one, restarted, on a network."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from bridge import clock
from bridge.addresses import machine_addresses, select_addresses
from bridge.discovery_records import NODE_SERVICE
from bridge.pairing.ceremony_cap import WINDOW_S, CapState
from bridge.pairing.ceremony_ledger import CeremonyLedger
from bridge.pairing.native_link import NativeLink
from tests.attacks.codes import expire, phone_of, spellings
from tests.attacks.fortress import Fortress, fortress
from tests.attacks.strangers import PAIRED, Answer, Stranger, addresses, approve, open_anew, pending
from tests.bridge.pairing.native import p256
from tests.support import scale
from tests.support.bridge_process import WIDE_LIMITS
from tests.support.iphone import Refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

LAN = [
    str(each.address)
    for each in select_addresses(["auto"], machine_addresses(), allow_public=False)
    if not each.is_loopback and each.address.version == 4
][:1]
needs_lan = pytest.mark.skipif(not LAN, reason="this machine has no LAN address")
MDNS = ("224.0.0.251", 5353)
CAP = 10


@dataclass
class Reborn:
    """A bridge that a person has to open, killed and started again; and links from its life before."""

    castle: Fortress
    unused: NativeLink
    used: NativeLink
    expired: NativeLink

    @property
    def port(self) -> int:
        return self.castle.node_port


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def reborn() -> AsyncIterator[Reborn]:
    hosts = ["127.0.0.1", *LAN]
    async with fortress(hosts=hosts, discovery=True, limits=WIDE_LIMITS, pairing={"always_open": "false"}) as castle:
        unused, used, expired = [await castle.link("device") for _ in range(3)]
        assert (await Stranger(castle.node_port).redeem(used)).status == 204
        expire(castle, expired.token_id)
        await castle.bridge.kill()
        await castle.bridge.start()
        await castle.bridge.connected()
        yield Reborn(castle, unused, used, expired)


class TestB1:
    """While the window is closed nothing begins, nobody is asked, and the answer is the same for every key.

    Guard: `Enrolment._require_open`, bridge/pairing/enrolment.py: the stranger gets a 201. Guard:
    `is_open` in `Reception.file`, bridge/pairing/reception.py: the phone's request is pending. Guard: the window is in
    memory only (`Reception.window_opened`): it is closed after a restart.
    """

    async def test_nothing_begins(self, reborn: Reborn) -> None:
        castle = reborn.castle
        strangers = [Stranger(reborn.port), Stranger(reborn.port, "127.0.0.2", p256(1))]
        lines = len(castle.bridge.log_lines())
        async with castle.unharmed():
            answers = [await one.begin() for one in strangers]
            answers += [await one.begin(permissions=["system"]) for one in strangers]
            assert {answer.shape for answer in answers} == {answers[0].shape}
            assert answers[0].refusal == (403, "PAIRING_CLOSED")
            assert await pending(castle) == []
        assert castle.events("enrolment-begun", lines) == castle.events("prompt-shown", lines) == []

    async def test_nor_for_an_openclaw_app(self, reborn: Reborn) -> None:
        async with reborn.castle.unharmed():
            with pytest.raises(Refused) as refused:
                await phone_of(reborn.castle).socket("node").__aenter__()
            assert refused.value.error["code"] == "NOT_PAIRED"
            assert await pending(reborn.castle) == []


class TestB12:
    """A restart changes nothing about a code: the used and the expired stay dead, the unused stays good, once.

    Guard: the codes are in the file (bridge/pairing/codes.py); with those forgotten that were there at the start, the
    unused one is dead.
    """

    async def test_after_a_restart(self, reborn: Reborn) -> None:
        castle = reborn.castle
        await open_anew(castle)
        async with castle.unharmed(store=False, heard=PAIRED):
            for dead in (reborn.used, reborn.expired):
                assert (await Stranger(reborn.port).redeem(dead)).refusal == (403, "TOKEN_REFUSED")
            assert (await Stranger(reborn.port).redeem(reborn.unused)).status == 204
            assert (await Stranger(reborn.port).redeem(reborn.unused)).refusal == (403, "TOKEN_REFUSED")


class TestB4:
    """At most ten ceremonies begin before a person looks again: a wanted code comes up with 1e-5 at most.

    Guard: `is_closed` in `CeremonyLedger.begin`, bridge/pairing/ceremony_ledger.py: all begin. Guard: `self.closed` in
    `CapState.is_closed`, bridge/pairing/ceremony_cap.py: ten minutes later ten more begin. Guard: the ledger's INSERT:
    a bridge that starts on the file is open. Guard: `give_back`: an approved one keeps its place.
    """

    async def test_a_thousand_tries_begin_ten_ceremonies(self, reborn: Reborn) -> None:
        castle, tries, places = reborn.castle, scale.scale(1000), asyncio.Semaphore(24)
        await open_anew(castle)
        lines = len(castle.bridge.log_lines())

        async def one(number: int) -> Answer:
            """One more key, from one more address."""
            async with places:
                return await Stranger(reborn.port, addresses(tries)[number], p256(number)).begin()

        async with castle.unharmed():
            answers = await asyncio.gather(*map(one, range(tries)))
            began = [answer for answer in answers if answer.status == 201]
            assert len(began) == CAP
            refused = {answer.refusal for answer in answers if answer.status != 201}
            assert refused == {(429, "TOO_MANY_CEREMONIES")}
        assert len(castle.events("enrolment-begun", lines)) == CAP, "each is in the log"
        assert castle.events("enrolment-closed", lines)
        assert self.is_closed(castle)

    async def test_time_alone_opens_nothing(self) -> None:
        state = CapState(CAP)
        for number in range(CAP):
            assert not state.is_closed(float(number))
            state = state.begin(str(number), float(number))
        for late in (float(CAP), WINDOW_S, 100 * WINDOW_S):
            assert state.is_closed(late)
        assert not state.opened().is_closed(float(CAP))

    async def test_an_approval_gives_its_place_back_and_nothing_else_does(self, reborn: Reborn) -> None:
        castle = reborn.castle
        await open_anew(castle)
        for number in range(CAP - 1):
            node = Stranger(reborn.port, addresses(CAP)[number], p256(4_000 + number))
            await node.begin()
            assert (await node.reveal(bytes(32))).status == 403, "dead, and it goes on counting"
        tenth = await Stranger(reborn.port).asked()
        assert self.is_closed(castle)
        await approve(castle, tenth.id, tenth.code)
        await eventually(lambda: not self.is_closed(castle), what="the place is given back")
        assert (await Stranger(reborn.port).begin()).status == 201
        assert (await Stranger(reborn.port, "127.0.0.2").begin()).refusal == (429, "TOO_MANY_CEREMONIES")

    @staticmethod
    def is_closed(castle: Fortress) -> bool:
        """Whether a bridge that starts now on what is written would begin nothing."""
        now = clock.now()
        return CeremonyLedger(castle.bridge.home / "bridge.sqlite3", CAP, now.mono, now.wall).closed(now.mono)


class TestB13:
    """After twenty guesses at a link there is no other: ten that need no place, and the ten of everyone.

    Guard: `LinkBegins.spend` and `_count` in `Enrolment.begin`, bridge/pairing/enrolment.py: without either all are
    answered with TOKEN_REFUSED.
    """

    async def test_twenty_guesses_close_it(self, reborn: Reborn) -> None:
        link = await reborn.castle.link("device")
        await open_anew(reborn.castle)
        async with reborn.castle.unharmed():
            guesses = [replace(link, token=bytes([number] * 32)) for number in range(2 * CAP + 5)]
            answers = [(await Stranger(reborn.port).redeem(guess)).refusal for guess in guesses]
            assert answers == [(403, "TOKEN_REFUSED")] * 2 * CAP + [(429, "TOO_MANY_CEREMONIES")] * 5
        await open_anew(reborn.castle)
        assert (await Stranger(reborn.port).redeem(link)).status == 204


@contextmanager
def multicast(address: str) -> Iterator[socket.socket]:
    """Hears and says what is heard on the network of an interface (RFC 6762)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        heard.bind(("", MDNS[1]))
        group, interface = (socket.inet_aton(each) for each in (MDNS[0], address))
        heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + interface)
        heard.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        heard.setblocking(False)
        yield heard


def name_of(text: str) -> bytes:
    """Return a name as DNS writes it."""
    labels = [label.encode() for label in text.strip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(name: bytes, kind: int, data: bytes, ttl: int = 0) -> bytes:
    """Return one resource record, by default one that takes leave."""
    return name + struct.pack("!HHIH", kind, 0x8001, ttl, len(data)) + data


def farewells(instance: str, node_id: str) -> list[bytes]:
    """Return answers that say that a service is gone, or that a node is unpaired."""
    service, full = name_of(NODE_SERVICE), bytes([len(instance.encode())]) + instance.encode() + name_of(NODE_SERVICE)
    text = b"".join(bytes([len(pair)]) + pair for pair in (b"unpaired=1", b"sf=1", b"id=" + node_id.encode()))
    head = struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 0)
    records = (record(service, 12, full), record(full, 16, text), record(full, 16, text, 4500), record(full, 33, b""))
    return [head + each for each in records]


@needs_lan
class TestOnTheNetwork:
    """B14, B17: what is advertised holds no token, and what others advertise unpairs nobody.

    Guard: `build_records` takes no more than names, pin and ports (bridge/discovery_records.py); with the link said to
    the multicast group by `mint_native_link` (bridge/code_desk.py) it is heard here. Guard: the bridge only advertises;
    with a reader of the group in bridge/daemon.py that revokes the node of an `unpaired=1`, the store changes.
    """

    async def test_no_token_is_advertised(self, reborn: Reborn) -> None:
        castle, packets = reborn.castle, list[bytes]()
        with multicast(LAN[0]) as network:
            link = await castle.link("device")
            network.sendto(struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + name_of(NODE_SERVICE) + b"\0\x0c\0\1", MDNS)
            await eventually(lambda: self.hear(network, packets), what="the bridge is advertised")
            assert (await Stranger(reborn.port).redeem(link)).status == 204
            self.hear(network, packets)
        assert not any(spelling in packet for packet in packets for spelling in spellings(link))

    @staticmethod
    def hear(network: socket.socket, packets: list[bytes]) -> bool:
        with suppress(BlockingIOError):
            while True:
                packets.append(network.recv(9000))
        return any(b"Test Bridge" in packet and packet[2] & 0x80 for packet in packets)

    async def test_a_farewell_of_another_unpairs_nobody(self, reborn: Reborn) -> None:
        castle = reborn.castle
        async with castle.unharmed():
            with multicast(LAN[0]) as network:
                for instance in ("Test Bridge (Clawdis Bridge)", "Canary", castle.canary.node_id[:60]):
                    for packet in farewells(instance, castle.canary.node_id):
                        network.sendto(packet, MDNS)
                await castle.bridge.ask(castle.bridge.client.status)
            assert castle.canary.node_id in castle.store()
