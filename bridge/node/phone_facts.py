"""What is known of a simulated phone, and how to wait for a fact about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway_client.connection import GatewayConnection
from gateway_client.errors import GatewayGoneError
from gateway_client.frames import ErrorShape, Event, JsonObject, Response

WAIT_S = 10.0  # seconds a test or the demo waits for a fact unless it says otherwise


class PhoneFacts:
    """Everything that happened to the phone called `name`."""

    def __init__(self, name: str) -> None:
        self.received: list[Event] = []
        """Every event, of both sockets, in order."""
        self.commands: list[JsonObject] = []
        """The payload of every `node.invoke.request`, in order."""
        self.refusals: list[ErrorShape] = []
        """Every refused `connect`, in order."""
        self.closes: list[GatewayGoneError] = []
        """How every connection ended, in order."""
        self.operator_answers: dict[str, Response] = {}
        """What the operator socket was answered after its last connect, by method."""
        self.in_background = False
        """Whether the app is in the background."""
        self.paused = False
        """Whether the app gave up until its user taps Retry (`resume`)."""
        self._name = name
        self._node: GatewayConnection | None = None
        self._operator: GatewayConnection | None = None
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the node socket is open."""
        return self._node is not None

    @property
    def operator_connected(self) -> bool:
        """Whether the operator socket is open."""
        return self._operator is not None

    @property
    def hello(self) -> JsonObject:
        """hello-ok of the node socket, empty when it is not open."""
        return self._node.hello if self._node is not None else {}

    async def until(self, fact: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
        """Waits until `fact` holds; it is looked at whenever something changed on the phone.

        Raises:
            TimeoutError: it did not hold in time; the text says what was waited for.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._when(fact)
        except TimeoutError:
            last = self.refusals[-1].message if self.refusals else "never refused"
            raise TimeoutError(f"{self._name}: no {what} within {timeout_s:g} s (last refusal: {last})") from None

    async def wait_connected(self, timeout_s: float = WAIT_S) -> None:
        """Waits for hello-ok on the node socket."""
        await self.until(lambda: self.connected, "hello-ok", timeout_s)

    async def wait_operator(self, timeout_s: float = WAIT_S) -> None:
        """Waits for hello-ok on the operator socket."""
        await self.until(lambda: self.operator_connected, "operator hello-ok", timeout_s)

    async def wait_refused(self, timeout_s: float = WAIT_S) -> ErrorShape:
        """Waits for a refused `connect`; returns the last."""
        await self.until(lambda: bool(self.refusals), "refusal", timeout_s)
        return self.refusals[-1]

    async def wait_closed(self, timeout_s: float = WAIT_S) -> GatewayGoneError:
        """Waits for the end of a connection; returns how the last one ended."""
        await self.until(lambda: bool(self.closes), "close", timeout_s)
        return self.closes[-1]

    async def _when(self, fact: Callable[[], bool]) -> None:
        while not fact():
            self._changed.clear()
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
