"""What the bridge opens: its two TCP ports and UDP 5353 on the listening addresses, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import ifaddr
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from zeroconf import Zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from bridge.control.documents import Status
from bridge.discovery_records import APP_SERVICE, NODE_SERVICE
from bridge.node.native_enrolment import DeviceFacts, NativeEnrolment, Wishes
from bridge.pairing.native_link import read_link
from tests.support.bridge_process import BridgeProcess
from tests.support.iphone import pinned_context
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only on Linux: reads /proc/net")

LISTEN = "0A"
MDNS_PORT = 5353
BROWSE_MS = 3_000  # milliseconds for an answer by multicast
TABLES = ("tcp", "tcp6", "udp", "udp6")
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n"
)
Opened = set[tuple[str, str, int]]


def _address(text: str) -> str:
    raw = b"".join(struct.pack("<I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    return str(ipaddress.ip_address(raw))


def opened_by(pid: int) -> Opened:
    """Returns (protocol, address, port) of every listening TCP and every UDP socket of a process."""
    inodes: set[str] = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found: Opened = set()
    for table in TABLES:
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (table.startswith("udp") or fields[3] == LISTEN):
                host, port = fields[1].split(":")
                found.add((table[:3], _address(host), int(port, 16)))
    return found


def _lan_addresses() -> list[str]:
    """Addresses of this machine beyond loopback: one of IPv4, and one of IPv6 that needs no zone, if there is one."""
    found = [entry.ip for adapter in ifaddr.get_adapters() for entry in adapter.ips]
    four = [ip for ip in found if isinstance(ip, str) and not ip.startswith("127.")]
    six = [ip[0] for ip in found if isinstance(ip, tuple)]
    assert four, "this machine has no address beyond loopback: the test needs one"
    return four[:1] + [ip for ip in six if ipaddress.IPv6Address(ip).is_private and not _is_local(ip)][:1]


def _is_local(ip: str) -> bool:
    address = ipaddress.IPv6Address(ip)
    return address.is_link_local or address.is_loopback


def _ports(status: Status) -> set[int]:
    return {listener.port for listener in status.listeners}


async def test_beyond_loopback_it_opens_two_tcp_ports_and_mdns_and_keeps_its_names(unused_tcp_port: int) -> None:
    lan = _lan_addresses()
    hosts = ["127.0.0.1", *lan]
    bridge = BridgeProcess(f"ws://127.0.0.1:{unused_tcp_port}", None, hosts=hosts, discovery=True)
    async with bridge:
        status = await eventually(lambda: _on_the_air(bridge), timeout_s=40, what="on the air")
        assert len(_ports(status)) == 2
        tcp = {("tcp", host, port) for host in hosts for port in _ports(status)}
        assert opened_by(bridge.pid) == tcp | _multicast(lan)
        assert "wss://clawdis-bridge-" in (await bridge.cli("pair", "--qr", "--json")).stdout
        known = await asyncio.to_thread(on_the_air, lan[0])
        assert len(known) == 2
        await bridge.stop()  # and, as an app sees it, nothing has changed when it is back (mobile-clients §12, 13)
        await bridge.start()
        again = await eventually(lambda: _on_the_air(bridge), timeout_s=40, what="on the air again")
        assert (again.pin, again.spki, _ports(again)) == (status.pin, status.spki, _ports(status))
        assert await asyncio.to_thread(on_the_air, lan[0]) == known


def _multicast(lan: Sequence[str]) -> Opened:
    """What mDNS needs: a socket that hears the groups, and one for each address that speaks from it (decision 11)."""
    ear = "::" if any(":" in address for address in lan) else "0.0.0.0"
    return {("udp", address, MDNS_PORT) for address in (*lan, ear)}


def on_the_air(address: str) -> dict[str, tuple[str | None, int | None, list[str], dict[bytes, bytes | None]]]:
    """What a phone finds: by instance name, the host name, the port, the addresses and the TXT record."""
    found: dict[str, tuple[str | None, int | None, list[str], dict[bytes, bytes | None]]] = {}
    with contextlib.closing(Zeroconf(interfaces=[address])) as zeroconf:
        for kind in ("_openclaw-gw._tcp.local.", "_clawdis-bridge._tcp.local."):
            name = f"Test Bridge (Clawdis Bridge).{kind}"
            info = zeroconf.get_service_info(kind, name, timeout=10_000)
            assert info is not None, name
            found[name] = (info.server, info.port, sorted(info.parsed_addresses()), info.properties)
    return found


async def _on_the_air(bridge: BridgeProcess) -> Status | None:
    status = await bridge.ask(bridge.client.status)
    return status if status.discovery.state == "on" else None


async def test_where_certificates_are_required_apps_find_no_port_no_record_and_no_code(unused_tcp_port: int) -> None:
    """Guard out, `require_mtls` in `_listeners` (bridge/parts.py): two ports; in `_require_apps`: a setup code."""
    lan, url = _lan_addresses()[0], f"ws://127.0.0.1:{unused_tcp_port}"
    async with BridgeProcess(url, None, hosts=["127.0.0.1", lan], discovery=True, require_mtls=True) as bridge:
        status = await eventually(lambda: _on_the_air(bridge), timeout_s=40, what="on the air")
        (nodes,) = status.listeners
        assert nodes.name == "nodes"
        tcp = {(host, port) for kind, host, port in opened_by(bridge.pid) if kind == "tcp"}
        assert tcp == {("127.0.0.1", nodes.port), (lan, nodes.port)}
        assert "For apps" not in (await bridge.cli("status")).stdout
        instance = json.loads((bridge.home / "names.json").read_text())["instance"]
        assert [await _is_found(instance, service, lan) for service in (NODE_SERVICE, APP_SERVICE)] == [True, False]
        refused = await bridge.cli("pair", "--qr")
        assert refused.returncode == 1
        assert "pair --qr --native" in refused.stderr
        assert "require_mtls = false" in refused.stderr
        made = await bridge.cli(
            "pair", "--qr", "--native", "--permissions", "device", "--address", "127.0.0.1", "--json"
        )
        link = read_link(json.loads(made.stdout)["link"], datetime.now(UTC))
        key = ec.generate_private_key(ec.SECP256R1())
        wishes = Wishes((), (), ("device",))
        node = NativeEnrolment(
            link.host, link.port, key, DeviceFacts("Kiosk", "linux", "k"), wishes, lambda code: None, link=link
        )
        assert (await node.enrol()).permissions == ("device",)


async def _is_found(instance: str, service: str, lan: str) -> bool:
    async with AsyncZeroconf(interfaces=[lan]) as browser:
        found = AsyncServiceInfo(service, f"{instance}.{service}")
        return await found.async_request(browser.zeroconf, BROWSE_MS)


async def test_on_loopback_nothing_is_open_to_the_network(unused_tcp_port: int) -> None:
    async with BridgeProcess(f"ws://127.0.0.1:{unused_tcp_port}", None, discovery=True) as bridge:
        status = await bridge.ask(bridge.client.status)
        assert len(_ports(status)) == 2
        assert opened_by(bridge.pid) == {("tcp", "127.0.0.1", port) for port in _ports(status)}
        assert status.discovery.state == "off"


async def test_on_a_wildcard_a_code_names_an_address_that_a_phone_can_reach(unused_tcp_port: int) -> None:
    lan = _lan_addresses()[0]
    async with BridgeProcess(f"ws://127.0.0.1:{unused_tcp_port}", None, hosts=["0.0.0.0"]) as bridge:
        for asked in (None, lan, "127.0.0.1"):
            url = urlsplit(await _code_url(bridge, asked))
            assert url.hostname == asked if asked else not ipaddress.ip_address(str(url.hostname)).is_loopback
            reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=pinned_context())
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 404")
            writer.close()


async def _code_url(bridge: BridgeProcess, address: str | None) -> str:
    code = await bridge.ask(lambda: bridge.client.mint_setup_code(["chat"], None, 60, address))
    return code.url


async def test_a_stranger_writes_no_line_of_its_own_into_the_log(unused_tcp_port: int) -> None:
    forged = "paired node=evil"
    async with BridgeProcess(f"ws://127.0.0.1:{unused_tcp_port}", None) as bridge:
        for offered in (forged, f"x, {forged}\x1b[2K", "y" * 4_000):
            upgrade = f"GET / HTTP/1.1\r\nHost: x\r\n{UPGRADE}Sec-WebSocket-Protocol: {offered}\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", bridge.app_port, ssl=pinned_context())
            writer.write(upgrade.encode())
            head = await reader.read(4_096)
            assert b"sec-websocket-protocol" not in head.lower()
            writer.transport.abort()
        for garbage in (forged, f"GET / HTTP/1.1\r\n{forged}\r\n\r\n", "GET /\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", bridge.app_port, ssl=pinned_context())
            writer.write(garbage.encode() + b"\r\n\r\n")
            await reader.read()
            writer.transport.abort()
        written = bridge.log_path.read_text().splitlines()
    assert written
    assert all(json.loads(line)["level"] == "debug" for line in written if forged in line or "yyyy" in line)
    assert [line for line in written if not line.startswith("{")] == []
