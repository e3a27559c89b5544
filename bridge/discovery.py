"""The advertiser: puts the bridge's services on the air and takes them off again.

It is a convenience: whatever happens to it is a state for `status`, never an exception, and the bridge serves on.
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from zeroconf import DNSQuestionType, IPVersion, NonUniqueNameException, ServiceInfo
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from bridge.addresses import ListenAddress
from bridge.discovery_records import APP_SERVICE, ServiceRecord

START_S = 10.0  # seconds for asking, probing and announcing, which take some 4 s for two services
ASK_MS = 1500  # milliseconds; a responder may wait 1 s with a multicast answer that it gave just before (RFC 6762 6)
STOP_S = 3.0  # seconds for the goodbye packets
CLOSE_S = 2.0  # seconds for closing the sockets

Interfaces = list[str | int | tuple[tuple[str, int, int], int]]
OpenZeroconf = Callable[[Interfaces, IPVersion], AsyncZeroconf]


class DiscoveryState(StrEnum):
    """Whether phones can find the bridge."""

    OFF = "off"
    """Nothing is advertised, because nothing should be."""
    STARTING = "starting"
    """The names are being probed (RFC 6762 section 8)."""
    ON = "on"
    """All records are on the air."""
    CONFLICT = "conflict"
    """Another machine uses the name; ours was kept off the air, because phones know the bridge by it."""
    FAILED = "failed"
    """The system or the library did not let us."""


@dataclass(frozen=True, slots=True)
class DiscoveryStatus:
    """The state with the reason for it."""

    state: DiscoveryState
    """Whether phones can find the bridge."""
    detail: str | None = None
    """Why, and what to do; None when there is nothing to say."""


class Advertiser:
    """Advertises records for as long as the `async with` block runs.

    Entering takes about 4 seconds and never more than 15; leaving sends goodbyes and takes at most 5. Neither
    raises anything but cancellation. An advertiser is used once.
    """

    def __init__(
        self,
        records: Sequence[ServiceRecord],
        addresses: Sequence[ListenAddress],
        *,
        open_zeroconf: OpenZeroconf | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            records: the services.
            addresses: the addresses listened on; loopback ones are left out, and with no other one nothing is
                opened or sent.
            open_zeroconf: makes the responder; None: the real one.
        """
        self._reachable = [each for each in addresses if not each.is_loopback and not each.address.is_unspecified]
        self._services = [_service(record, self._reachable) for record in records]
        self._open = open_zeroconf if open_zeroconf is not None else _open_zeroconf
        self._zeroconf: AsyncZeroconf | None = None
        self._status = DiscoveryStatus(DiscoveryState.OFF)

    @property
    def status(self) -> DiscoveryStatus:
        """The state now, with its reason."""
        return self._status

    @property
    def state(self) -> DiscoveryState:
        """The state now."""
        return self._status.state

    async def __aenter__(self) -> Self:
        """Probe and announce; the outcome is in `status`."""
        if not self._reachable or not self._services:
            self._status = DiscoveryStatus(DiscoveryState.OFF, "only this machine can reach the bridge")
            return self
        self._status = DiscoveryStatus(DiscoveryState.STARTING)
        try:
            self._status = await self._announce()
        finally:  # also when cancelled: the sockets must not outlive us
            if self._status.state is not DiscoveryState.ON:
                await self._close()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Say goodbye and close; the records leave the air."""
        await self._close()
        if self._status.state is DiscoveryState.ON:
            self._status = DiscoveryStatus(DiscoveryState.OFF, "stopped")

    async def _announce(self) -> DiscoveryStatus:
        """Register every service; the first refusal decides for all."""
        try:
            async with asyncio.timeout(START_S):
                zeroconf = self._open(_interfaces(self._reachable), _ip_version(self._reachable))
                self._zeroconf = zeroconf
                await zeroconf.zeroconf.async_wait_for_start()
                if not zeroconf.zeroconf.engine.senders:
                    return self._failed("no interface of the listening addresses takes multicast")
                if any(await asyncio.gather(*(_is_taken(zeroconf, each) for each in self._services))):
                    return _conflict(self._services)
                for service in self._services:
                    announced = await zeroconf.async_register_service(service, allow_name_change=False)
                    await announced
        except NonUniqueNameException:
            return _conflict(self._services)
        except TimeoutError:
            return self._failed(f"the announcement took longer than {START_S:.0f} s")
        except OSError as error:
            return self._failed(_system_reason(error))
        except Exception as error:  # whatever the library raises: the bridge serves on without it
            return self._failed(f"{type(error).__name__}: {error}")
        return DiscoveryStatus(DiscoveryState.ON)

    def _failed(self, reason: str) -> DiscoveryStatus:
        by_code = "clawdis-bridge pair --qr"
        if not any(each.type == APP_SERVICE for each in self._services):
            by_code += " --native"  # apps are not let in
        return DiscoveryStatus(
            DiscoveryState.FAILED, f"not advertised: {reason}. Phones can still pair by code: {by_code}"
        )

    async def _close(self) -> None:
        """Say goodbye for whatever was announced, then close the sockets, each within its time; idempotent."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is None:
            return
        try:
            with contextlib.suppress(Exception):  # a goodbye that cannot be sent: the records age out by themselves
                async with asyncio.timeout(STOP_S):
                    await zeroconf.async_unregister_all_services()
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await zeroconf.async_close()


def _open_zeroconf(interfaces: Interfaces, ip_version: IPVersion) -> AsyncZeroconf:
    """The real responder, on these interfaces and no other."""
    return AsyncZeroconf(interfaces=interfaces, ip_version=ip_version)


async def _is_taken(zeroconf: AsyncZeroconf, service: ServiceInfo) -> bool:
    """Whether a machine of another name answers for the service.

    The library's own probe asks for unicast answers, which a second responder on this machine (macOS always has
    one) may take from the shared port; this question is answered by multicast.
    """
    found = AsyncServiceInfo(service.type, service.name)
    await found.async_request(zeroconf.zeroconf, ASK_MS, question_type=DNSQuestionType.QM)
    return found.server is not None and found.server.lower() != (service.server or "").lower()


def _service(record: ServiceRecord, addresses: Sequence[ListenAddress]) -> ServiceInfo:
    """The library's form of a record with exactly these addresses."""
    return ServiceInfo(
        record.service,
        record.full_name,
        port=record.port,
        properties=dict(record.txt),
        server=f"{record.host}.",
        addresses=[each.address.packed for each in addresses],
    )


def _interfaces(addresses: Sequence[ListenAddress]) -> Interfaces:
    """The library's names for interfaces: the address for IPv4, the number for IPv6, each once."""
    ipv4 = [str(each.address) for each in addresses if each.address.version == 4]
    ipv6 = [each.index for each in addresses if each.address.version == 6 and each.index]
    return [*dict.fromkeys(ipv4), *dict.fromkeys(ipv6)]


def _ip_version(addresses: Sequence[ListenAddress]) -> IPVersion:
    """The address families that the addresses are of."""
    versions = {each.address.version for each in addresses}
    if versions == {4, 6}:
        return IPVersion.All
    return IPVersion.V4Only if versions == {4} else IPVersion.V6Only


def _conflict(services: Sequence[ServiceInfo]) -> DiscoveryStatus:
    name = services[0].get_name()
    detail = (
        f"another machine on this network already calls itself {name!r}. Rename or stop the other one, then restart "
        "this bridge; the name is not changed by itself, because phones would lose their pairing"
    )
    return DiscoveryStatus(DiscoveryState.CONFLICT, detail)


def _system_reason(error: OSError) -> str:
    """An operating system error in words that help."""
    if error.errno == errno.EADDRINUSE:
        return "UDP port 5353 is taken by another program that does not share it (see: lsof -i udp:5353)"
    return error.strerror or str(error) or type(error).__name__
