"""The advertiser against a real browser on the LAN, and against a failing library."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Awaitable
from ipaddress import ip_address

import pytest
from zeroconf import IPVersion, NonUniqueNameException, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from bridge.addresses import ListenAddress, machine_addresses, select_addresses
from bridge.discovery import CLOSE_S, START_S, STOP_S, Advertiser, DiscoveryState, Interfaces
from bridge.discovery_records import APP_SERVICE, NODE_SERVICE, ServiceRecord, build_records, choose_names
from tests.support.waiting import eventually

PIN = "5e" * 32
LOOPBACKS = [ListenAddress(ip_address("127.0.0.1"), "lo", 1), ListenAddress(ip_address("::1"), "lo", 1)]
LAN = [
    each
    for each in select_addresses(["auto"], machine_addresses(), allow_public=False)
    if not each.is_loopback and each.address.version == 4
]
needs_lan = pytest.mark.skipif(not LAN, reason="this machine has no LAN address")


def records(name: str = "Test", *, node_port: int | None = 18790) -> list[ServiceRecord]:
    """Records under names that no other test on this network uses."""
    chance = secrets.token_hex(4)
    return build_records(choose_names(f"{name} {chance}", chance), PIN, app_port=18794, node_port=node_port)


class Browser:
    """A phone's view of the network: which services are there now."""

    def __init__(self) -> None:
        self.zeroconf = AsyncZeroconf(interfaces=[str(each.address) for each in LAN], ip_version=IPVersion.V4Only)
        self.seen: set[str] = set()
        self.browser = AsyncServiceBrowser(
            self.zeroconf.zeroconf, [APP_SERVICE, NODE_SERVICE], handlers=[self._on_change]
        )

    def _on_change(self, zeroconf: object, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            self.seen.discard(name)
        else:
            self.seen.add(name)

    async def resolve(self, record: ServiceRecord) -> AsyncServiceInfo:
        await eventually(lambda: record.full_name in self.seen, what=f"{record.full_name} appears")
        info = AsyncServiceInfo(record.service, record.full_name)
        assert await info.async_request(self.zeroconf.zeroconf, 5000)
        return info

    async def close(self) -> None:
        await self.browser.async_cancel()
        await self.zeroconf.async_close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    phone = Browser()
    yield phone
    await phone.close()


@needs_lan
async def test_a_browser_finds_both_services_with_addresses_port_and_txt(browser: Browser) -> None:
    advertised = records()
    async with Advertiser(advertised, [*LOOPBACKS, *LAN]) as advertiser:
        assert advertiser.state is DiscoveryState.ON
        assert advertiser.status.detail is None
        for record in advertised:
            info = await browser.resolve(record)
            assert info.port == record.port
            assert info.server == f"{record.host}."
            assert info.decoded_properties == record.txt
            assert sorted(info.parsed_addresses()) == sorted(str(each.address) for each in LAN)


@needs_lan
async def test_a_name_with_emoji_equals_and_quotes_arrives_unchanged(browser: Browser) -> None:
    (record,) = records('a=b "\U0001f99e" \\032 .x', node_port=None)
    async with Advertiser([record], LAN):
        info = await browser.resolve(record)
    assert info.decoded_properties["displayName"] == record.txt["displayName"]
    assert info.get_name() == record.instance


@needs_lan
async def test_leaving_takes_the_services_off_the_air(browser: Browser) -> None:
    advertised = records()
    async with Advertiser(advertised, LAN) as advertiser:
        for record in advertised:
            await browser.resolve(record)
    assert advertiser.state is DiscoveryState.OFF
    names = {record.full_name for record in advertised}
    await eventually(lambda: not names & browser.seen, what="the goodbyes arrive")


@needs_lan
async def test_a_name_in_use_is_a_conflict_and_ours_stays_off_the_air(browser: Browser) -> None:
    (ours,) = records(node_port=None)
    theirs = ServiceRecord(ours.service, ours.instance, "clawdis-bridge-ffffffff.local", 4444, ours.txt)
    async with Advertiser([theirs], LAN) as first:
        assert first.state is DiscoveryState.ON
        async with Advertiser([ours], LAN) as second:
            assert second.state is DiscoveryState.CONFLICT
            assert ours.instance in (second.status.detail or "")
            info = await browser.resolve(ours)
            assert info.port == 4444
        assert second.state is DiscoveryState.CONFLICT
        assert first.state is DiscoveryState.ON
        assert not [name for name in browser.seen if name.startswith(f"{ours.instance}-")]


class ProbeLost(AsyncZeroconf):
    """A responder whose own probe finds the name taken, as it does across two machines."""

    async def async_register_service(self, *_: object, **__: object) -> Awaitable[None]:
        raise NonUniqueNameException


@needs_lan
async def test_a_lost_probe_is_the_same_conflict() -> None:
    def losing(interfaces: Interfaces, ip_version: IPVersion) -> AsyncZeroconf:
        return ProbeLost(interfaces=interfaces, ip_version=ip_version)

    async with Advertiser(records(), LAN, open_zeroconf=losing) as advertiser:
        assert advertiser.state is DiscoveryState.CONFLICT


@needs_lan
async def test_an_echo_of_ourselves_is_no_conflict() -> None:
    (ours,) = records(node_port=None)
    async with Advertiser([ours], LAN) as first, Advertiser([ours], LAN) as again:
        assert first.state is DiscoveryState.ON
        assert again.state is DiscoveryState.ON


@needs_lan
async def test_the_same_names_can_be_announced_again_after_a_restart() -> None:
    advertised = records(node_port=None)
    for _ in range(2):
        async with Advertiser(advertised, LAN) as advertiser:
            assert advertiser.state is DiscoveryState.ON


class Opened:
    """An `open_zeroconf` that records what it was asked for and then fails in a chosen way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls: list[tuple[Interfaces, IPVersion]] = []

    def __call__(self, interfaces: Interfaces, ip_version: IPVersion) -> AsyncZeroconf:
        self.calls.append((interfaces, ip_version))
        raise self.error


@pytest.mark.parametrize(
    "addresses",
    [[], LOOPBACKS, [ListenAddress(ip_address("0.0.0.0"))]],
    ids=["none", "loopback", "wildcard"],
)
async def test_without_an_address_to_tell_nothing_is_opened(addresses: list[ListenAddress]) -> None:
    opened = Opened(AssertionError("a socket was opened"))
    async with Advertiser(records(), addresses, open_zeroconf=opened) as advertiser:
        assert advertiser.state is DiscoveryState.OFF
        assert advertiser.status.detail
    assert opened.calls == []


async def test_before_it_is_entered_it_is_off() -> None:
    assert Advertiser(records(), LAN).state is DiscoveryState.OFF


@pytest.mark.parametrize(
    "error, reason",
    [
        (OSError(98, "Address already in use"), "UDP port 5353"),
        (OSError(19, "No such device"), "No such device"),
        (RuntimeError("no adapter"), "RuntimeError: no adapter"),
        (TimeoutError(), "longer than"),
    ],
)
async def test_a_failing_library_is_a_state_and_no_exception(error: Exception, reason: str) -> None:
    async with Advertiser(
        records(), [ListenAddress(ip_address("10.0.0.1"))], open_zeroconf=Opened(error)
    ) as advertiser:
        assert advertiser.state is DiscoveryState.FAILED
        assert reason in (advertiser.status.detail or "")
        assert "clawdis-bridge pair --qr" in (advertiser.status.detail or "")
    assert advertiser.state is DiscoveryState.FAILED


async def test_where_no_app_is_let_in_a_failure_speaks_of_native_codes() -> None:
    names = choose_names("Mac", "0a1b2c3d")
    native = build_records(names, PIN, app_port=None, node_port=18790)
    here = [ListenAddress(ip_address("10.0.0.1"))]
    async with Advertiser(native, here, open_zeroconf=Opened(OSError(19, "No such device"))) as advertiser:
        assert (advertiser.status.detail or "").endswith("clawdis-bridge pair --qr --native")


# The library forgets its wildcard socket when an interface is gone; the collector closes it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_an_address_that_has_gone_is_a_failure() -> None:
    async with Advertiser(records(), [ListenAddress(ip_address("10.255.255.1"))]) as advertiser:
        assert advertiser.state is DiscoveryState.FAILED
        gc.collect()


async def test_a_responder_that_could_join_no_interface_is_a_failure() -> None:
    def deaf(interfaces: Interfaces, ip_version: IPVersion) -> AsyncZeroconf:
        return AsyncZeroconf(interfaces=[], ip_version=ip_version)

    async with Advertiser(records(), [ListenAddress(ip_address("10.0.0.1"))], open_zeroconf=deaf) as advertiser:
        assert advertiser.state is DiscoveryState.FAILED
        assert "takes multicast" in (advertiser.status.detail or "")


async def test_only_the_listening_interfaces_are_used_each_once() -> None:
    opened = Opened(OSError(19, "No such device"))
    addresses = [
        *LOOPBACKS,
        ListenAddress(ip_address("192.168.1.20"), "en0", 4),
        ListenAddress(ip_address("fe80::aa"), "en0", 4),
        ListenAddress(ip_address("fd00::20"), "en0", 4),
        ListenAddress(ip_address("fe80::aa"), "en1", 5),
    ]
    async with Advertiser(records(), addresses, open_zeroconf=opened):
        assert opened.calls == [(["192.168.1.20", 4, 5], IPVersion.All)]


@pytest.mark.parametrize("address, version", [("10.0.0.1", IPVersion.V4Only), ("fd00::1", IPVersion.V6Only)])
async def test_one_family_is_enough(address: str, version: IPVersion) -> None:
    opened = Opened(OSError(19, "No such device"))
    async with Advertiser(records(), [ListenAddress(ip_address(address), "en0", 4)], open_zeroconf=opened):
        assert [call[1] for call in opened.calls] == [version]


@needs_lan
async def test_being_cancelled_while_starting_passes_on_and_leaves_nothing_open() -> None:
    opened: list[AsyncZeroconf] = []

    def remember(interfaces: Interfaces, ip_version: IPVersion) -> AsyncZeroconf:
        opened.append(AsyncZeroconf(interfaces=interfaces, ip_version=ip_version))
        return opened[0]

    advertiser = Advertiser(records(), LAN, open_zeroconf=remember)
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(advertiser.__aenter__())
        await eventually(lambda: opened, what="the responder is opened")
        assert advertiser.state is DiscoveryState.STARTING
        starting.cancel()
    assert starting.cancelled()
    assert opened[0].zeroconf.done


class MuteGoodbye(AsyncZeroconf):
    """A responder whose first goodbye never ends."""

    goodbyes = 0

    async def async_unregister_all_services(self) -> None:
        self.goodbyes += 1
        if self.goodbyes == 1:
            await asyncio.Event().wait()
        await super().async_unregister_all_services()


@needs_lan
async def test_a_goodbye_that_hangs_delays_the_stop_for_a_bounded_time_only() -> None:
    opened: list[MuteGoodbye] = []

    def mute(interfaces: Interfaces, ip_version: IPVersion) -> AsyncZeroconf:
        opened.append(MuteGoodbye(interfaces=interfaces, ip_version=ip_version))
        return opened[0]

    async with asyncio.timeout(START_S + STOP_S + CLOSE_S), Advertiser(records(), LAN, open_zeroconf=mute):
        assert opened[0].goodbyes == 0
    assert opened[0].zeroconf.done
