"""A socket that waits for a person: how long, what it is told, and what ends the wait."""

from __future__ import annotations

import pytest

from bridge.lan.events import (
    AdmissionFailed,
    Admit,
    Admitted,
    Decided,
    Ended,
    Filed,
    FilingFailed,
    Join,
    Lost,
    NotFiled,
    Outcome,
    Send,
)
from bridge.pairing.records import Role, Surface
from tests.bridge.lan.phones import ALL_PHONES, ANDROID, IPHONE, NODE_HOST, NODE_TOKEN, Phone
from tests.bridge.lan.playbook import Talk, book, play, req


def held(phone: Phone = IPHONE, *, late_s: float = 0.0) -> Talk:
    """Returns a conversation in which the phone waits for a person, `late_s` seconds after its socket opened."""
    talk = play().after(late_s).receives(phone.connect()).gets(Filed("req-1"))
    assert talk.session.phase == "held"
    return talk.does()


@pytest.mark.parametrize(("phone", "seconds"), [(IPHONE, 25.0), (ANDROID, 10.0), (NODE_HOST, 8.0)])
def test_each_client_is_held_as_long_as_it_waits(phone: Phone, seconds: float) -> None:
    held(phone).after(seconds - 0.01).does().after(0.01).ends(1008)


def test_the_hold_counts_from_the_opening_of_the_socket() -> None:
    assert held(late_s=3.0).session.next_deadline() == 1025.0


@pytest.mark.parametrize("phone", ALL_PHONES, ids=lambda phone: phone.client_id)
def test_a_person_who_does_not_answer_leaves_words_that_make_the_client_try_again(phone: Phone) -> None:
    talk = held(phone).after(25)
    talk.ends(1008, "pairing required: device is not approved yet (requestId: req-1)")
    assert talk.error["code"] == "NOT_PAIRED"
    assert talk.error["message"] == "pairing required: device is not approved yet (requestId: req-1)"
    assert talk.details == {
        "code": "PAIRING_REQUIRED",
        "reason": "not-paired",
        "requestId": "req-1",
        "deviceId": phone.node_id,
        "requestedRole": "node",
        "remediationHint": talk.details["remediationHint"],
        "recommendedNextStep": "wait_then_retry",
        "retryable": True,
        "pauseReconnect": False,
        "title": "Waiting for approval on the Mac",
        "userMessage": talk.details["userMessage"],
        "actionLabel": "Approve on the Mac",
        "actionCommand": "clawdis-bridge approve req-1",
        "owner": "gateway",
    }


def test_an_approval_in_time_lets_the_same_socket_in() -> None:
    record = IPHONE.record()
    talk = held().after(20).does().gets(Decided(Outcome.APPROVED))
    talk.does(Admit(IPHONE.node_id, Role.NODE, None, frozenset({Role.NODE})))
    talk.gets(Admitted(record, {Role.NODE: "t" * 43}, 5))
    (hello, join) = talk.did
    assert isinstance(hello, Send)
    assert talk.sent[0]["id"] == "c1"
    assert talk.sent[0]["payload"]["auth"] == {
        "role": "node",
        "scopes": [],
        "deviceToken": "t" * 43,
        "issuedAtMs": 5,
    }
    assert isinstance(join, Join)
    assert talk.session.phase == "open"


def test_with_a_setup_code_an_approval_is_one_for_both_roles() -> None:
    talk = play().receives(IPHONE.connect(auth={"bootstrapToken": "code"})).gets(Filed("req-1"))
    talk.gets(Decided(Outcome.APPROVED)).does(Admit(IPHONE.node_id, Role.NODE, None, frozenset(Role)))


def test_the_old_deadline_of_the_hold_does_not_end_an_approved_socket() -> None:
    talk = held().after(24.9).gets(Decided(Outcome.APPROVED)).after(1.0).does()
    talk.gets(Admitted(IPHONE.record()))
    assert talk.session.phase == "open"


def test_a_denial_makes_the_client_stop() -> None:
    talk = held().gets(Decided(Outcome.DENIED)).ends(1008)
    assert talk.details["code"] == "PAIRING_REQUIRED"
    assert (talk.details["pauseReconnect"], talk.details["retryable"]) == (True, False)
    assert talk.details["title"] == "Not approved on the Mac"
    assert not {"requestId", "recommendedNextStep", "actionCommand"} & talk.details.keys()


def test_a_newer_connect_takes_the_hold_over() -> None:
    talk = held().gets(Decided(Outcome.ELSEWHERE)).ends(1008)
    assert talk.details["requestId"] == "req-1"
    assert talk.details["pauseReconnect"] is False


@pytest.mark.parametrize("outcome", [Outcome.ELSEWHERE, Outcome.EXPIRED, Outcome.DENIED])
def test_only_what_a_waiting_app_does_all_the_time_is_no_line_of_the_log(outcome: Outcome) -> None:
    """Red without `quiet`: whoever comes again and again writes a line each time."""
    talk = held().gets(Decided(outcome)).ends(1008)
    (note,) = talk.notes
    assert (note.event, note.quiet) == ("connect-refused", outcome is Outcome.ELSEWHERE)


def test_a_full_desk_is_temporary() -> None:
    talk = play().receives(IPHONE.connect()).gets(FilingFailed(NotFiled.BUSY, 5_000)).ends(1013)
    assert talk.error == {
        "code": "UNAVAILABLE",
        "message": "the bridge is busy; try again shortly",
        "details": {"reason": "busy"},
        "retryable": True,
        "retryAfterMs": 5_000,
    }


def test_a_silenced_key_is_denied_without_a_prompt() -> None:
    talk = play().receives(IPHONE.connect()).gets(FilingFailed(NotFiled.SILENCED)).ends(1008)
    assert talk.details["pauseReconnect"] is True


def test_while_nobody_invites_devices_a_key_is_told_what_opens_the_door_and_comes_again() -> None:
    talk = play().receives(IPHONE.connect()).gets(FilingFailed(NotFiled.CLOSED)).ends(1008)
    assert (talk.details["title"], talk.details["pauseReconnect"]) == ("Pairing is closed", False)


def test_a_store_that_cannot_be_written_lets_nobody_in() -> None:
    talk = play(book(IPHONE.record())).receives(IPHONE.connect(auth={"token": NODE_TOKEN}))
    talk.gets(AdmissionFailed()).ends(1013)
    assert (talk.error["code"], talk.error["retryable"]) == ("UNAVAILABLE", True)


def test_a_desk_that_never_answers_does_not_keep_the_socket() -> None:
    play().receives(IPHONE.connect()).after(14.9).does().after(0.1).ends(1013)


def test_a_phone_that_leaves_while_it_waits_is_not_answered() -> None:
    held().gets(Lost()).does().gets(Decided(Outcome.APPROVED)).does()


def test_the_bridge_that_stops_says_goodbye_to_open_sockets_only() -> None:
    talk = held().gets(Ended(1012, "bridge stopping", restart=True)).sends()
    talk.ends(1012, "bridge stopping")


# Frames that come early.


def test_frames_that_come_early_are_answered_after_hello_in_their_order() -> None:
    talk = held()
    for number in range(15):
        talk.receives(req("health", request_id=f"early-{number}")).does()
    talk.gets(Decided(Outcome.APPROVED)).gets(Admitted(IPHONE.record()))
    assert [frame["id"] for frame in talk.sent] == ["c1", *(f"early-{number}" for number in range(15))]


def test_the_sixteenth_early_frame_closes() -> None:
    talk = held()
    for number in range(15):
        talk.receives(req("health", request_id=f"early-{number}")).does()
    talk.receives(req("health", request_id="early-15")).sends().ends(1008, "too many pending handshake frames")


@pytest.mark.parametrize("filed", [False, True])
def test_an_early_frame_has_64_kib_at_most(filed: bool) -> None:
    talk = play().receives(IPHONE.connect())
    if filed:
        talk.gets(Filed("req-1"))
    talk.receives(b" " * 65_536).does()
    talk.receives(b" " * 65_537).sends().ends(1009, "frame too large")


def test_early_frames_that_get_the_socket_closed_end_the_replay() -> None:
    talk = held()
    for number in range(15):
        talk.receives(req("no.such", request_id=f"early-{number}"))
    talk.gets(Decided(Outcome.APPROVED)).gets(Admitted(IPHONE.record())).ends(1008, "repeated refused calls")
    assert [frame["id"] for frame in talk.sent] == ["c1", *(f"early-{number}" for number in range(11))]


def test_a_second_connect_does_not_file_a_second_request() -> None:
    talk = held().receives(IPHONE.connect()).does()
    talk.gets(Decided(Outcome.APPROVED)).gets(Admitted(IPHONE.record()))
    first, second = talk.sent
    assert first["payload"]["type"] == "hello-ok"
    assert second["error"]["message"] == "unauthorized role: node"


def test_what_the_phone_declares_is_joined_within_what_was_granted() -> None:
    talk = held().gets(Decided(Outcome.APPROVED)).gets(Admitted(IPHONE.record(frozenset())))
    assert talk.join.offer == Surface()
    assert talk.join.wider is None
