"""What the agent may ask of a node: how often, how long a source may be, and what snapshots may weigh."""

from __future__ import annotations

import orjson
import pytest

from bridge.config import LimitsTable
from bridge.lan.allowance import Allowance, Limit
from bridge.lan.events import Report, Send
from bridge.lan.invoke_limits import InvokeLimits, decoded_bytes
from gateway_client.frames import ErrorShape, Event
from tests.bridge.lan.invokes import answered, invoked
from tests.bridge.lan.phones import IPHONE, PHONE
from tests.bridge.lan.playbook import Talk, node_in

T = 1_000.0
PICTURE = 100_000  # bytes
LIMITS = LimitsTable(snapshot_max_bytes=PICTURE, snapshot_bytes_per_minute=6 * PICTURE)


def fresh(**changes: int) -> InvokeLimits:
    return InvokeLimits(Allowance(LimitsTable(**changes)))


def passed(limits: InvokeLimits, command: str, times: int, now: float = T) -> int:
    return sum(limits.refuse(command, None, now) is None for _ in range(times))


def source(text: str) -> str:
    return orjson.dumps({"javaScript": text}).decode()


def test_a_burst_of_invokes_passes_and_then_so_many_a_second() -> None:
    """Red when `Limit.INVOKES` is not taken."""
    limits = fresh()
    assert passed(limits, "device.info", 1_000) == 100
    assert passed(limits, "device.info", 1_000, T + 1) == 50
    error = limits.refuse("device.info", None, T + 1)
    assert error is not None
    assert error.as_json().keys() == {"code", "message"}, "more would void the result at the gateway"
    assert (error.code, "retry in 1 s" in error.message) == ("RATE_LIMITED", True)


def test_thirty_snapshots_pass_in_a_minute() -> None:
    """Red when `Limit.SNAPSHOTS` is not taken."""
    limits = fresh()
    assert passed(limits, "screen.snapshot", 50) == 30
    assert passed(limits, "screen.show", 10) == 10, "and other commands go on"
    assert passed(limits, "screen.snapshot", 50, T + 60) == 30


def test_snapshots_wait_while_their_bytes_are_owed() -> None:
    """Red when the result is not charged."""
    limits = InvokeLimits(Allowance(LIMITS))
    members = {"payloadJSON": "x" * (PICTURE * 4 // 3 + 256)}
    for _ in range(7):
        assert limits.weigh("screen.snapshot", {**members}, T) is None
    error = limits.refuse("screen.snapshot", None, T)
    assert error is not None
    assert "snapshot-bytes" in error.message
    assert limits.refuse("screen.snapshot", None, T + 11) is None, "a tenth of a minute for each of them"


def test_a_snapshot_that_is_too_large_ends_as_an_error() -> None:
    limits = InvokeLimits(Allowance(LIMITS))
    error = limits.weigh("canvas.snapshot", {"payload": {"base64": "x" * (PICTURE * 4 // 3 + 10)}}, T)
    assert error is not None
    assert error.code == "PAYLOAD_TOO_LARGE"
    assert limits.weigh("camera.clip", {"payload": {"base64": "x" * 10 * PICTURE}}, T) is None, "no snapshot"


@pytest.mark.parametrize(
    ("members", "size"),
    [
        ({"payloadJSON": "x" * 656}, 300),
        ({"payloadJSON": "x" * 656 + "\\" * 90}, 300),
        ({"payloadJSON": "{}"}, 0),
        ({"payload": {"base64": "x" * 400}}, 300),
        ({"payload": {"data": "x" * 400}}, 300),
        ({"payload": "x" * 400}, 300),
        ({"payload": {"base64": 5}}, 0),
        ({"payload": None}, 0),
        ({"payloadJSON": "{}", "payload": {"base64": "x" * 400}}, 300),
        ({"payload": {"base64": "", "image": "x" * 400}}, 300),
        ({"payload": {"pictures": [{"base64": "x" * 400}]}}, 300),
        ({"payload": {"a": "x" * 400, "b": "x" * 656}}, 601),
        ({"payload": {"x" * 656: 1}}, 300),
        ({}, 0),
    ],
)
def test_a_picture_has_three_bytes_for_four_characters(members: dict[str, object], size: int) -> None:
    """Red when it is looked for under its usual names only: a node would pass any size under another one."""
    assert decoded_bytes(members) == size  # type: ignore[arg-type]  # JSON, as a test writes it


@pytest.mark.parametrize("command", ["screen.eval", "canvas.eval"])
@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("x" * 100, True),
        ("x" * 101, False),
        ("é" * 50, True),
        ("é" * 51, False),
        ('"' * 100, True),
        ("\u0001" * 100, True),
        ("x" * 100_000, False),
    ],
)
def test_a_source_is_measured_in_its_own_bytes(command: str, text: str, fits: bool) -> None:
    """Red when the escapes of JSON count, or are not counted at all."""
    assert (fresh(eval_max_bytes=100).refuse(command, source(text), T) is None) is fits


def test_a_long_text_that_is_no_json_is_measured_as_it_is() -> None:
    limits = fresh(eval_max_bytes=100)
    assert limits.refuse("screen.eval", "x" * 100, T) is None
    refused = limits.refuse("screen.eval", "{" * 101, T)
    assert refused is not None
    assert refused.code == "PAYLOAD_TOO_LARGE"


def test_other_commands_have_no_source() -> None:
    assert fresh(eval_max_bytes=1).refuse("screen.navigate", source("x" * 1_000), T) is None


# In a conversation.


def talk(**changes: int) -> Talk:
    return node_in(IPHONE, PHONE, limits=LimitsTable(**changes))


def test_an_invoke_over_the_limit_goes_back_and_the_node_hears_nothing() -> None:
    """Red when `NodeInvokes.invoked` does not ask `InvokeLimits.refuse`."""
    node = talk(invokes_burst=1)
    assert [type(command) for command in invoked(node).did] == [Send]
    (report,) = invoked(node, invoke_id="i2").reports
    assert report.error.code == "RATE_LIMITED"
    assert [type(command) for command in node.did] == [Report]
    assert [type(command) for command in invoked(node.after(1), invoke_id="i3").did] == [Send]


def test_the_limit_is_the_keys_over_all_of_its_sockets() -> None:
    node = talk(invokes_burst=1)
    invoked(node)
    allowance = node.session.directory.allowance(IPHONE.node_id)
    assert allowance.uses(node.now.mono)[Limit.INVOKES].used == 1.0


def test_a_snapshot_that_is_too_large_is_reported_once_and_answered() -> None:
    """Red when `NodeInvokes.result` does not ask `InvokeLimits.weigh`."""
    node = talk(snapshot_max_bytes=PICTURE, snapshot_bytes_per_minute=PICTURE)
    invoked(node, "screen.snapshot")
    answered(node, ok=True, payloadJSON=orjson.dumps({"base64": "x" * 2 * PICTURE}).decode())
    (report,) = node.reports
    assert report.error.as_json() == ErrorShape("PAYLOAD_TOO_LARGE", report.error.message).as_json()
    assert node.error["code"] == "PAYLOAD_TOO_LARGE" if len(node.sent) == 1 else False
    assert not [command for command in node.did if isinstance(command, Send) and isinstance(command.frame, Event)]
