"""A request whose end comes in an unlucky moment: as its answer is read, or when nobody reads."""

import asyncio

import pytest
from websockets import State

from gateway_client.connection import GatewayConnection
from gateway_client.errors import GatewayGoneError
from gateway_client.frames import Event
from tests.gateway_client.gateway_double import Peer, connection, gateway
from tests.support.waiting import eventually


@pytest.mark.parametrize("readable", [True, False])
async def test_a_request_cancelled_as_its_answer_is_read(readable: bool) -> None:
    arrived = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.take()
        await peer.event("cancel it now")
        await peer.answer(request, "well" if readable else [[]] * 200_001)
        await (await peer.socket.ping())  # answered when the client holds all of the above
        arrived.set()
        await peer.socket.close()

    async with gateway(script) as double, connection(double.url) as made, asyncio.TaskGroup() as group:
        task = group.create_task(made.request("health", {}))

        def on_event(event: Event) -> None:
            task.cancel()

        await arrived.wait()
        (end,) = await asyncio.gather(made.run(on_event), return_exceptions=True)
        assert isinstance(end, GatewayGoneError), end
    assert task.cancelled()


async def test_closing_fails_what_waits_even_when_nobody_reads() -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.take()
        asked.set()
        await peer.socket.wait_closed()

    async with gateway(script) as double, connection(double.url) as made, asyncio.TaskGroup() as group:
        waiting = group.create_task(_ending(made))
        await asked.wait()
        await made.close(1001, "going away")
        async with asyncio.timeout(5):
            gone = await waiting
    assert (gone.code, gone.reason) == (1001, "going away")


async def test_a_goodbye_that_nobody_waits_for_any_more_leaves_no_socket() -> None:
    """Red when the peer, which may keep its own goodbye to itself, is what closes the socket."""
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        peer.socket.transport.pause_reading()
        await over.wait()
        peer.socket.transport.resume_reading()

    async with gateway(script) as double, connection(double.url) as made, asyncio.TaskGroup() as group:
        closing = group.create_task(made.close())
        await eventually(lambda: made._socket.state is not State.OPEN)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        is_gone = made._socket.transport.is_closing()
        over.set()
    assert is_gone
    assert closing.cancelled()


async def _ending(made: GatewayConnection) -> GatewayGoneError:
    with pytest.raises(GatewayGoneError) as caught:
        await made.request("health", {}, wait_s=None)
    return caught.value
