"""Sends the calls of phones to the gateway, each when its turn has come, and tells their sockets the one outcome.

Who may go next is decided by `fair_queue`. What a node owes to the gateway (progress and results, acknowledgements) is
about what is under way there, so it has a lane of its own and waits for nobody's calls; a result stays behind its
progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from bridge.lan.events import Answered, Fault, Forward, Link, Unanswered
from bridge.lan.traffic import MAX_FORWARDED
from bridge.log import Log
from bridge.tasks import Tasks
from bridge.upstream import dispatches
from bridge.upstream.blame import Blame
from bridge.upstream.channel import Channel, LinkDownError
from bridge.upstream.fair_queue import FairQueue, Ticket
from bridge.upstream.node_link import Attached
from gateway_client.errors import (
    GatewayError,
    GatewayGoneError,
    RequestTimeoutError,
    RequestTooLargeError,
    TooManyRequestsError,
    UnreadableAnswerError,
)
from gateway_client.frames import FrameFault, JsonObject, Response

PLACES = 32  # calls that the gateway is answering at a time, of all phones: a quarter of what it works on (128)
# Calls of all phones, waiting and running: the operator link holds 512 unanswered requests, and 32 are left for the
# bridge's own. A call costs a task and its parameters, some 4 KiB; those above 64 KiB are in the byte budget as well.
MAX_CALLS = 480
MAX_CALLS_OF_NODE = 64  # a socket has at most 32 (lan.traffic), and a phone has two
# What a socket owes to the gateway beside its calls: a result for each invoke that may be in flight, its unanswered
# progress (17 KiB each), and by the bridge one acknowledgement and one subscription at a time. Copies of a result that
# many share wait for these places.
MAX_OWED = dispatches.PLACES + MAX_FORWARDED + 2
PLACE_S = 30.0  # seconds for which an unanswered call keeps its place: what takes longer is meant to
_POLICY, _SLOW = 1008, "slow consumer"  # how the gateway ends a connection in which more than 50 MiB wait
TURN_S = 30.0  # seconds that a call without a time limit of its own waits for a place
_LARGE = frozenset({"node.invoke"})  # calls whose answers may be as large as what the gateway keeps for a connection
_WAITS = frozenset({"agent.wait"})  # calls that are nothing but waiting: they take no place from those that are work


class Peer(Attached, Protocol):
    """A socket of a phone."""

    @property
    def node_id(self) -> str | None:
        """The key's id."""

    def carry(self) -> Callable[[], None]:
        """Keeps the bytes of the message at hand in the budget until what is returned is called."""


@dataclass(slots=True)
class _Call:
    """A call under way. Its parameters are let go of when they have been sent."""

    key: str
    method: str
    params: JsonObject = field(repr=False)
    link: Link
    is_owed: bool
    deadline: float | None

    def take_params(self) -> JsonObject:
        params, self.params = self.params, {}
        return params


class Forwarding:
    """See the module's text.

    Args:
        channel_for: finds the connection for a socket's call, and waits for it when it is being made, which what is
            owed (True) to an open one does not; raises `LinkDownError`.
        places: calls that the gateway is answering at a time.
        place_s: seconds for which an unanswered one keeps its place.
        tasks: own what is under way.
        settled: is told the method of each call that ended, and how: "ok", the code of an error, or a fault.
    """

    def __init__(
        self,
        channel_for: Callable[[Peer, Link, bool], Awaitable[Channel]],
        tasks: Tasks,
        log: Log,
        *,
        places: int = PLACES,
        place_s: float = PLACE_S,
        settled: Callable[[str, str], None] = lambda method, outcome: None,
    ) -> None:
        self.queue = FairQueue(places, MAX_CALLS, MAX_CALLS_OF_NODE)
        self._channel_for = channel_for
        self._place_s = place_s
        self._tasks = tasks
        self._settled = settled
        self._log = log
        self._blame = Blame()
        self._turns: dict[Ticket, asyncio.Event] = {}
        self._under_way: dict[Peer, dict[asyncio.Task[None], bool]] = {}
        """For each socket, and whether it is owed."""

    def of(self, peer: Peer) -> set[asyncio.Task[None]]:
        """Returns what is under way for a socket."""
        return set(self._under_way.get(peer, ()))

    def forward(self, peer: Peer, command: Forward) -> None:
        """Sends a request to the gateway; the socket is told its answer, or that there is none.

        The time that it may take begins now, and goes on while it waits for its turn.
        """
        ticket = None
        if command.owed:
            has_room = sum(self._under_way.get(peer, {}).values()) < MAX_OWED
        else:
            ticket = None if self._rests(peer, command.method) else self.queue.enter(peer.node_id or "")
            has_room = ticket is not None
        if not has_room:
            self._settled(command.method, Fault.BUSY.value)
            self._tasks.spawn("forward", _post(peer, Unanswered(command.key, Fault.BUSY), command.delay_s))
            return
        now = asyncio.get_running_loop().time()
        deadline = None if command.wait_s is None else now + command.delay_s + command.wait_s
        call = _Call(command.key, command.method, command.params, command.link, command.owed, deadline)
        work = self._run(peer, call, command.delay_s, ticket, peer.carry())
        task = self._tasks.spawn("forward", work)
        self._under_way.setdefault(peer, {})[task] = command.owed
        task.add_done_callback(lambda done: self._ended(peer, done, ticket))

    def _rests(self, peer: Peer, method: str) -> bool:
        return method in _LARGE and self._blame.rests(peer.node_id or "", asyncio.get_running_loop().time())

    def _ended(self, peer: Peer, done: asyncio.Task[None], ticket: Ticket | None) -> None:
        if ticket is not None:
            self.queue.leave(ticket)
            self._turns.pop(ticket, None)
            self._admit()
        owned = self._under_way.get(peer, {})
        owned.pop(done, None)
        if not owned:
            self._under_way.pop(peer, None)

    async def _run(
        self, peer: Peer, call: _Call, delay_s: float, ticket: Ticket | None, put_down: Callable[[], None]
    ) -> None:
        try:
            await asyncio.sleep(delay_s)
            answer = await self._request(peer, call, ticket, put_down)
        except (LinkDownError, GatewayError) as exc:
            fault = _fault(exc)
            self._consider(peer, call, exc)
            self._settled(call.method, fault.value)
            peer.post(Unanswered(call.key, fault))
        else:
            self._settled(call.method, "ok" if answer.ok else answer.error.code if answer.error else "error")
            peer.post(Answered(call.key, answer))
        finally:
            put_down()

    def _consider(self, peer: Peer, call: _Call, exc: LinkDownError | GatewayError) -> None:
        """Too much waited for the bridge on the connection that all phones share: not again for the same one."""
        if not isinstance(exc, GatewayGoneError) or exc.code != _POLICY or not exc.reason.startswith(_SLOW):
            return
        if call.link is Link.OPERATOR and call.method in _LARGE:
            seconds = self._blame.hit(peer.node_id or "", asyncio.get_running_loop().time())
            self._log.warning("large-answers-stopped", node=peer.node_id, seconds=int(seconds))

    async def _request(self, peer: Peer, call: _Call, ticket: Ticket | None, put_down: Callable[[], None]) -> Response:
        def interim(response: Response) -> None:
            self._give_back(ticket)  # an agent's turn takes minutes from here on
            peer.post(Answered(call.key, response, final=False))

        loop = asyncio.get_running_loop()
        channel = await self._channel_for(peer, call.link, call.is_owed)
        await self._turn(ticket, call)
        patience = loop.call_later(self._place_s, self._give_back, ticket)
        left = None if call.deadline is None else max(0.0, call.deadline - loop.time())
        try:
            return await channel.request(
                call.method, call.take_params(), wait_s=left, on_interim=interim, on_sent=put_down
            )
        finally:
            patience.cancel()

    async def _turn(self, ticket: Ticket | None, call: _Call) -> None:
        """Waits for a place.

        Raises:
            TooManyRequestsError: the call's time was over before there was one; nothing was sent.
        """
        if ticket is None or call.method in _WAITS:
            return
        turn = self._turns[ticket] = asyncio.Event()
        self.queue.line_up(ticket)
        self._admit()
        limit = asyncio.get_running_loop().time() + TURN_S if call.deadline is None else call.deadline
        try:
            async with asyncio.timeout_at(limit):
                await turn.wait()
        except TimeoutError as exc:
            raise TooManyRequestsError(f"{call.method}: no place in time") from exc

    def _give_back(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            self.queue.give_back(ticket)
            self._admit()

    def _admit(self) -> None:
        for ticket in self.queue.admit():
            self._turns[ticket].set()


async def _post(peer: Peer, event: Unanswered, delay_s: float) -> None:
    await asyncio.sleep(delay_s)  # what is sent again and again would otherwise come back at once, each time
    peer.post(event)


def _fault(exc: LinkDownError | GatewayError) -> Fault:
    match exc:
        case LinkDownError():
            return Fault.DOWN
        case RequestTimeoutError():
            return Fault.TIMEOUT
        case RequestTooLargeError():
            return Fault.TOO_LARGE
        case UnreadableAnswerError(fault=FrameFault.TOO_LARGE):
            return Fault.ANSWER_TOO_LARGE
        case UnreadableAnswerError():
            return Fault.UNREADABLE
        case TooManyRequestsError():
            return Fault.BUSY
        case _:
            return Fault.GONE
