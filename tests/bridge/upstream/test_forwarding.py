"""Calls in their turn: over a channel that answers when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from bridge.lan.events import Answered, Fault, Forward, Link, SessionEvent, Unanswered
from bridge.log import silent_log
from bridge.tasks import Tasks
from bridge.upstream.channel import Channel
from bridge.upstream.forwarding import MAX_CALLS_OF_NODE, MAX_OWED, PLACES, Forwarding, Peer
from gateway_client.errors import GatewayGoneError
from gateway_client.frames import JsonObject, Response
from tests.bridge.upstream.stage import Phone, forward
from tests.support.waiting import eventually


class Desk(Channel):
    """Remembers what it was asked, and answers by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.open: dict[str, asyncio.Future[Response]] = {}
        self.interim: dict[str, Callable[[Response], None]] = {}
        self.busiest = 0

    def request(
        self,
        method: str,
        params: JsonObject,
        *,
        wait_s: float | None = 30.0,
        on_interim: Callable[[Response], None] | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """Take a request; its name is the parameter `name`."""
        name = str(params["name"])
        self.asked.append(name)
        if on_sent is not None:
            on_sent()
        if on_interim is not None:
            self.interim[name] = on_interim
        self.open[name] = asyncio.get_running_loop().create_future()
        self.busiest = max(self.busiest, len(self.open))
        return self._answer(name, self.open[name])

    async def _answer(self, name: str, future: asyncio.Future[Response]) -> Response:
        try:
            return await future
        finally:
            del self.open[name]

    def answer(self, name: str) -> None:
        """Answer one."""
        self.open[name].set_result(Response(name, True, {}))

    def end(self, code: int, reason: str) -> None:
        """End the connection."""
        for future in self.open.values():
            future.set_exception(GatewayGoneError(code, reason))

    def accept(self, name: str) -> None:
        """Give the first of two answers."""
        self.interim[name](Response(name, True, {"status": "accepted"}))


class Room:
    """A forwarding and its desk."""

    def __init__(self, tasks: Tasks, **changes: Any) -> None:
        self.desk = Desk()
        self.forwarding = Forwarding(self._channel, tasks, silent_log(), **changes)

    async def _channel(self, peer: Peer, link: Link, is_owed: bool) -> Channel:
        return self.desk

    def ask(self, phone: Phone, name: str, method: str = "node.list", **changes: Any) -> Forward:
        """Forward a call."""
        command = replace(forward(name, method, {"name": name}), **changes)
        self.forwarding.forward(phone, command)
        return command

    async def count(self, number: int) -> None:
        """Wait until so many have been sent."""
        await eventually(lambda: len(self.desk.asked) >= number, what="sent")


@pytest_asyncio.fixture
async def room() -> AsyncIterator[Room]:
    async with Tasks(silent_log()) as tasks:
        yield Room(tasks)


def said(phone: Phone) -> list[SessionEvent]:
    return list(phone.told)


async def test_a_flood_waits_and_another_phone_goes_before_it(room: Room) -> None:
    """Red when places are given in the order of asking."""
    flood, other = Phone("a"), Phone("b")
    for number in range(40):
        room.ask(flood, f"a{number}")
    await room.count(PLACES // 2)
    room.ask(other, "b0")
    await eventually(lambda: "b0" in room.desk.open)
    assert len(room.desk.asked) == PLACES // 2 + 1
    room.desk.answer("a0")
    await eventually(lambda: len(room.desk.asked) > PLACES // 2 + 1 or other.told)
    assert room.desk.busiest <= PLACES


async def test_never_more_than_the_places_are_at_the_gateway(room: Room) -> None:
    phones = [Phone(str(number)) for number in range(12)]
    for phone in phones:
        for number in range(20):
            room.ask(phone, f"{phone.node_id}-{number}")
    while sum(len(phone.of(Answered)) for phone in phones) < 240:
        await eventually(lambda: any(not future.done() for future in room.desk.open.values()), step_s=0.001)
        for name, future in list(room.desk.open.items()):
            if not future.done():
                room.desk.answer(name)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await eventually(lambda: room.forwarding.queue.entered == 0)
    assert room.desk.busiest <= PLACES
    assert room.forwarding.queue.held == 0


async def test_an_agent_keeps_no_place_for_its_whole_turn(room: Room) -> None:
    """Red when the place is given back only at the final answer."""
    phone = Phone("a")
    for number in range(40):
        room.ask(phone, f"a{number}", "agent", wait_s=None)
        await room.count(number + 1)
        room.desk.accept(f"a{number}")
    assert room.forwarding.queue.held == 0
    assert room.forwarding.queue.entered == 40


async def test_what_only_waits_takes_no_place(room: Room) -> None:
    phone = Phone("a")
    for number in range(MAX_CALLS_OF_NODE - 1):
        room.ask(phone, f"w{number}", "agent.wait")
    room.ask(phone, "call")
    await room.count(MAX_CALLS_OF_NODE)
    room.ask(phone, "more")
    await eventually(lambda: phone.of(Unanswered))
    assert said(phone) == [Unanswered("more", Fault.BUSY)]


async def test_the_time_of_a_call_goes_on_while_it_waits(room: Room) -> None:
    """Red when the wait for a place has no end: the gateway never answers here."""
    phone = Phone("a")
    for number in range(PLACES // 2):
        room.ask(phone, f"a{number}")
    await room.count(PLACES // 2)
    room.ask(phone, "late", wait_s=0.05)
    await eventually(lambda: phone.of(Unanswered))
    assert said(phone) == [Unanswered("late", Fault.BUSY)]
    assert "late" not in room.desk.asked
    assert room.forwarding.queue.waiting == 0


async def test_what_is_owed_passes_by_the_queue(room: Room) -> None:
    phone = Phone("a")
    for number in range(30):
        room.ask(phone, f"a{number}")
    room.ask(phone, "result", "node.invoke.result", owed=True)
    await eventually(lambda: "result" in room.desk.open)


async def test_what_is_owed_and_finds_no_room_comes_back_only_after_its_delay(room: Room) -> None:
    """Red when the refusal is told at once: a result that is sent again would spin until there is room."""
    phone = Phone("a")
    for number in range(MAX_OWED):
        room.ask(phone, f"o{number}", "node.invoke.result", owed=True)
    await room.count(MAX_OWED)
    started = asyncio.get_running_loop().time()
    again = [room.ask(phone, f"again{number}", "node.invoke.result", owed=True, delay_s=0.1) for number in range(5)]
    await eventually(lambda: len(phone.of(Unanswered)) == len(again))
    assert asyncio.get_running_loop().time() - started >= 0.1
    assert {event.fault for event in phone.of(Unanswered)} == {Fault.BUSY}


async def test_a_message_is_put_down_when_its_call_is_sent_and_kept_while_it_waits(room: Room) -> None:
    """Red when the bytes of a queued call leave the budget, and when those of a sent one stay in it."""
    phone = Phone("a")
    for number in range(PLACES // 2 + 3):
        room.ask(phone, f"a{number}")
    await room.count(PLACES // 2)
    assert (phone.carried, phone.put_down) == (PLACES // 2 + 3, PLACES // 2)


async def test_a_socket_that_ends_leaves_the_queue(room: Room) -> None:
    phone, other = Phone("a"), Phone("b")
    for number in range(30):
        room.ask(phone, f"a{number}")
    room.ask(other, "b0")
    for task in room.forwarding.of(phone):
        task.cancel()
    await eventually(lambda: room.forwarding.queue.entered == 1)
    assert room.forwarding.of(phone) == set()


async def test_large_answers_that_ended_the_shared_connection_are_not_asked_for_again_by_the_same_phone(
    room: Room,
) -> None:
    """Red without the blame: one phone ends the operator link of all as often as it likes."""
    large, other = Phone("a"), Phone("b")
    for number in range(3):
        room.ask(large, f"a{number}", "node.invoke")
    room.ask(other, "b0")
    await room.count(4)
    room.desk.end(1008, "slow consumer")
    await eventually(lambda: len(large.of(Unanswered)) == 3 and other.of(Unanswered))
    room.ask(large, "again", "node.invoke")
    room.ask(large, "small")
    room.ask(other, "b1", "node.invoke")
    await eventually(lambda: {"small", "b1"} <= room.desk.open.keys())
    assert large.outcomes("again") == [Unanswered("again", Fault.BUSY)]


@pytest.mark.parametrize(("code", "reason"), [(1008, "invalid"), (1012, "slow consumer"), (1006, "")])
async def test_other_ends_are_nobodys_fault(room: Room, code: int, reason: str) -> None:
    phone = Phone("a")
    room.ask(phone, "a0", "node.invoke")
    await room.count(1)
    room.desk.end(code, reason)
    await eventually(lambda: phone.of(Unanswered))
    room.ask(phone, "again", "node.invoke")
    await eventually(lambda: "again" in room.desk.open)


async def test_what_takes_long_gives_its_place_back_and_goes_on() -> None:
    """Red without `patience`: two phones whose calls are never answered would keep the last place from a third."""
    async with Tasks(silent_log()) as tasks:
        room = Room(tasks, places=1, place_s=0.05)
        slow, other = Phone("a"), Phone("b")
        room.ask(slow, "slow")
        await room.count(1)
        room.ask(other, "quick")
        await room.count(2)
        room.desk.answer("quick")
        await eventually(lambda: other.outcomes("quick"))
        room.desk.answer("slow")
        await eventually(lambda: slow.outcomes("slow"))
