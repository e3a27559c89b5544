"""F1 to F8 at the daemon: limits hold against one address and many, floods, loops, other names and restarts.

An honest phone meets none of them. What needs a clock or a million addresses is in test_f_tables.py.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.control.limit_documents import LimitsInUse
from bridge.lan.bound_socket import BACKLOG
from bridge.node.native_identity import NodeIdentity
from bridge.node.phone import Phone
from bridge.node.phone_state import PhoneSetup
from gateway_client.frames import JsonObject
from tests.attacks.floods import LINKED, KeptOut, codes, cpu_s, flooded, heard, joined, pour, req
from tests.attacks.fortress import Fortress, fortress
from tests.attacks.strangers import PAIRED, Stranger, addresses, open_anew
from tests.bridge.lan.wire import HOST, UPGRADE, client_context, masked
from tests.real.conftest import bootstrap_token
from tests.support.scale import is_full, scale
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOP_S = 60  # F4
LINES = 100  # F4: of the log
CORE = 0.05  # F4: of a core
GENEROUS = 1.0 if is_full() else 5.0  # a bound on a machine that does other things, too


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keep() -> AsyncIterator[Fortress]:
    """A bridge with the limits and the log of an ordinary one."""
    async with fortress(limits={}, log_level="info") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brief() -> AsyncIterator[Fortress]:
    """A bridge whose penalties are over soon, and that begins three ceremonies."""
    async with fortress(limits={"penalty_s": 2}, pairing={"ceremonies_per_window": "3"}) as made:
        yield made


async def in_use(castle: Fortress) -> LimitsInUse:
    return (await castle.bridge.ask(castle.bridge.client.status)).limits_in_use


def turned_away(use: LimitsInUse) -> int:
    return sum(use.turned_away.values())


# F1.


async def dialled(stack: AsyncExitStack, castle: Fortress, address: str, count: int) -> None:
    """Connects and says nothing, until the end of the stack; where the line is full the system tries again too late."""
    loop = asyncio.get_running_loop()
    for number in range(count):
        if number % (BACKLOG // 2) == 0:
            await in_use(castle)
        dialling = stack.enter_context(socket.socket())
        dialling.setblocking(False)
        dialling.bind((address, 0))
        with suppress(OSError):
            await loop.sock_connect(dialling, (HOST, castle.node_port))


async def test_f1_a_thousand_connections_of_one_address_and_of_a_hundred(keep: Fortress) -> None:
    """Guard: `_has_place` in `Door.enter`, bridge/lan/door.py (True in its place): more than 8, then more than 32, hold
    a place. Guard: `strangers` there (as many as `total`): the canary has none."""
    async with keep.unharmed(heard=LINKED), AsyncExitStack() as stack:
        before = turned_away(await in_use(keep))

        async def look(count: int) -> LimitsInUse | None:
            use = await in_use(keep)
            return use if turned_away(use) - before >= count else None

        await dialled(stack, keep, "127.0.0.2", 1_000)
        use = await eventually(lambda: look(992), what="992 turned away")
        assert 0 < use.strangers <= 8
        for address in addresses(100):
            await dialled(stack, keep, address, 10)
        use = await eventually(lambda: look(1_900), what="1,900 turned away")
        assert 8 < use.strangers <= 32
        await keep.invoked()


# F2.


async def test_f2_below_served_above_refused_and_served_again(brief: Fortress, tmp_path: Path) -> None:
    """Guard: `IN_A_ROW` (acl/refusals.py; 1,000 in its place): the eleventh is answered. Guard: `penalty_left` in
    `Session._on_connect` (0 in its place): the key is in again at once. Guard: `+ self._penalty_s` in `Hub.penalise`
    (times 1,000): it never is."""
    node = await brief.paired()
    async with brief.unharmed(heard=LINKED):
        async with joined(brief, node, tmp_path, "127.0.0.3") as peer:
            await pour(peer, [req("config.set")] * 8)
            assert codes((await heard(peer, 8))[0]) == ["INVALID_REQUEST"] * 8
            await pour(peer, [req("health")])
            assert (await heard(peer, 1))[0][0]["ok"], "and its row is over"
        async with joined(brief, node, tmp_path, "127.0.0.3") as peer:
            await pour(peer, [req("config.set")] * 11)
            _, closed = await heard(peer, 12)
            assert closed == (1008, "repeated refused calls")
        with pytest.raises(KeptOut) as kept:
            async with joined(brief, node, tmp_path, "127.0.0.3"):
                pass
        error = kept.value.error
        assert (error["code"], error["details"], error["retryable"]) == ("UNAVAILABLE", {"reason": "busy"}, True)
        assert 0 < error["retryAfterMs"] <= 2_000
        assert [one.node_id for one in (await in_use(brief)).penalties] == [node.node_id]
        await brief.invoked()

        async def over() -> bool:
            return (await in_use(brief)).penalties == []

        await eventually(over, timeout_s=10, what="the penalty is over")
        async with joined(brief, node, tmp_path, "127.0.0.3") as peer:
            await pour(peer, [req("health")])
            assert (await heard(peer, 1))[0][0]["ok"]


# F3.


async def test_f3_ten_thousand_calls_at_once(brief: Fortress, tmp_path: Path) -> None:
    """Guard: `_stopped` in `Intake.take`, bridge/lan/intake.py: ten thousand are served. Guard: `is_too_much` there:
    ten thousand are answered."""
    node = await brief.paired()
    flood = await flooded(brief, node, tmp_path, "node.pluginSurface.refresh", 10_000)
    assert flood.closed == (1008, "too many calls")
    served, limited = codes(flood.answers).count("UNAVAILABLE"), codes(flood.answers).count("RATE_LIMITED")
    assert 40 <= served <= 40 + 20 * flood.took + 1
    assert 80 <= limited <= 80 + 20 * flood.took + 1
    waits = [one["error"] for one in flood.answers if one["error"]["code"] == "RATE_LIMITED"]
    assert all(one["retryable"] and 0 < one["retryAfterMs"] <= 50 for one in waits)
    sys.stdout.write(f"F3: canary p95 {flood.calm * 1000:.1f} ms calm, {flood.busy * 1000:.1f} ms in the flood\n")
    assert flood.busy < max(2 * GENEROUS * flood.calm, 0.25)
    detail = await brief.bridge.ask(lambda: brief.bridge.client.node(node.node_id))
    assert detail.limits["calls"].met == limited


async def test_f3_a_flood_of_what_has_no_limit_is_read_slowly(brief: Fortress, tmp_path: Path) -> None:
    """Guard: `session.pause` in `Relay.run`, bridge/lan/relay.py: all of it is answered at once."""
    flood = await flooded(brief, await brief.paired(), tmp_path, "health", 800)
    assert (len(flood.answers), codes(flood.answers), flood.closed) == (800, [], None)
    assert flood.took > 1.5, "400 more than a burst, at 200 a second"
    assert flood.busy < max(2 * GENEROUS * flood.calm, 0.25)


# F4.


async def loop(
    castle: Fortress, node: NodeIdentity, folder: Path, call: bytes, address: str, seconds: float
) -> list[int]:
    """What a client does that understands no refusal; returns how many answers it got on each connection."""
    end, served = time.monotonic() + seconds, []
    while time.monotonic() < end:
        with suppress(KeptOut, OSError, EOFError, TimeoutError):
            async with joined(castle, node, folder, address) as peer:
                await pour(peer, [call] * 1_000)
                served.append(len((await heard(peer, 1_000))[0]))
        await asyncio.sleep(0.1)  # the pace at which it comes back
    return served


@pytest.mark.soak
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("call", "most", "address"),
    [(req("config.set"), 11, "127.0.0.9"), (req("node.event", event="exec.started"), 1_000, "127.0.0.10")],
    ids=["call", "event"],
)
async def test_f4_a_loop_on_what_is_refused_costs_less_than_it_costs_the_caller(
    keep: Fortress, tmp_path: Path, call: bytes, most: int, address: str
) -> None:
    """A forbidden call ends the socket; an event that is not permitted never does. In CI a tenth of the minute.

    Guard: `Penalise` in `Session._on_open_frame`: it comes back as often as it likes, which costs lines. Guard:
    `line` in `Relay._note`, bridge/lan/relay.py (0 in its place): a line for each event over its limit.
    """
    node = await keep.paired()
    seconds = scale(LOOP_S)
    async with keep.unharmed(heard=LINKED):
        lines, before, begin = len(keep.bridge.log_lines()), cpu_s(keep.bridge.pid), time.monotonic()
        served = await loop(keep, node, tmp_path, call, address, seconds)
        took = time.monotonic() - begin
        share = (cpu_s(keep.bridge.pid) - before) / took
        written = len(keep.bridge.log_lines()) - lines
        await keep.invoked()
    sys.stdout.write(f"F4: {took:.0f} s, {sum(served)} answers, {written} lines, {share:.2%} of a core\n")
    assert served, "it was in"
    assert max(served) <= most
    assert written <= LINES
    assert share < CORE * GENEROUS


# F7.

WAYS = {
    "a bogus token": b"",
    "X-Forwarded-For": b"X-Forwarded-For: 10.0.0.%d\r\n",
    "Forwarded": b"Forwarded: for=10.0.0.%d\r\n",
    "X-Real-IP": b"X-Real-IP: 10.0.0.%d\r\n",
}
BOGUS = {"role": "node", "minProtocol": 3, "maxProtocol": 4, "auth": {"deviceToken": "x" * 43, "token": "y" * 43}}


async def came_to_nothing(port: int, address: str, header: bytes, first: bytes) -> bool:
    """One connection that fails at `connect`; returns whether the door let it in."""
    try:
        reader, writer = await asyncio.open_connection(
            HOST, port, ssl=client_context("http/1.1"), server_hostname="x", local_addr=(address, 0)
        )
    except (OSError, EOFError):
        return False
    with suppress(OSError):
        writer.write(UPGRADE % (b"/", header) + first)
        async with asyncio.timeout(10):
            while await reader.read(65_536):
                pass
    writer.transport.abort()
    return True


@pytest.mark.parametrize("way", list(WAYS))
async def test_f7_no_field_and_no_header_makes_another_address(keep: Fortress, way: str) -> None:
    """Guard: `Door.enter` is given the socket's own address (bridge/lan/listener.py); a loopback source has the same
    limits as any other."""
    address = f"127.0.3.{list(WAYS).index(way) + 1}"
    first = masked(1, req("connect", "c", **BOGUS))
    async with keep.unharmed():
        let_in = 0
        for number in range(25):
            header = WAYS[way] % number if b"%d" in WAYS[way] else WAYS[way]
            let_in += await came_to_nothing(keep.app_port, address, header, first)
        assert let_in == 20


async def test_f7_a_proxys_greeting_is_no_tls(keep: Fortress) -> None:
    async with keep.unharmed():
        before = turned_away(await in_use(keep))
        for number in range(25):
            reader, writer = await asyncio.open_connection(HOST, keep.app_port, local_addr=("127.0.3.9", 0))
            with suppress(OSError):
                writer.write(b"PROXY TCP4 10.0.0.%d 10.0.0.2 1 2\r\n" % number)
                await writer.drain()
                while await reader.read(65_536):
                    pass
            writer.transport.abort()
        assert turned_away(await in_use(keep)) - before == 5


async def test_f7_what_an_app_does_on_its_first_visit_is_not_counted(keep: Fortress) -> None:
    """The positive control: 40 answered GETs of one address."""
    for _ in range(40):
        reader, writer = await asyncio.open_connection(
            HOST, keep.app_port, ssl=client_context("http/1.1"), server_hostname="x", local_addr=("127.0.3.20", 0)
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.read(65_536)).startswith(b"HTTP/1.1 404")
        writer.transport.abort()


# F8.


async def test_f8_a_restart_forgives_no_ceremony(brief: Fortress) -> None:
    """Guard: `CeremonyLedger` (bridge/pairing/ceremony_ledger.py) with nothing read at the start: the fourth begins."""
    await open_anew(brief)
    async with brief.unharmed(heard=PAIRED | LINKED | {"health"}):
        places = addresses(8)
        for address in places[:3]:
            assert (await Stranger(brief.node_port, address).begin()).status == 201
        assert (await Stranger(brief.node_port, places[3]).begin()).status == 429
        await brief.bridge.kill()
        await brief.bridge.start()
        await brief.bridge.connected()
        assert (await Stranger(brief.node_port, places[4]).begin()).status == 429
        await open_anew(brief)
        assert (await Stranger(brief.node_port, places[5]).begin()).status == 201, "a person opened it"


# And who does nothing wrong.

START: tuple[tuple[str, JsonObject], ...] = (
    ("config.get", {}), ("users.prefs.get", {"keys": ["ui.accent"]}), ("agents.list", {}), ("talk.config", {}),
    ("sessions.list", {"limit": 80}), ("gateway.identity.get", {}), ("voicewake.get", {}), ("exec.approval.list", {}),
    ("plugin.approval.list", {}), ("openclaw.approval.list", {}), ("chat.metadata", {}), ("models.list", {}),
    ("commands.list", {}), ("skills.status", {}), ("tasks.list", {}), ("question.list", {}),
    ("tools.effective", {"sessionKey": "main"}),
    ("chat.history", {"sessionKey": "main"}), ("sessions.subscribe", {}), ("health", {}),
)  # fmt: skip
"""What an iPhone asks on its operator socket after every connect, and when its chat is opened (mobile-clients §5.2)."""


async def test_an_ordinary_iphone_meets_no_limit(keep: Fortress) -> None:
    """Its whole start, twice in a row, and a chat at the pace of a person."""
    code = await keep.bridge.ask(lambda: keep.bridge.client.mint_setup_code(None, "phone", 300, None))
    token = bootstrap_token(code.setup_code)
    keep.secrets += [token, code.setup_code]
    setup = PhoneSetup(HOST, keep.app_port, keep.bridge.pin, bootstrap_token=token, health_s=0.5)
    async with Phone(setup) as phone:
        await phone.wait_connected()
        await phone.wait_operator()
        answers = await asyncio.gather(*(phone.operator_request(method, params) for method, params in START))
        for number in range(12):
            sent: JsonObject = {"sessionKey": "main", "message": f"hello {number}", "idempotencyKey": f"k{number}"}
            answers += [await phone.operator_request("chat.send", sent), await phone.say(f"and {number}")]
            answers.append(await phone.event("node.host.stats", {"cpuCount": 6}))
        assert [one.error.code for one in answers if one.error and one.error.code == "RATE_LIMITED"] == []
        assert (phone.closes, phone.connected, phone.operator_connected) == ([], True, True)
        detail = await keep.bridge.ask(lambda: keep.bridge.client.node(phone.identity.device_id))
    assert {name: use.met for name, use in detail.limits.items() if use.met} == {}
    assert set(detail.refused) <= {"scope"}
    assert detail.penalty_s is None
