"""Who gets in with what (design §5): keys, tokens, codes, tombstones, in conversations up to the first answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from acl.permissions import PROFILES
from bridge.lan.events import (
    Admit,
    Admitted,
    CodeRefused,
    Filed,
    FileRequest,
    NoteRevocationTold,
    Redeem,
)
from bridge.pairing.desk import Draft, Why
from bridge.pairing.records import NodeRecord, Role, Security, Surface
from tests.bridge.lan.phones import (
    ALL_PHONES,
    ANDROID,
    IPHONE,
    NODE_TOKEN,
    OPERATOR_TOKEN,
    PHONE,
    WALL,
    Json,
    Phone,
    b64,
    entry,
)
from tests.bridge.lan.playbook import Talk, book, play

DEFAULT = PROFILES["voice+screen"]


def draft(phone: Phone, why: Why = Why.NEW, **changes: Any) -> Draft:
    """Returns what a prompt would show of this phone."""
    declared = Surface(
        commands=tuple(sorted(phone.commands)), caps=tuple(sorted(phone.caps)), permissions={"camera": True}
    )
    fields: dict[str, Any] = {"permissions": DEFAULT if why in {Why.NEW, Why.RETURN} else PHONE, **changes}
    return Draft(phone.node_id, b64(phone.raw_key), phone.labels(), declared, why=why, **fields)


def connects(phone: Phone, *records: NodeRecord, role: str = "node", auth: Json | None = None, **changes: Any) -> Talk:
    return play(book(*records, **changes)).receives(phone.connect(role, auth))


def code_of(talk: Talk) -> str:
    talk.ends(1008)
    return str(talk.details["code"])


# A key that nobody knows.


@pytest.mark.parametrize("phone", ALL_PHONES, ids=lambda phone: phone.client_id)
@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        {"token": "x"},
        {"deviceToken": "x"},
        {"token": "x", "deviceToken": "y"},
        {"password": "x"},
        {"token": ""},
    ],
)
def test_an_unknown_key_asks_a_person_whatever_token_it_shows(phone: Phone, auth: Json | None) -> None:
    connects(phone, auth=auth).does(FileRequest(draft(phone)))


def test_an_unknown_key_does_not_get_in_with_the_token_of_another() -> None:
    connects(ANDROID, IPHONE.record(), auth={"token": NODE_TOKEN}).does(FileRequest(draft(ANDROID)))


def test_an_unknown_key_with_a_code_has_it_tried() -> None:
    talk = connects(IPHONE, auth={"bootstrapToken": "code"}).does(Redeem(draft(IPHONE), "code"))
    talk.gets(CodeRefused())
    assert code_of(talk) == "AUTH_BOOTSTRAP_TOKEN_INVALID"
    assert talk.details["recommendedNextStep"] == "review_auth_configuration"


@pytest.mark.parametrize("auth", [None, {"token": "x"}, {"bootstrapToken": "code"}])
def test_an_operator_of_an_unknown_key_never_opens_a_prompt(auth: Json | None) -> None:
    talk = connects(IPHONE, role="operator", auth=auth)
    assert code_of(talk) == "PAIRING_REQUIRED"
    assert "requestId" not in talk.details
    assert talk.details["pauseReconnect"] is False


# A paired key.


@pytest.mark.parametrize(
    "auth",
    [
        {"token": NODE_TOKEN},
        {"deviceToken": NODE_TOKEN},
        {"token": NODE_TOKEN, "deviceToken": NODE_TOKEN},
        {"token": "shared secret", "deviceToken": NODE_TOKEN},
        {"token": NODE_TOKEN, "deviceToken": "old"},
        {"token": NODE_TOKEN, "bootstrapToken": "spent"},
    ],
)
def test_its_token_lets_it_in_wherever_it_stands(auth: Json) -> None:
    admit = Admit(IPHONE.node_id, Role.NODE, entry(NODE_TOKEN), frozenset())
    connects(IPHONE, IPHONE.record(), auth=auth).does(admit)


def test_an_operator_gets_in_with_its_own_token() -> None:
    admit = Admit(IPHONE.node_id, Role.OPERATOR, entry(OPERATOR_TOKEN), frozenset())
    connects(IPHONE, IPHONE.record(), role="operator", auth={"token": OPERATOR_TOKEN}).does(admit)


@pytest.mark.parametrize(
    ("role", "auth", "code", "step"),
    [
        ("node", {"token": "x"}, "AUTH_TOKEN_MISMATCH", "retry_with_device_token"),
        ("node", {"deviceToken": "x"}, "AUTH_DEVICE_TOKEN_MISMATCH", "update_auth_credentials"),
        ("node", {"token": "x", "deviceToken": "y"}, "AUTH_DEVICE_TOKEN_MISMATCH", "update_auth_credentials"),
        ("node", {"token": OPERATOR_TOKEN}, "AUTH_TOKEN_MISMATCH", "retry_with_device_token"),
        ("operator", {"token": NODE_TOKEN}, "AUTH_TOKEN_MISMATCH", "retry_with_device_token"),
        ("operator", {"deviceToken": "x"}, "AUTH_DEVICE_TOKEN_MISMATCH", "update_auth_credentials"),
        ("operator", {}, "AUTH_TOKEN_MISSING", "update_auth_credentials"),
        ("operator", {"bootstrapToken": "code"}, "AUTH_TOKEN_MISSING", "update_auth_credentials"),
    ],
)
def test_a_wrong_token_is_told_in_the_code_that_clients_act_on(role: str, auth: Json, code: str, step: str) -> None:
    talk = connects(IPHONE, IPHONE.record(), role=role, auth=auth)
    assert code_of(talk) == code
    assert talk.error["code"] == "INVALID_REQUEST"
    assert talk.error["message"].startswith("unauthorized: ")
    assert talk.details["recommendedNextStep"] == step
    assert talk.details["canRetryWithDeviceToken"] is (code == "AUTH_TOKEN_MISMATCH")


@pytest.mark.parametrize("auth", [None, {}, {"password": "x"}, {"token": ""}])
def test_a_paired_node_without_a_token_asks_for_a_repair(auth: Json | None) -> None:
    connects(IPHONE, IPHONE.record(), auth=auth).does(FileRequest(draft(IPHONE, Why.REPAIR)))


def test_a_node_that_was_approved_while_away_is_given_its_token() -> None:
    admit = Admit(IPHONE.node_id, Role.NODE, None, frozenset({Role.NODE}))
    connects(IPHONE, IPHONE.record(token_due=True)).does(admit)


@pytest.mark.parametrize("auth", [{"token": "of the former pairing"}, {"deviceToken": "of the former pairing"}])
def test_so_is_one_that_still_presents_a_token_from_before(auth: Json) -> None:
    admit = Admit(IPHONE.node_id, Role.NODE, None, frozenset({Role.NODE}))
    connects(IPHONE, IPHONE.record(token_due=True), auth=auth).does(admit)


def test_a_token_that_is_due_to_the_node_is_none_for_its_operator() -> None:
    talk = connects(IPHONE, IPHONE.record(token_due=True), role="operator", auth={"token": "x"})
    assert code_of(talk) == "AUTH_TOKEN_MISMATCH"


def test_a_paired_node_may_present_a_code() -> None:
    talk = connects(IPHONE, IPHONE.record(), auth={"bootstrapToken": "code"})
    talk.does(Redeem(draft(IPHONE, Why.REPAIR), "code"))


@pytest.mark.parametrize("role", ["node", "operator"])
def test_a_key_paired_for_mutual_tls_is_refused_here(role: str) -> None:
    record = IPHONE.record(security=Security.MTLS)
    talk = connects(IPHONE, record, role=role, auth={"token": NODE_TOKEN if role == "node" else OPERATOR_TOKEN})
    talk.ends(1008)
    assert talk.error["code"] == "NOT_PAIRED"
    assert "mutual TLS" in talk.error["message"]


@pytest.mark.parametrize(("name", "value"), [("platform", "iPadOS 26.1"), ("deviceFamily", "iPad")])
def test_another_platform_or_family_is_a_new_pairing_even_with_the_token(name: str, value: str) -> None:
    client = {**IPHONE.client("node"), name: value}
    frame = IPHONE.connect(auth={"token": NODE_TOKEN}, client=client)
    (command,) = play(book(IPHONE.record())).receives(frame).did
    assert isinstance(command, FileRequest)
    assert command.draft.why is Why.CHANGED

    ui = {**client, "mode": "ui"}
    talk = play(book(IPHONE.record())).receives(IPHONE.connect("operator", {"token": OPERATOR_TOKEN}, client=ui))
    assert code_of(talk) == "PAIRING_REQUIRED"


def test_another_version_of_the_operating_system_is_the_same_phone() -> None:
    frame = IPHONE.connect(auth={"token": NODE_TOKEN}, client={**IPHONE.client("node"), "platform": "iOS 27.0"})
    play(book(IPHONE.record())).receives(frame).does(Admit(IPHONE.node_id, Role.NODE, entry(NODE_TOKEN), frozenset()))


# A revoked key.


@pytest.mark.parametrize("role", ["node", "operator"])
@pytest.mark.parametrize("auth", [None, {"token": NODE_TOKEN}, {"deviceToken": NODE_TOKEN}])
def test_a_revoked_key_is_told_once_per_role(role: str, auth: Json | None) -> None:
    talk = connects(IPHONE, IPHONE.tombstone(), role=role, auth=auth)
    assert talk.did[0] == NoteRevocationTold(IPHONE.node_id, Role(role))
    assert code_of(talk) == "AUTH_DEVICE_TOKEN_MISMATCH"
    other = Role.OPERATOR if role == "node" else Role.NODE
    again = connects(IPHONE, IPHONE.tombstone(told=(other,)), role=role, auth=auth)
    assert again.did[0] == NoteRevocationTold(IPHONE.node_id, Role(role))


@pytest.mark.parametrize("auth", [None, {"deviceToken": NODE_TOKEN}])
def test_after_that_a_node_is_turned_away_for_15_minutes(auth: Json | None) -> None:
    just_below = IPHONE.tombstone(timedelta(minutes=15) - timedelta(seconds=1), (Role.NODE,))
    talk = connects(IPHONE, just_below, auth=auth)
    assert code_of(talk) == "PAIRING_REQUIRED"
    assert (talk.details["pauseReconnect"], talk.details["retryable"]) == (True, False)
    assert "recommendedNextStep" not in talk.details
    assert talk.details["title"] == "Not approved on the Mac"


def test_after_15_minutes_it_may_ask_and_the_prompt_says_that_it_was_revoked() -> None:
    grave = IPHONE.tombstone(timedelta(minutes=15), (Role.NODE,))
    expected = draft(IPHONE, Why.RETURN, revoked_at=grave.revoked_at)
    connects(IPHONE, grave).does(FileRequest(expected))


def test_a_person_who_runs_pair_ends_the_silence() -> None:
    grave = IPHONE.tombstone(timedelta(minutes=5), (Role.NODE,))
    expected = draft(IPHONE, Why.RETURN, revoked_at=grave.revoked_at)
    connects(IPHONE, grave, window_opened=WALL - timedelta(minutes=1)).does(FileRequest(expected))


def test_an_invitation_from_before_the_revocation_is_none() -> None:
    grave = IPHONE.tombstone(timedelta(minutes=5), (Role.NODE,))
    talk = connects(IPHONE, grave, window_opened=WALL - timedelta(minutes=6))
    assert talk.details["pauseReconnect"] is True


def test_a_revoked_operator_never_asks_again() -> None:
    grave = IPHONE.tombstone(timedelta(days=2), (Role.NODE, Role.OPERATOR))
    talk = connects(IPHONE, grave, role="operator", window_opened=WALL)
    assert code_of(talk) == "AUTH_DEVICE_TOKEN_MISMATCH"


def test_a_code_lets_a_revoked_key_ask_and_no_more() -> None:
    grave = IPHONE.tombstone(told=(Role.NODE,))
    expected = draft(IPHONE, Why.RETURN, revoked_at=grave.revoked_at)
    talk = connects(IPHONE, grave, auth={"bootstrapToken": "code"}).does(Redeem(expected, "code"))
    talk.gets(Filed("req-1")).does().after(25).ends(1008)
    assert talk.details["requestId"] == "req-1"


def test_a_record_revoked_while_it_was_admitted_lets_nobody_in() -> None:
    talk = connects(IPHONE, IPHONE.record(), auth={"token": NODE_TOKEN}).gets(Admitted(IPHONE.tombstone()))
    assert code_of(talk) == "AUTH_DEVICE_TOKEN_MISMATCH"


def test_the_record_of_another_key_lets_nobody_in() -> None:
    talk = connects(IPHONE, IPHONE.record(), auth={"token": NODE_TOKEN}).gets(Admitted(ANDROID.record()))
    assert code_of(talk) == "AUTH_DEVICE_TOKEN_MISMATCH"


# Before anything else.


def test_no_common_version_ends_with_1002() -> None:
    talk = play().receives(IPHONE.connect(minProtocol=2, maxProtocol=2)).ends(1002, "protocol mismatch")
    assert talk.details == {
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": 2,
        "clientMaxProtocol": 2,
        "expectedProtocol": 4,
        "minimumProbeProtocol": 3,
    }


def test_a_key_that_is_kept_out_is_told_when_to_come_back() -> None:
    directory = book(IPHONE.record(), penalties={IPHONE.node_id: 1042.5})
    talk = play(directory).receives(IPHONE.connect(auth={"token": NODE_TOKEN})).ends(1013)
    assert talk.error["code"] == "UNAVAILABLE"
    assert (talk.error["retryable"], talk.error["retryAfterMs"]) == (True, 42_500)
    assert talk.details == {"reason": "busy"}


def test_an_unproven_key_is_neither_named_nor_looked_up() -> None:
    directory = book(IPHONE.record(), penalties={IPHONE.node_id: 9e9})
    frame = IPHONE.connect(auth={"token": NODE_TOKEN})
    frame["params"]["device"]["signature"] = "A" * 86
    talk = play(directory).receives(frame)
    assert code_of(talk) == "DEVICE_AUTH_SIGNATURE_INVALID"
    assert talk.session.node_id is None


def test_no_refusal_ever_says_rate_limited() -> None:
    talk = play(book(penalties={IPHONE.node_id: 9e9})).receives(IPHONE.connect())
    assert "AUTH_RATE_LIMITED" not in str(talk.sent)
