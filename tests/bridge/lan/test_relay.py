"""One socket over real TLS: the order of frames, the end of it, timers, and peers that do not read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from bridge.lan.coalesced import FIRST
from bridge.lan.events import Answered, Ended, FileRequest, Forward, FromGateway, Join, Penalise, Received, Report
from bridge.lan.listener import Deadlines
from bridge.lan.relay import BUFFER_BYTES, IOS_FRAME_BYTES, RESUME_BYTES, Relay
from gateway_client.frames import Event
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.phones import IPHONE, NODE_TOKEN, Json
from tests.bridge.lan.playbook import book, good
from tests.bridge.lan.rooms import TERMS, Caller, Rooms, call
from tests.bridge.lan.wire import CLOSE
from tests.support.waiting import eventually

QUICK = Deadlines(shutdown_s=0.2)


def paired(buffer_max_bytes: int = TERMS.buffer_max_bytes) -> Rooms:
    return Rooms(book(IPHONE.record()), replace(TERMS, buffer_max_bytes=buffer_max_bytes))


def resident_bytes() -> int:
    """Returns the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def wake(number: int, size: int = 0) -> FromGateway:
    return FromGateway(Event("voicewake.changed", {"triggers": [f"{number}", "x" * size]}))


def invoke(command: str, timeout_ms: int = 30_000) -> FromGateway:
    return FromGateway(Event("node.invoke.request", {"id": "i1", "command": command, "timeoutMs": timeout_ms}))


async def test_a_phone_gets_in_and_its_rooms_hear_of_it(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        hello = await phone.gets_in()
        assert hello["type"] == "hello-ok"
        assert hello["server"]["connId"] == "conn-0"
        (join,) = rooms.of(Join)
        assert rooms.relays[0].admitted == join.record
        assert rooms.relays[0].node_id == IPHONE.node_id
    assert rooms.left == rooms.relays


async def test_frames_arrive_in_the_order_in_which_they_were_sent(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        for number in range(500):
            rooms.relays[0].post(wake(number, 1_000))
        seen = [(await phone.read())["payload"]["triggers"][0] for _ in range(500)]
    assert seen == [str(number) for number in range(500)]


async def test_what_happens_on_joining_comes_after_hello_and_before_early_frames(serve: Serve) -> None:
    rooms = paired()
    rooms.admitting = False
    rooms.on_join = lambda relay: relay.post(wake(0))
    async with call(serve, rooms, IPHONE) as phone:
        await phone.connects({"token": NODE_TOKEN})
        await phone.asks("health", request_id="early")
        await eventually(lambda: rooms.asked)
        (admit,) = rooms.asked
        rooms.admitting = True
        rooms.admit(rooms.relays[0], admit)  # type: ignore[arg-type]  # the one thing that was asked
        assert (await phone.read())["payload"]["type"] == "hello-ok"
        assert (await phone.read())["event"] == "voicewake.changed"
        assert (await phone.read())["id"] == "early"


async def test_the_close_comes_after_everything_that_was_sent(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        for number in range(50):
            rooms.relays[0].post(wake(number, 10_000))
        rooms.relays[0].post(Ended(1012, "bridge stopping", restart=True))
        rooms.relays[0].post(wake(99))
        seen = [await phone.read() for _ in range(51)]
        assert seen[-1] == {"type": "event", "event": "shutdown", "payload": {"reason": "bridge stopping"}}
        assert (await phone.wire.frame()).close == (1012, "bridge stopping")


async def test_a_refusal_is_read_before_the_close(serve: Serve) -> None:
    async with call(serve, paired(), IPHONE) as phone:
        await phone.connects({"token": "wrong"})
        assert (await phone.read())["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
        assert (await phone.wire.frame()).close == (1008, "unauthorized: token mismatch")


@pytest.mark.parametrize("answers", [True, False])
async def test_a_peer_that_is_closed_is_gone_whether_it_answers_or_not(serve: Serve, answers: bool) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE, QUICK) as phone:
        await phone.gets_in()
        rooms.relays[0].post(Ended(4001, "device removed"))
        assert await phone.ended() == (4001, "device removed")
        if answers:
            await phone.wire.send((4001).to_bytes(2), CLOSE)
        await phone.wire.rest(5.0)
        await eventually(lambda: rooms.left)


async def test_a_peer_that_vanishes_ends_what_it_was_doing(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        rooms.relays[0].post(invoke("screen.show"))
        assert (await phone.read())["payload"]["command"] == "screen.show"
        await phone.wire.end()
        await eventually(lambda: rooms.left)
    (report,) = rooms.of(Report)
    assert (report.invoke_id, report.error.code) == ("i1", "NODE_DISCONNECTED")


async def test_who_comes_again_and_again_does_not_fill_the_log(serve: Serve) -> None:
    """Red when `joined` or `left` is written each time: a phone may come as often as it likes."""
    rooms = paired()
    for _ in range(8):
        async with call(serve, rooms, IPHONE, QUICK) as phone:
            await phone.gets_in()
    lines = [orjson.loads(line) for line in rooms.log.getvalue().splitlines()]
    for event in ("joined", "left"):
        said = [line for line in lines if line["event"] == event]
        assert [line["level"] for line in said] == ["info"] * FIRST + ["debug"] * 3
        assert {(line["role"], line["address"]) for line in said} == {("node", "127.0.0.1")}


# Timers.


async def test_a_socket_that_does_not_connect_is_closed_when_its_time_is_up(serve: Serve) -> None:
    rooms = Rooms(book(), opened_s_ago=9.8)
    async with call(serve, rooms, IPHONE) as phone:
        assert (await phone.read())["event"] == "connect.challenge"
        assert (await phone.wire.frame()).close == (1000, "")


async def test_the_timer_follows_the_next_deadline(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        rooms.relays[0].post(invoke("screen.show", timeout_ms=100))
        await eventually(lambda: rooms.of(Report), timeout_s=5.0)
        assert rooms.of(Report)[0].error.code == "TIMEOUT"


# Sizes.


async def big_answer(phone: Caller, rooms: Rooms, size: int) -> Json:
    await phone.asks("voicewake.get", request_id=f"r{size}")
    await eventually(lambda: len(rooms.of(Forward)) > 0)
    forward = rooms.of(Forward)[-1]
    rooms.asked.remove(forward)
    rooms.relays[0].post(Answered(forward.key, good({"pad": "x" * size})))
    return await phone.read()


async def test_an_answer_that_the_phone_cannot_read_is_replaced(serve: Serve) -> None:
    rooms = paired()

    def limit(relay: Relay) -> None:
        relay.frame_limit = 100_000

    rooms.on_join = limit
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        exactly = 100_000 - len(orjson.dumps({"type": "res", "id": "r99000", "ok": True, "payload": {"pad": ""}}))
        assert (await big_answer(phone, rooms, exactly))["ok"] is True
        refused = await big_answer(phone, rooms, exactly + 1)
        assert (refused["ok"], refused["error"]["code"]) == (False, "PAYLOAD_TOO_LARGE")
        assert (await big_answer(phone, rooms, 10))["ok"] is True


def test_the_limits_are_those_of_the_app_and_of_the_gateway() -> None:
    assert (IOS_FRAME_BYTES, BUFFER_BYTES) == (16_777_216, 52_428_800)


async def test_a_frame_of_ten_mebibytes_reaches_the_bridge(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        rooms.relays[0].post(invoke("device.info"))
        await phone.read()
        picture = "x" * (10 * 1024 * 1024)
        await phone.asks(
            "node.invoke.result", {"id": "i1", "nodeId": IPHONE.node_id, "ok": True, "payloadJSON": picture}
        )
        (forward,) = await eventually(lambda: rooms.of(Forward))
        assert forward.params["payloadJSON"] == picture


# Peers that do not read.


async def test_a_peer_that_never_reads_is_ended_at_the_bound(serve: Serve) -> None:
    cap = 4_000_000
    rooms = paired(buffer_max_bytes=cap)
    async with call(serve, rooms, IPHONE, QUICK) as phone:
        await phone.gets_in()
        phone.wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        before, most = resident_bytes(), 0
        for number in range(200):
            rooms.relays[0].post(wake(number, 1_000_000))
            most = max(most, resident_bytes() - before)
        assert most < 3 * cap
        await eventually(lambda: rooms.left, timeout_s=8.0)
    assert rooms.log.getvalue().count("slow-peer") == 1


async def test_a_removed_peer_that_reads_nothing_is_gone_all_the_same(serve: Serve) -> None:
    """Red when the close waits for the peer: what it does not read stands before it."""
    rooms = paired()
    async with call(serve, rooms, IPHONE, QUICK) as phone:
        await phone.gets_in()
        phone.wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        for number in range(20):
            rooms.relays[0].post(wake(number, RESUME_BYTES))
        rooms.relays[0].post(Ended(4001, "device removed"))
        await eventually(lambda: rooms.left, timeout_s=8.0)


async def test_a_peer_that_reads_nothing_is_not_listened_to_either(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        transport = phone.wire.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        for number in range(30):
            rooms.relays[0].post(wake(number, RESUME_BYTES))
        for number in range(20):
            await phone.asks("voicewake.get", request_id=f"r{number}")
        with pytest.raises(TimeoutError):
            await eventually(lambda: len(rooms.of(Forward)) > 1, timeout_s=0.5)
        transport.resume_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        for _ in range(30):
            await phone.read()
        await eventually(lambda: len(rooms.of(Forward)) == 20)


# Words.


async def test_the_log_has_names_and_counts_and_no_contents(serve: Serve) -> None:
    rooms = paired()
    async with call(serve, rooms, IPHONE) as phone:
        await phone.gets_in()
        await phone.asks("node.event", {"event": "voice.transcript", "payloadJSON": '{"text":"my PIN is 1234"}'})
        for number in range(11):
            await phone.asks("no.such.method", {"secret": "hunter2"}, f"x{number}")
        await phone.ended()
    log = rooms.log.getvalue()
    assert "no.such.method" in log
    assert IPHONE.node_id[:8] in log
    assert not [word for word in ("1234", "hunter2", NODE_TOKEN, "nonce-0") if word in log]
    assert rooms.of(Penalise) == [Penalise(IPHONE.node_id)]


async def test_a_held_socket_is_handed_to_the_desk(serve: Serve) -> None:
    rooms = Rooms(book())
    async with call(serve, rooms, IPHONE) as phone:
        await phone.connects()
        (filed,) = await eventually(lambda: rooms.of(FileRequest))
        assert filed.draft.node_id == IPHONE.node_id
        rooms.relays[0].post(Received(b"junk that waits"))
        assert rooms.relays[0].session.phase == "placing"
