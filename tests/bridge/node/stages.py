"""Native nodes of tests, and who they pair with: the double, or any other bridge that offers the same few things."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.node.native_enrolment import DeviceFacts, Enrolled, NativeEnrolment, Wishes
from bridge.node.native_identity import NodeIdentity
from bridge.node.pairing_errors import EnrolmentError
from bridge.pairing.native_link import NativeLink
from certs.keys import NodePrivateKey
from tests.doubles.pairing_bridge import PairingBridge, pairing_bridge
from tests.support.waiting import eventually

FACTS = DeviceFacts("Anna\u2019s iPad", "iPadOS 26.1", "i-1", device_family="iPad", version="1.0")
WISHES = Wishes(("screen", "device"), ("screen.show", "device.info"), ("voice", "screen", "device"))
KINDS = ("p256", "ed25519")


class Stage(Protocol):
    """A bridge, and the person who sits before it."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def spki(self) -> str: ...

    async def approve(self, code: str) -> None:
        """Approve the one request that waits, with the code that its node shows."""

    async def deny(self) -> None:
        """Deny the one request that waits."""

    async def invite(self) -> NativeLink:
        """Make a native link."""


@dataclass
class DoubleStage:
    """The double as a stage."""

    double: PairingBridge

    @property
    def host(self) -> str:
        return self.double.host

    @property
    def port(self) -> int:
        return self.double.port

    @property
    def spki(self) -> str:
        return self.double.spki

    async def approve(self, code: str) -> None:
        await self.double.approve(code)

    async def deny(self) -> None:
        await self.double.deny()

    async def invite(self) -> NativeLink:
        token = secrets.token_bytes(32)
        self.double.tokens["t-1"] = token
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
        return NativeLink(self.host, self.port, self.spki, "t-1", token, expires_at)


@asynccontextmanager
async def double_stage(folder: Path) -> AsyncIterator[DoubleStage]:
    """The double on a loopback port."""
    async with pairing_bridge(folder) as double:
        yield DoubleStage(double)


def new_key(kind: str = "p256") -> NodePrivateKey:
    """Make a node's key."""
    return ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else Ed25519PrivateKey.generate()


class Node:
    """A node that pairs, and the codes that it showed.

    Args:
        where: a stage or a double.
        key: its key; None makes one.
        more: further arguments of `NativeEnrolment`; `port` to knock elsewhere.
    """

    def __init__(self, where: Any, key: NodePrivateKey | None = None, **more: Any) -> None:
        self.key = key or new_key()
        self.codes: list[str] = []
        host, port = where.host, more.pop("port", where.port)
        self.enrolment = NativeEnrolment(host, port, self.key, FACTS, WISHES, self.codes.append, **more)

    async def code(self) -> str:
        """Wait for its code."""
        await eventually(lambda: bool(self.codes), what="a code on the node")
        return self.codes[0]


@asynccontextmanager
async def enrolling(node: Node) -> AsyncIterator[asyncio.Task[Enrolled]]:
    """Let a node pair beside the block."""
    async with asyncio.TaskGroup() as group:
        yield group.create_task(node.enrolment.enrol())


async def approved(node: Node, stage: Stage) -> Enrolled:
    """Pair a node by its code."""
    async with enrolling(node) as task:
        await stage.approve(await node.code())
        return await task


async def refusal(node: Node) -> EnrolmentError:
    """Let a node pair in vain; return why."""
    with pytest.raises(EnrolmentError) as caught:
        await node.enrolment.enrol()
    return caught.value


async def end_of(node: Node, act: Callable[[], Awaitable[object]]) -> EnrolmentError:
    """Let a node pair in vain, with something that happens once it shows its code; return why."""

    async def once_shown() -> None:
        await node.code()
        await act()

    error, _ = await asyncio.gather(refusal(node), once_shown())
    return error


async def paired(double: PairingBridge, kind: str = "p256") -> NodeIdentity:
    """Pair a node with the double by a link; return what it keeps."""
    link = await DoubleStage(double).invite()
    return (await Node(double, new_key(kind), link=link).enrolment.enrol()).identity
