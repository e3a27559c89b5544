"""Messages that cannot be taken: what they cost, and what goes on beside them."""

import asyncio

import pytest

from gateway_client.connection import MAX_MESSAGE
from gateway_client.errors import UnreadableAnswerError
from gateway_client.frames import FrameFault, Json, Response
from gateway_client.protocol import Dropped
from tests.gateway_client.gateway_double import Peer, connection, gateway, talking


@pytest.mark.parametrize("garbage", ["nonsense", b"\xff\xfe", '{"type":"event","event":"e","event":"f"}'])
async def test_garbage_costs_an_open_connection_nothing_else(garbage: str | bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.take()
        await peer.socket.send(garbage)
        await peer.answer(request, "well")
        await peer.echo()

    dropped: list[Dropped] = []
    async with gateway(script) as double, connection(double.url) as made, asyncio.TaskGroup() as group:
        group.create_task(made.run(lambda event: None, dropped.append))
        assert (await made.request("health", {})).payload == "well"
        await made.close()
    assert [one.size for one in dropped] == [len(garbage)]
    assert double.closes == [1000]


async def test_an_answer_that_cannot_be_read_fails_its_request_at_once_and_no_other() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        spoilt, other = await peer.take(), await peer.take()
        deep: Json = []
        for _ in range(100):
            deep = [deep]
        await peer.answer(spoilt, deep)
        await peer.answer(other, "well")
        await peer.echo()

    async with gateway(script) as double, talking(connection(double.url)) as made:
        spoilt, other = await asyncio.gather(
            made.request("node.invoke", {}), made.request("health", {}), return_exceptions=True
        )
        assert isinstance(spoilt, UnreadableAnswerError)
        assert spoilt.fault is FrameFault.TOO_DEEP
        assert isinstance(other, Response)
        assert (other.payload, (await made.request("health", {"n": 1})).payload) == ("well", {"n": 1})


async def test_what_is_too_long_to_be_used_fails_its_request_and_no_other() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.answer(await peer.take(), "x" * (MAX_MESSAGE - 1024))
        await peer.echo()

    async with gateway(script) as double, talking(connection(double.url)) as made:
        with pytest.raises(UnreadableAnswerError, match="too-large"):
            await made.request("node.invoke", {})
        assert (await made.request("health", {})).ok


async def test_a_message_beyond_150_mib_ends_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.socket.send(b" " * 157_286_401)
        await peer.socket.wait_closed()

    async with gateway(script) as double, connection(double.url) as made:
        gone = await made.run(lambda event: None)
    assert gone.code == 1009
