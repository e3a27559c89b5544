"""The bridge's own operator connection to the gateway: kept open, with no more scopes than the phones' calls need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bridge import __version__
from bridge.log import Log
from bridge.upstream.channel import Channel, explain, keep_up, note_dropped
from bridge.upstream.secret import SecretError, SecretSource
from gateway_client.connection import GatewayConnection
from gateway_client.errors import GatewayError
from gateway_client.frames import Event, JsonObject, object_of
from gateway_client.protocol import ConnectProfile, Dropped
from gateway_client.retry import REFUSED_S, needs_a_person, wait_before_retry

SCOPES = ("operator.read", "operator.write")

LinkState = Literal["connected", "connecting", "refused", "down"]


def operator_profile(scopes: tuple[str, ...]) -> ConnectProfile:
    """Returns the backend operator of gateway-protocol §11.6, with these scopes."""
    client: JsonObject = {
        "id": "gateway-client",
        "displayName": "Clawdis Bridge",
        "version": __version__,
        "platform": "bridge",
        "mode": "backend",
    }
    return ConnectProfile(client, "operator", scopes)


class OperatorLink(Channel):
    """See the module's text.

    Args:
        url: the gateway, on loopback.
        secret: finds the credentials, anew for each attempt.
    """

    def __init__(self, url: str, secret: SecretSource, log: Log) -> None:
        super().__init__()
        self.url = url
        self.state: LinkState = "connecting"
        self.detail: str | None = None
        self.hello: JsonObject = {}
        self._secret = secret
        self._log = log.bind(link="operator")
        self._on_event: list[Callable[[Event], None]] = []
        self._on_change: list[Callable[[bool], None]] = []
        self._on_gap: list[Callable[[], None]] = []

    @property
    def version(self) -> str | None:
        """The gateway's version, once it said so."""
        version = object_of(self.hello.get("server")).get("version")
        return version if isinstance(version, str) else None

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """Calls `listener` with each event of the gateway."""
        self._on_event.append(listener)

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Calls `listener` with True when the link opens and False when it ends."""
        self._on_change.append(listener)

    def on_gap(self, listener: Callable[[], None]) -> None:
        """Calls `listener` when an event was lost, so that what the gateway streams has a gap."""
        self._on_gap.append(listener)

    async def run(self) -> None:
        """Keeps the link up until it is cancelled."""
        await keep_up(self._once, self._secret.rest)

    async def _once(self, planned: float) -> float:
        gone: GatewayError
        origin = ""
        try:
            credentials = await self._secret.read()
            origin = credentials.origin
            async with GatewayConnection(self.url, operator_profile(SCOPES), credentials, None) as connection:
                self._opened(connection)
                gone = await connection.run(self._dispatch, self._dropped)
        except SecretError as exc:
            self._failed("refused", str(exc))
            return REFUSED_S
        except GatewayError as exc:
            gone = exc
        except Exception as exc:  # whatever it was, the link has to come back
            self._log.exception("operator-link-failed")
            self._failed("down", f"an unexpected fault: {type(exc).__name__}. The log tells more")
            return planned
        finally:
            self._closed()
        self._failed("refused" if needs_a_person(gone) else "down", explain(gone, self.url, origin))
        return wait_before_retry(gone, planned)

    def _opened(self, connection: GatewayConnection) -> None:
        self._connection, self.hello = connection, connection.hello
        self.state, self.detail = "connected", None
        self._log.info("gateway-connected", version=self.version)
        for listener in self._on_change:
            listener(True)

    def _closed(self) -> None:
        if self._connection is None:
            return
        self._connection = None
        for listener in self._on_change:
            listener(False)

    def _failed(self, state: LinkState, detail: str) -> None:
        if (self.state, self.detail) != (state, detail):  # said once, not at every attempt
            self._log.warning("gateway-not-connected", state=state, detail=detail)
        self.state, self.detail = state, detail

    def _dispatch(self, event: Event) -> None:
        for listener in self._on_event:
            listener(event)

    def _dropped(self, dropped: Dropped) -> None:
        note_dropped(self._log, dropped)
        if dropped.head.kind == "res":
            return
        for listener in self._on_gap:
            listener()
