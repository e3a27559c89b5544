"""Which addresses are listened on: truth tables of near and public ones, scopes, and this machine itself."""

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.addresses import (
    AddressError,
    InterfaceAddress,
    ListenAddress,
    is_near,
    machine_addresses,
    on_link_networks,
    reachable_addresses,
    select_addresses,
    unwrapped,
)


def has(interface: str, index: int, address: str, prefix: int = 24) -> InterfaceAddress:
    return InterfaceAddress(interface, index, ipaddress.ip_address(address), prefix)


MACHINE = [
    has("lo0", 1, "127.0.0.1", 8),
    has("lo0", 1, "::1", 128),
    has("lo0", 1, "fe80::1", 64),
    has("en0", 4, "192.168.1.20"),
    has("en0", 4, "fe80::aa", 64),
    has("en0", 4, "fd00::20", 64),
    has("en0", 4, "2606:4700::20", 64),
    has("en1", 5, "169.254.7.7", 16),
    has("en1", 5, "fe80::aa", 64),
    has("utun3", 9, "100.101.102.103", 32),
    has("ppp0", 11, "8.8.4.4", 32),
]


def texts(hosts: list[str], allow_public: bool = False) -> list[str]:
    return [each.text for each in select_addresses(hosts, MACHINE, allow_public)]


NEAR = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "169.254.1.1",
    "::1",
    "fe80::1",
    "febf::1",
    "fc00::1",
    "fdff::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
]
PUBLIC = [
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "192.169.0.1",
    "11.0.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "100.64.0.1",  # carrier-grade NAT: other customers of the provider
    "2606:4700::1",
    "fec0::1",  # site-local, deprecated by RFC 3879; some stacks route it
    "::ffff:8.8.8.8",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "2002:c0a8:101::1",  # 6to4 that embeds a private address
    "64:ff9b::808:808",  # NAT64 of a public address
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.251",
    "ff02::fb",
]


@pytest.mark.parametrize("address", NEAR)
def test_near_addresses(address: str) -> None:
    assert is_near(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert not is_near(ipaddress.ip_address(address))


@given(st.integers(min_value=0, max_value=2**32 - 1).map(IPv4Address))
def test_a_mapped_address_is_judged_as_the_ipv4_address_it_is(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert unwrapped(mapped) == address
    assert is_near(mapped) == is_near(address)


def test_a_link_is_shared_with_the_neighbours_of_its_prefix_once() -> None:
    odd = [has("tun0", 12, "fd01::1", 128), has("en0", 4, "fd02::1", 48), has("en0", 4, "fd00::21", 64)]
    networks = on_link_networks([*MACHINE, *odd])
    assert [str(network) for network in networks] == ["fe80::/64", "fd00::/64", "2606:4700::/64"]


@given(st.integers(min_value=0, max_value=2**128 - 1).map(IPv6Address))
def test_an_address_of_the_internet_is_never_near(address: IPv6Address) -> None:
    if address in ipaddress.ip_network("2000::/3") and address.is_global:
        assert not is_near(address)


class TestAuto:
    def test_it_takes_every_near_address_with_its_scope_and_no_other(self) -> None:
        assert texts(["auto"]) == [
            "127.0.0.1",
            "::1",
            "fe80::1%lo0",
            "192.168.1.20",
            "fe80::aa%en0",
            "fd00::20",
            "169.254.7.7",
            "fe80::aa%en1",
        ]

    def test_leave_for_public_addresses_does_not_widen_it(self) -> None:
        assert texts(["auto"], allow_public=True) == texts(["auto"])

    def test_a_machine_without_near_addresses_cannot_listen(self) -> None:
        with pytest.raises(AddressError, match="no address to listen on"):
            select_addresses(["auto"], [has("ppp0", 11, "8.8.4.4")], allow_public=True)
        with pytest.raises(AddressError, match="no address to listen on"):
            select_addresses([], MACHINE, allow_public=False)

    def test_a_mapped_address_of_an_interface_is_listened_on_as_ipv4(self) -> None:
        (found,) = select_addresses(["auto"], [has("en0", 4, "::ffff:192.168.1.20")], allow_public=False)
        assert found.socket_address(1) == ("192.168.1.20", 1)

    @given(st.lists(st.ip_addresses(), max_size=8), st.booleans())
    def test_whatever_the_machine_has_nothing_public_is_chosen(
        self, present: list[IPv4Address | IPv6Address], allow_public: bool
    ) -> None:
        machine = [InterfaceAddress("en0", 4, address, 64) for address in present]
        near = {unwrapped(address) for address in present if is_near(address)}
        try:
            chosen = select_addresses(["auto"], machine, allow_public)
        except AddressError:
            assert not near
            return
        assert {each.address for each in chosen} == near


class TestLocalhost:
    def test_it_is_the_loopback_addresses_that_exist(self) -> None:
        assert texts(["localhost"]) == ["127.0.0.1", "::1"]
        only_ipv4 = select_addresses(["localhost"], MACHINE[:1], allow_public=False)
        assert [each.text for each in only_ipv4] == ["127.0.0.1"]
        assert all(each.is_loopback for each in only_ipv4)


class TestLiterals:
    def test_an_address_is_taken_as_given(self) -> None:
        assert texts(["192.168.1.20", "::1"]) == ["192.168.1.20", "::1"]

    def test_a_known_address_gets_its_interface(self) -> None:
        (found,) = select_addresses(["192.168.1.20"], MACHINE, allow_public=False)
        assert (found.interface, found.index) == ("en0", 4)

    def test_an_address_that_is_not_there_yet_is_taken_too(self) -> None:
        (found,) = select_addresses(["10.9.9.9"], MACHINE, allow_public=False)
        assert found == ListenAddress(IPv4Address("10.9.9.9"))

    def test_other_spellings_of_one_address_are_one_address(self) -> None:
        assert texts(["fd00::20", "FD00:0:0:0:0:0:0:20", "auto"]).count("fd00::20") == 1
        assert texts(["::ffff:127.0.0.1", "127.0.0.1"]) == ["127.0.0.1"]

    def test_the_order_of_the_file_is_kept(self) -> None:
        assert texts(["192.168.1.20", "localhost"]) == ["192.168.1.20", "127.0.0.1", "::1"]

    @pytest.mark.parametrize("host", ["8.8.4.4", "100.101.102.103", "2606:4700::20", "::ffff:8.8.4.4"])
    def test_a_public_address_needs_leave(self, host: str) -> None:
        with pytest.raises(AddressError, match="not a private address") as caught:
            texts([host])
        assert "listen.allow_public" in caught.value.mend
        assert len(texts([host], allow_public=True)) == 1

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"])
    def test_a_wildcard_needs_leave(self, host: str) -> None:
        with pytest.raises(AddressError, match="every interface"):
            texts([host])
        assert texts([host], allow_public=True) in (["0.0.0.0"], ["::"])

    @pytest.mark.parametrize("allow_public", [False, True])
    @pytest.mark.parametrize("host", ["224.0.0.251", "ff02::fb", "255.255.255.255", "::ffff:224.0.0.1"])
    def test_an_address_of_many_is_never_taken(self, host: str, allow_public: bool) -> None:
        with pytest.raises(AddressError, match="multicast or broadcast"):
            texts([host], allow_public)

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "*",
            "AUTO",
            "mac.local",
            "LOCALHOST",
            "127.1",
            "0177.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "10.0.0.0/8",
            "1",
            "%",
        ],
    )
    def test_names_and_odd_spellings_are_refused(self, host: str) -> None:
        with pytest.raises(AddressError, match="no IP address"):
            texts([host], allow_public=True)

    def test_one_bad_entry_refuses_the_whole_list(self) -> None:
        with pytest.raises(AddressError) as caught:
            texts(["auto", "8.8.4.4"])
        assert caught.value.host == "8.8.4.4"


class TestScopes:
    @pytest.mark.parametrize("host", ["fe80::aa%en1", "fe80::aa%5", "FE80::AA%en1"])
    def test_a_link_local_address_is_found_on_its_interface(self, host: str) -> None:
        (found,) = select_addresses([host], MACHINE, allow_public=False)
        assert found.socket_address(18794) == ("fe80::aa", 18794, 0, 5)
        assert found.text == "fe80::aa%en1"

    def test_the_scope_may_be_left_out_when_only_one_interface_has_the_address(self) -> None:
        assert texts(["fe80::1"]) == ["fe80::1%lo0"]

    def test_the_same_address_on_two_interfaces_is_two_addresses(self) -> None:
        assert texts(["fe80::aa%en0", "fe80::aa%en1"]) == ["fe80::aa%en0", "fe80::aa%en1"]

    def test_an_ambiguous_one_is_refused(self) -> None:
        with pytest.raises(AddressError, match="more than one interface"):
            texts(["fe80::aa"])

    @pytest.mark.parametrize("host", ["fe80::aa%en7", "fe80::bb%en0", "fe80::bb"])
    def test_one_that_is_nowhere_is_refused(self, host: str) -> None:
        with pytest.raises(AddressError, match="no such interface"):
            texts([host])

    @pytest.mark.parametrize("host", ["127.0.0.1%lo0", "fd00::20%en0", "::1%1"])
    def test_a_scope_on_any_other_address_is_refused(self, host: str) -> None:
        with pytest.raises(AddressError, match="only link-local"):
            texts([host])

    def test_a_socket_address_has_no_scope_where_it_means_nothing(self) -> None:
        (found,) = select_addresses(["fd00::20"], MACHINE, allow_public=False)
        assert found.socket_address(18790) == ("fd00::20", 18790, 0, 0)


class TestThisMachine:
    def test_it_has_a_loopback_address_with_its_interface(self) -> None:
        loopback = [each for each in machine_addresses() if each.address == IPv4Address("127.0.0.1")]
        assert [each.prefix for each in loopback] == [8]
        assert socket.if_nametoindex(loopback[0].interface) == loopback[0].index

    def test_every_near_address_of_it_can_be_bound(self) -> None:
        for each in select_addresses(["auto"], machine_addresses(), allow_public=False):
            family = socket.AF_INET if each.address.version == 4 else socket.AF_INET6
            with socket.socket(family, socket.SOCK_STREAM) as listener:
                listener.bind(each.socket_address(0))
                assert listener.getsockname()[1] > 0


@pytest.mark.parametrize(
    "listening, reached",
    [
        (["192.168.1.20", "fe80::aa%en0"], ["192.168.1.20", "fe80::aa%en0"]),
        (["0.0.0.0"], ["127.0.0.1", "192.168.1.20", "169.254.7.7", "100.101.102.103", "8.8.4.4"]),
        (["::"], ["::1", "fe80::1%lo0", "fe80::aa%en0", "fd00::20", "2606:4700::20", "fe80::aa%en1"]),
        (["192.168.1.20", "0.0.0.0"], ["192.168.1.20", "127.0.0.1", "169.254.7.7", "100.101.102.103", "8.8.4.4"]),
        ([], []),
    ],
    ids=str,
)
def test_a_wildcard_is_reached_at_the_addresses_of_the_machine(listening: list[str], reached: list[str]) -> None:
    assert reachable_addresses(listening, MACHINE) == reached
    assert reachable_addresses(["0.0.0.0", "::"], []) == []
