"""A handler for listeners under test, and what its guests say."""

from __future__ import annotations

from aiohttp import WSMsgType

from bridge.lan.listener import Upgraded
from tests.bridge.lan.wire import Peer


class Guests:
    """A handler that keeps its sockets open, and lets them in on the word `let me in`."""

    def __init__(self) -> None:
        self.inside: list[Upgraded] = []
        self.bytes = 0

    async def __call__(self, upgraded: Upgraded) -> None:
        self.inside.append(upgraded)
        try:
            async for message in upgraded.socket:
                self.bytes += len(message.data)
                if message.data == b"let me in":
                    upgraded.promote()
                    await upgraded.socket.send_frame(b"welcome", WSMsgType.TEXT)
        finally:
            self.inside.remove(upgraded)


async def let_in(guest: Peer) -> None:
    await guest.upgrade()
    await guest.send(b"let me in")
    assert (await guest.frame()).payload == b"welcome"
