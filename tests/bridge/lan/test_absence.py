"""What the gateway is told for a phone that is away while its link lingers."""

from __future__ import annotations

from typing import Any

import pytest

from acl.model import Subject
from acl.permissions import Permission
from bridge.lan.absence import Absence
from bridge.lan.events import Command, Report
from bridge.lan.recall import Replay
from gateway_client.frames import Event
from tests.bridge.lan.invokes import KEYED, LAN, REPLAYED, TEXT, answered, asleep, keyed, told
from tests.bridge.lan.phones import COMMANDS, IPHONE
from tests.bridge.lan.playbook import START, Book, book, node_in

EVERYTHING = frozenset(Permission)


def absent(directory: Book, offered: tuple[str, ...] = COMMANDS, payload: Any = None) -> list[Command]:
    absence = Absence(Subject(LAN, EVERYTHING), frozenset(offered), directory)
    return [
        one for one in absence.told(Event("node.invoke.request", payload), START) if isinstance(one, Report | Replay)
    ]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("screen.show", "NODE_BACKGROUND_UNAVAILABLE"),
        ("camera.snap", "NODE_BACKGROUND_UNAVAILABLE"),
        ("device.info", "NODE_DISCONNECTED"),
        ("system.run", "FORBIDDEN"),
    ],
)
def test_for_a_phone_that_is_away_foreground_commands_are_in_the_background(command: str, code: str) -> None:
    offered = tuple({*COMMANDS, "camera.snap"})
    (report,) = absent(book(), offered, {"id": "i", "command": command})
    assert isinstance(report, Report)
    assert (report.error.code, report.error.details) == (code, None)
    if code != "FORBIDDEN":
        assert report.error.message.startswith(f"{code}: ")


def test_what_was_done_before_it_went_is_told_all_the_same() -> None:
    directory = book()
    answered(keyed(node_in(IPHONE, ledger=directory.ledger)), payloadJSON=TEXT)
    payload = {"id": "i2", **KEYED}
    assert absent(directory, payload=payload) == [Replay("i2", REPLAYED)]
    assert absent(directory, payload={**payload, "idempotencyKey": "l"})[0] != Replay("i2", REPLAYED)


@pytest.mark.parametrize("payload", [None, {}, {"id": 1}, {"id": "i"}])
def test_what_is_no_invoke_wants_no_answer(payload: Any) -> None:
    assert absent(book(), payload=payload) == []


def test_a_phone_that_is_asleep_is_away_for_new_calls_and_not_for_what_it_did() -> None:
    talk = asleep()
    assert told(keyed(talk, command="screen.show")) == [("i1", "NODE_BACKGROUND_UNAVAILABLE")]
