"""`status`: one glance."""

from __future__ import annotations

import asyncio
import json

import pytest

from bridge.control.documents import DiscoveryReport, GatewayStatus
from bridge.control.limit_documents import LimitsInUse, Load, Penalty
from tests.bridge.cli.program import Program, on_terminal
from tests.doubles.control_daemon import ControlDaemon
from tests.doubles.operations import PIN


def test_the_page_tells_everything_at_a_glance(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_is_paired()
    daemon.operations.phone_is_paired("Old", state="offline")
    result = program("status")
    assert result.status == 0
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "Gateway connected ws://127.0.0.1:18789 version 2026.9.6" in lines
    assert "Nodes 1 connected of 2 paired" in lines
    assert "For nodes port 18790 on 192.168.1.20, 127.0.0.1" in lines
    assert "For apps port 18794 on 192.168.1.20, 127.0.0.1" in lines
    assert f"Pin {PIN}" in lines
    assert "No pairing request waits." in lines
    assert len(lines) <= 14


def test_what_to_do_without_discovery_is_aimed_at_the_home_that_was_asked(
    daemon: ControlDaemon, program: Program
) -> None:
    detail = "not advertised. Phones can still pair by code: clawdis-bridge pair --qr"
    daemon.operations.discovery = DiscoveryReport(state="failed", detail=detail)
    assert f"clawdis-bridge --home {program.home} pair --qr" in " ".join(program("status").out.split())


def test_who_is_kept_out_is_named(daemon: ControlDaemon, program: Program) -> None:
    """Red when `limits_in_use.penalties` is not looked at."""
    keys = [f"{number:x}" * 64 for number in range(5)]
    daemon.operations.limits_in_use = LimitsInUse(penalties=[Penalty(node_id=key, seconds=9) for key in keys])
    shown = " ".join(program("status").out.split())
    assert f"Kept out {'0' * 12} (9 s), {'1' * 12} (9 s), {'2' * 12} (9 s) and 2 more: refused or limited" in shown


def test_load_and_what_the_limits_have_stopped_are_seen_at_a_glance(daemon: ControlDaemon, program: Program) -> None:
    """Red when a part of `load` or of `limits_in_use` is left out, and when zeros are shown."""
    shown = " ".join(program("status").out.split())
    assert "Load 0 calls under way For nodes" in shown
    daemon.operations.load = Load(
        calls=3, in_flight=2, queued=1, bytes_in_flight=2_500_000, sockets_held=1, bytes_buffered=1_200_000
    )
    daemon.operations.limits_in_use = LimitsInUse(
        refused={"role": 4, "scope": 12}, limited={"calls": 12, "events": 3, "voice": 0}, turned_away={"full": 7}
    )
    shown = " ".join(program("status").out.split())
    assert (
        "Load 3 calls under way, 1 of them waiting for the gateway, 2.5 MB in large messages,"
        " 1 waiting to send theirs, 1.2 MB for phones that read slowly" in shown
    )
    assert "Stopped since its start: over a limit (calls 12, events 3); refused (role 4); turned away (full 7)" in shown


def test_a_waiting_request_comes_with_the_command_that_lets_it_in(daemon: ControlDaemon, program: Program) -> None:
    request = daemon.operations.phone_asks()
    out = program("status").out
    assert "1 pairing request waiting for you" in out
    assert f"clawdis-bridge --home {daemon.home} approve {request.id}\n" in out
    assert "Anna's iPhone (iOS 19.1) from 192.168.1.33, expires in 5 minutes" in out or "in 4 minutes" in out


def test_a_paired_node_that_offers_more_is_said_to_be_one(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks(reason="wider", adds=["camera.snap"])
    out = program("status").out
    assert "Anna's iPhone is paired, and offers more: camera.snap\n" in out
    assert "expires" not in out


def test_many_requests_do_not_push_the_rest_away(daemon: ControlDaemon, program: Program) -> None:
    for number in range(10):
        daemon.operations.phone_asks(f"request-{number:04d}", f"Phone {number}")
    out = program("status").out
    assert "10 pairing requests waiting" in out
    assert out.count("approve") == 3
    assert "pending\n" in out


@pytest.mark.parametrize("state", ["connecting", "refused", "down"])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_gateway_that_is_not_connected_ends_it_with_4(
    daemon: ControlDaemon, program: Program, state: str, as_json: bool
) -> None:
    daemon.operations.gateway = GatewayStatus.model_validate(
        {"url": "ws://127.0.0.1:18789", "state": state, "detail": "Start it:\nopenclaw gateway"}
    )
    result = program("status", *(["--json"] if as_json else []))
    assert result.status == 4
    assert state in result.out
    assert "openclaw gateway" in result.out


def test_json_is_the_document_of_the_contract(daemon: ControlDaemon, program: Program) -> None:
    expected = asyncio.run(daemon.operations.status()).to_json()
    assert json.loads(program("status", "--json").out) == expected


def test_a_terminal_gets_colours_and_the_same_words(daemon: ControlDaemon) -> None:
    status, shown = on_terminal(["--home", str(daemon.home), "status"])
    assert status == 0
    assert "\x1b[1;32mconnected\x1b[0m" in shown
    status, shown = on_terminal(["--home", str(daemon.home), "status"], NO_COLOR="1")
    assert "\x1b[32m" not in shown
