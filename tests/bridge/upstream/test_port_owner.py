"""Who holds the gateway's port, by the tables of Linux: two that were written down, and the one of this machine."""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from bridge.config import GatewayTable
from bridge.upstream.port_owner import Listening, PortOwner, read_table, strangers
from bridge.upstream.secret import SecretError, SecretReader, SecretSource

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000"
PORT = 18789  # 0x4965
OWN, OTHER = 1000, 1001


def row(address: str, uid: int | str, state: str = "0A", port: int = PORT) -> str:
    remote = "0" * len(address) + ":0000"
    return (
        f"   0: {address}:{port:04X} {remote} {state} {REST} {uid:>5}        0 26505 1 0000000000000000 100 0 0 10 0\n"
    )


LOOPBACK, ANYWHERE, LAN = "0100007F", "00000000", "1401A8C0"
LOOPBACK_6, ANYWHERE_6 = "00000000000000000000000001000000", "0" * 32
MAPPED = "0000000000000000FFFF00000100007F"


def held_by(*rows: str) -> list[int]:
    return strangers(read_table(HEAD + "".join(rows)), PORT, OWN)


def test_a_table_is_read() -> None:
    found = list(read_table(HEAD + row(LOOPBACK, OWN) + row(LAN, OTHER, port=80) + row(LOOPBACK_6, 7) + row(MAPPED, 8)))
    assert found == [
        Listening(IPv4Address("127.0.0.1"), PORT, OWN),
        Listening(IPv4Address("192.168.1.20"), 80, OTHER),
        Listening(IPv6Address("::1"), PORT, 7),
        Listening(IPv4Address("127.0.0.1"), PORT, 8),
    ]


@pytest.mark.parametrize("address", [LOOPBACK, ANYWHERE, LOOPBACK_6, ANYWHERE_6, MAPPED])
def test_another_user_at_the_port_is_seen(address: str) -> None:
    """J7. Red when the row's user is not compared."""
    assert held_by(row(address, OWN)) == []
    assert held_by(row(address, 0)) == []
    assert held_by(row(address, OTHER)) == [OTHER]
    assert held_by(row(LOOPBACK, OWN), row(address, OTHER)) == [OTHER]


def test_what_no_connection_to_the_gateway_reaches_does_not_matter() -> None:
    assert held_by(row(LAN, OTHER), row(LOOPBACK, OTHER, port=PORT + 1), row(LOOPBACK, OTHER, state="01")) == []


@pytest.mark.parametrize(
    "text", ["", HEAD, "x\n" * 9, HEAD + "0: zz:zz 0 0A 0 0 0 0 0\n", HEAD + row("0100", 5), "\0" * 99]
)
def test_a_table_of_another_form_says_nothing(text: str) -> None:
    assert strangers(read_table(text), PORT, OWN) == []


def test_a_system_without_tables_says_nothing(tmp_path: Path) -> None:
    assert PortOwner(PORT, OWN, (tmp_path / "none",)).objection() is None


def test_the_objection_names_both_and_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(HEAD + row(LOOPBACK, 54_321))
    said = PortOwner(PORT, 0, (tmp_path / "none", table)).objection() or ""
    for word in ("54321", "root", "token is not sent", "lsof -iTCP:18789", "gateway.user"):
        assert word in said


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is the owner of a socket told")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
def test_this_machine_tells_who_holds_a_port_of_ours(address: str) -> None:
    """The positive control: the real table has our socket, with our user."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as held:
        held.bind((address, 0))
        held.listen()
        port = held.getsockname()[1]
        own = os.geteuid()
        tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
        found = [each for table in tables for each in read_table(table.read_text()) if each.port == port]
        assert [each.uid for each in found] == [own]
        assert PortOwner(port, own).objection() is None
        assert strangers(iter(found), port, own + 1) == ([own] if own else [])


async def test_the_port_is_looked_at_again_when_the_secret_has_been_found(tmp_path: Path) -> None:
    """Red without the second look: a person may take minutes to open the keychain, and the port may change hands."""
    reader = SecretReader(GatewayTable(token_source="env"), {"OPENCLAW_GATEWAY_TOKEN": "planted"}, tmp_path)
    objections = iter([None, "held by somebody else"])
    source = SecretSource(reader, lambda: next(objections))
    try:
        with pytest.raises(SecretError, match="held by somebody else"):
            await source.read()
    finally:
        source.close()
