"""A socket's life: challenge, deadlines, ticks, refusals that are counted, and its end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.lan.events import (
    Admitted,
    Close,
    CodeRefused,
    Decided,
    Ended,
    Filed,
    Instant,
    Lost,
    Outcome,
    Penalise,
    Received,
    Send,
    SessionEvent,
    Timer,
)
from bridge.lan.session import Session
from gateway_client.frames import Event
from tests.bridge.lan.phones import CHALLENGE, IPHONE, NODE_HOST, NODE_TOKEN, WALL, Phone
from tests.bridge.lan.playbook import START, TERMS, Talk, book, node_in, ok, operator_in, play, req


def test_the_challenge_comes_at_once_with_an_integer_clock() -> None:
    session = Session(book(), TERMS, "conn-1", CHALLENGE, START)
    assert session.start() == [
        Send(Event("connect.challenge", {"nonce": CHALLENGE.nonce, "ts": CHALLENGE.ts_ms})),
    ]
    assert type(CHALLENGE.ts_ms) is int
    assert session.next_deadline() == START.mono + 10.0


def test_connect_has_to_come_within_ten_seconds() -> None:
    play().after(9.99).does().after(0.01).sends().ends(1000, "")


def test_a_timer_that_goes_off_early_does_nothing() -> None:
    play().gets(Timer()).does()


@pytest.mark.parametrize("data", [b"", b"hello", b"[]", b"\xff", b'{"type":"event","event":"tick"}'])
def test_garbage_instead_of_connect_is_not_answered(data: bytes) -> None:
    play().receives(data).sends().ends(1008, "invalid request frame")


def test_a_first_frame_that_is_too_long_is_not_answered() -> None:
    play().receives(b" " * 65_537).sends().ends(1009, "frame too large")


def test_another_request_first_is_answered_and_closed() -> None:
    talk = play().asks("health").ends(1008, "invalid handshake: first request must be connect")
    assert talk.error["code"] == "INVALID_REQUEST"
    assert talk.session.next_deadline() is None


def test_a_challenge_is_good_for_one_connect() -> None:
    frame = IPHONE.connect(minProtocol=2, maxProtocol=2)
    play(book(IPHONE.record())).receives(frame).ends(1002).receives(IPHONE.connect(auth={"token": NODE_TOKEN})).does()


def test_a_reason_is_cut_to_what_a_close_frame_holds() -> None:
    frame = IPHONE.connect()
    frame["params"]["x"] = frame["params"].pop("client")
    talk = play().receives(frame)
    assert talk.closed is not None
    assert 0 < len(talk.closed.reason.encode()) <= 123


@pytest.mark.parametrize("event", [Admitted(IPHONE.record()), Decided(Outcome.APPROVED), Filed("req-1"), CodeRefused()])
def test_an_answer_that_comes_before_connect_is_none(event: SessionEvent) -> None:
    talk = play(book(IPHONE.record())).gets(event).does()
    assert talk.session.phase == "await-connect"


# While it is open.


@pytest.mark.parametrize("role", ["node", "operator"])
def test_a_tick_comes_every_30_seconds_with_the_wall_clock(role: str) -> None:
    talk = node_in(IPHONE) if role == "node" else operator_in(IPHONE)
    for round_ in (1, 2, 3):
        talk.after(29.9).does().after(0.1)
        ts = int((WALL + timedelta(seconds=30 * round_)).timestamp() * 1000)
        talk.sends({"type": "event", "event": "tick", "payload": {"ts": ts}})


def test_ticks_go_by_the_monotonic_clock_although_they_tell_the_other() -> None:
    talk = node_in(IPHONE)
    talk.now = Instant(talk.now.mono, talk.now.wall + timedelta(days=365))
    talk.gets(Timer()).does()
    talk.now = Instant(talk.now.mono + 30, WALL - timedelta(days=365))
    talk.gets(Timer())
    assert talk.payload == {"ts": int((WALL - timedelta(days=365)).timestamp() * 1000)}


@pytest.mark.parametrize("role", ["node", "operator"])
def test_health_is_answered_here(role: str) -> None:
    talk = node_in(IPHONE) if role == "node" else operator_in(IPHONE, frozenset(), scopes=())
    talk.asks("health", {"probe": False}).sends(ok({"ok": True, "ts": CHALLENGE.ts_ms}))


@pytest.mark.parametrize("role", ["node", "operator"])
def test_a_second_connect_is_refused(role: str) -> None:
    talk = node_in(IPHONE) if role == "node" else operator_in(IPHONE)
    talk.receives(IPHONE.connect(auth={"token": NODE_TOKEN}))
    assert talk.session.phase == "open"
    assert talk.error["code"] in {"INVALID_REQUEST", "FORBIDDEN"}


def test_a_broken_request_is_answered_and_the_socket_stays_open() -> None:
    talk = node_in(IPHONE).receives(b'{"type":"req","id":"b1","method":""}')
    assert talk.error["code"] == "INVALID_REQUEST"
    assert talk.error["message"].startswith("invalid request frame")
    assert talk.sent[0]["id"] == "b1"


@pytest.mark.parametrize("data", [b"hello", b"[]", b"\xff", b'{"type":"res","id":"x","ok":true}'])
def test_what_is_no_request_is_counted_and_not_answered(data: bytes) -> None:
    talk = node_in(IPHONE)
    for _ in range(10):
        talk.receives(data).does()
    talk.receives(data).does(Penalise(IPHONE.node_id), Close(1008, "repeated refused calls"))


def test_a_frame_that_is_too_long_is_counted() -> None:
    talk = node_in(IPHONE)
    talk.receives(b'{"pad":"' + b"x" * TERMS.frame_max_bytes + b'"}').does()
    assert talk.notes[-1].fields == {"what": "frame: too-large"}


# Refusals that end a socket.


@pytest.mark.parametrize("phone", [IPHONE, NODE_HOST], ids=lambda phone: phone.client_id)
def test_eleven_refusals_in_a_row_close_and_keep_the_key_out(phone: Phone) -> None:
    talk = node_in(phone)
    for number in range(10):
        talk.asks("config.set", {}, f"x{number}")
        assert talk.error == {"code": "INVALID_REQUEST", "message": "unauthorized role: node"}
    talk.asks("config.set", {}, "x10").ends(1008, "repeated refused calls")
    assert talk.sent[0]["id"] == "x10"
    assert talk.did[1] == Penalise(phone.node_id)


def test_an_accepted_call_ends_the_row() -> None:
    talk = node_in(IPHONE)
    for _ in range(10):
        talk.asks("config.set")
    talk.asks("health")
    for _ in range(9):
        talk.asks("config.set")
    assert talk.closed is None


def test_twenty_refusals_in_a_minute_close_although_others_were_accepted() -> None:
    talk = node_in(IPHONE)
    for number in range(19):
        talk.after(3).asks("config.set", request_id=f"x{number}")
        talk.asks("health", request_id=f"h{number}")
    talk.asks("config.set").ends(1008)


def test_twenty_refusals_over_more_than_a_minute_do_not() -> None:
    talk = node_in(IPHONE)
    for number in range(40):
        talk.after(3.2).asks("config.set", request_id=f"x{number}")
        talk.asks("health", request_id=f"h{number}")
    assert talk.closed is None


@pytest.mark.parametrize(
    "method",
    [
        "exec.approval.list",
        "plugin.approval.list",
        "openclaw.approval.list",
        "talk.mode",
        "sessions.create",
        "chat.send",
    ],
)
def test_a_missing_scope_on_what_apps_try_never_counts(method: str) -> None:
    talk = operator_in(IPHONE, scopes=("operator.read",))
    for number in range(60):
        talk.asks(method, {}, f"x{number}")
        assert talk.details["code"] == "MISSING_SCOPE"
        assert talk.error["message"] == f"missing scope: {talk.details['missingScope']}"
    assert talk.closed is None


def test_a_method_that_no_app_tries_counts_for_an_operator() -> None:
    talk = operator_in(IPHONE)
    for _ in range(11):
        talk.asks("config.set")
    talk.ends(1008)


def test_an_unlisted_event_never_counts() -> None:
    talk = node_in(IPHONE)
    for number in range(60):
        talk.asks("node.event", {"event": "voice.wake"}, f"e{number}")
        assert talk.payload == {"ok": True, "event": "voice.wake", "handled": False, "reason": "not_permitted"}
    assert talk.closed is None


# The end.


def test_a_bridge_that_stops_says_so_before_it_closes() -> None:
    talk = node_in(IPHONE).gets(Ended(1012, "bridge stopping", restart=True))
    talk.sends({"type": "event", "event": "shutdown", "payload": {"reason": "bridge stopping"}})
    talk.ends(1012, "bridge stopping")


def test_a_removed_device_is_closed_without_a_word_more() -> None:
    node_in(IPHONE).gets(Ended(4001, "device removed")).does(Close(4001, "device removed"))


def test_nothing_comes_after_the_end() -> None:
    talk = node_in(IPHONE).gets(Lost()).does()
    for event in (Received(b"{}"), Timer(), Lost(), Ended(1000, ""), Admitted(IPHONE.record())):
        talk.gets(event).does()
    assert talk.session.next_deadline() is None


def test_a_request_id_is_anything_the_client_likes() -> None:
    request_id = '1:6f1c "quoted" é ' + "x" * 200
    node_in(IPHONE).receives(req("health", request_id=request_id)).sends(
        ok({"ok": True, "ts": CHALLENGE.ts_ms}, request_id)
    )


def test_reconnecting_does_not_make_refusals_forgotten() -> None:
    record = IPHONE.record()
    listed = book(record)

    def connected() -> Talk:
        talk = play(listed)
        return talk.receives(IPHONE.connect(auth={"deviceToken": NODE_TOKEN})).gets(Admitted(record))

    for _ in range(2):
        talk = connected()
        for number in range(9):
            talk.asks("config.set", request_id=f"x{number}").asks("health", request_id=f"h{number}")
        assert talk.closed is None
    talk = connected()
    talk.asks("config.set").asks("health", request_id="h")
    assert talk.closed is None
    talk.asks("config.set", request_id="last").ends(1008)
    assert connected().asks("config.set").closed is None  # closed once: what counted then counts no more
