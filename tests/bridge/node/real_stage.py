"""The real bridge, in this process, as a stage for native nodes: they pair with it as with the double."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bridge.pairing.desk import PairingRequest
from bridge.pairing.native_link import NativeLink, read_link
from tests.bridge.house import House, house


@dataclass
class RealStage:
    """A house as a stage."""

    house: House

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        return self.house.nodes.port

    @property
    def spki(self) -> str:
        return self.house.certificates.identity.spki

    def _request(self) -> PairingRequest:
        (request,) = self.house.reception.desk.pending()
        return request

    async def approve(self, code: str) -> None:
        await self.house.reception.approve(self._request(), None, None, code)

    async def deny(self) -> None:
        self.house.reception.deny(self._request())

    async def invite(self) -> NativeLink:
        made = await self.house.operations.codes.mint_native_link(["voice", "screen", "device"], None, 300, "127.0.0.1")
        return read_link(made.link, datetime.now(UTC))


@asynccontextmanager
async def real_stage(folder: Path) -> AsyncIterator[RealStage]:
    """A bridge whose gateway is not there, on loopback ports."""
    folder.mkdir(mode=0o700, exist_ok=True)
    async with house(folder) as made:
        yield RealStage(made)
