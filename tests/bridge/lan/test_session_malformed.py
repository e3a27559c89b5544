"""A frame of a peer that is in: what is malformed is answered once at most and never goes on (security.md 3D)."""

from __future__ import annotations

import pytest

from acl.permissions import Permission
from acl.refusals import RefusalMeter
from bridge.lan.events import Command, Fault, Forward, Instant, Report, Unanswered
from bridge.lan.intake import MAX_ITEMS
from bridge.lan.terms import Terms
from gateway_client.frames import Bounds, FrameFault
from tests.bridge.lan.phones import IPHONE, WALL
from tests.bridge.lan.playbook import Talk, node_in, operator_in
from tests.gateway_client.corpus import COUNT, documents
from tests.gateway_client.malformed import Carrier, carrier, cases, node_carriers
from tests.gateway_client.reference import Refused as MalformedByReference
from tests.gateway_client.reference import reference_parse

FRAME_BYTES = 1_048_576
TERMS = Terms(FRAME_BYTES, 52_428_800, Instant(400.0, WALL))
BOUNDS = Bounds(max_bytes=FRAME_BYTES, max_items=MAX_ITEMS)
GRANTED = frozenset({Permission.VOICE, Permission.CHAT, Permission.NODES})
OF_A_NODE = {one.method: one for one in node_carriers(IPHONE.node_id)}
OF_AN_OPERATOR = {
    one.method: one
    for one in (
        carrier("voicewake.get"),
        carrier("chat.send", '{"sessionKey":"main","message":"hi","idempotencyKey":"k","x":%b}'),
    )
}
WHOLE = {
    "number": b"9007199254740991",
    "text": '"é 中 \U0001f600 \\u2028 \\ud83d\\ude00"'.encode(),
    "object": b'{"a":1,"A":2,"b":{"a":3}}',
    "nothing": b"null",
}


class Patient(RefusalMeter):
    """Never has enough, so that one socket can be told everything."""

    def refuse(self, now: float) -> bool:
        return False


def node() -> Talk:
    return node_in(IPHONE, GRANTED, terms=TERMS, meters={IPHONE.node_id: Patient()})


def operator() -> Talk:
    return operator_in(IPHONE, GRANTED, terms=TERMS, meters={IPHONE.node_id: Patient()})


def at_the_limits(within: Carrier) -> list[bytes]:
    """Requests that are as deep, as long in members and as large as may be."""
    depth = BOUNDS.max_depth - within.depth
    whole = within.holding(b'""')
    return [
        within.holding(b"[" * depth + b"]" * depth),
        within.holding(b"[%b1]" % (b"1," * (MAX_ITEMS - within.marks))),
        within.holding(b'"%b"' % (b"a" * (FRAME_BYTES - len(whole)))),
    ]


@pytest.mark.parametrize("method", OF_A_NODE)
def test_what_a_node_sends_whole_goes_on(method: str) -> None:
    within = OF_A_NODE[method]
    for data in [*map(within.holding, WHOLE.values()), *at_the_limits(within)]:
        assert node().receives(data).forward.method == method, data[:200]


@pytest.mark.parametrize("method", OF_AN_OPERATOR)
def test_what_an_operator_sends_whole_goes_on(method: str) -> None:
    within = OF_AN_OPERATOR[method]
    for data in map(within.holding, WHOLE.values()):
        assert operator().receives(data).forward.method == method, data[:200]


@pytest.mark.parametrize("method", OF_A_NODE)
def test_what_a_node_sends_malformed_stays_here(method: str) -> None:
    stays_here(node(), OF_A_NODE[method])


@pytest.mark.parametrize("method", OF_AN_OPERATOR)
def test_what_an_operator_sends_malformed_stays_here(method: str) -> None:
    stays_here(operator(), OF_AN_OPERATOR[method])


def stays_here(talk: Talk, within: Carrier) -> None:
    for name, data, fault in cases(BOUNDS, within):
        talk.receives(data)
        assert not [command for command in talk.did if isinstance(command, Forward | Report)], name
        assert talk.closed is None, name
        assert len(talk.sent) <= 1, name
        too_large = talk.notes[-1].event == "too-large"  # seen by its ends, so answered, and no sign of an attack
        for answer in talk.sent:
            assert answer["ok"] is False, name
            assert answer["error"]["code"] == ("PAYLOAD_TOO_LARGE" if too_large else "INVALID_REQUEST"), name
        if too_large:
            assert fault is FrameFault.TOO_LARGE, name
            continue
        assert talk.notes.pop().fields["what"] in (f"frame: {fault.value}", "frame: not a request"), name


class Quick(Talk):
    """A conversation whose frames are not held against the schema: there are too many."""

    def _hold_against_schema(self, command: Command) -> None:
        pass


@pytest.mark.fuzz
def test_of_random_and_damaged_documents_only_whole_requests_go_on() -> None:
    talk, went_on, stayed = Quick.__new__(Quick), 0, 0
    talk.__dict__ = node().__dict__
    for data in documents(COUNT):
        talk.receives(data)
        keys = [command.key for command in talk.did if isinstance(command, Forward)]
        assert talk.closed is None
        if _is_request(data):
            went_on += len(keys)
        else:
            stayed += 1
            assert keys == [], data
            assert len(talk.sent) <= 1, data
        for key in keys:
            talk.gets(Unanswered(key, Fault.GONE))
        talk.notes.clear()
    assert went_on > COUNT / 1000
    assert stayed > COUNT / 3


def _is_request(data: bytes) -> bool:
    try:
        frame = reference_parse(data, BOUNDS)
    except MalformedByReference:
        return False
    return isinstance(frame, dict) and frame.get("type") == "req" and frame.keys() <= {"type", "id", "method", "params"}
