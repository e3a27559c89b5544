"""Commit, then reveal: one guess, one try, one ceremony of a key and of an address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.pairing.ceremony import MAX_BEGUN, REVEAL_S, Ceremonies, Ceremony, Fault
from tests.bridge.pairing.native import NONCE_BRIDGE, NativePhone

PHONE = NativePhone()


@pytest.fixture
def ceremonies() -> Ceremonies:
    return Ceremonies()


def test_both_ends_compute_one_transcript(ceremonies: Ceremonies) -> None:
    ceremony = PHONE.ceremony()
    ceremonies.begin(ceremony)
    assert ceremonies.reveal("c1", PHONE.nonce, 1.0) == (ceremony, PHONE.transcript(ceremony))


@pytest.mark.parametrize("nonce", [b"X" * 32, b"", b"N" * 31, b"N" * 33, b"N" * 32 + b"\0"])
def test_a_wrong_reveal_kills_it(ceremonies: Ceremonies, nonce: bytes) -> None:
    ceremonies.begin(PHONE.ceremony())
    assert ceremonies.reveal("c1", nonce, 1.0) is Fault.WRONG
    assert ceremonies.reveal("c1", PHONE.nonce, 1.0) is Fault.UNKNOWN


@pytest.mark.parametrize("nonce", [bytes(32), NONCE_BRIDGE])
def test_a_nonce_that_nobody_draws_kills_it_though_it_was_committed_to(ceremonies: Ceremonies, nonce: bytes) -> None:
    phone = NativePhone(nonce=nonce)
    ceremonies.begin(phone.ceremony())
    assert ceremonies.reveal("c1", nonce, 1.0) is Fault.WRONG


def test_a_second_reveal_is_refused(ceremonies: Ceremonies) -> None:
    ceremonies.begin(PHONE.ceremony())
    assert not isinstance(ceremonies.reveal("c1", PHONE.nonce, 1.0), Fault)
    assert ceremonies.reveal("c1", PHONE.nonce, 2.0) is Fault.AGAIN
    assert ceremonies.reveal("c1", PHONE.nonce, 2.0 + REVEAL_S) is Fault.UNKNOWN


def test_before_it_began_and_under_another_id_there_is_nothing(ceremonies: Ceremonies) -> None:
    assert ceremonies.reveal("c1", PHONE.nonce, 0.0) is Fault.UNKNOWN
    ceremonies.begin(PHONE.ceremony())
    assert ceremonies.reveal("c2", PHONE.nonce, 0.0) is Fault.UNKNOWN
    assert not isinstance(ceremonies.reveal("c1", PHONE.nonce, 0.0), Fault)


def test_it_ends_with_its_time(ceremonies: Ceremonies) -> None:
    ceremonies.begin(PHONE.ceremony())
    assert ceremonies.reveal("c1", PHONE.nonce, REVEAL_S) is Fault.UNKNOWN


@pytest.mark.parametrize("other", [NativePhone(0).ceremony("c2", "10.0.0.9"), NativePhone(1).ceremony("c2")])
def test_a_new_one_of_the_key_or_the_address_takes_its_place(ceremonies: Ceremonies, other: Ceremony) -> None:
    ceremonies.begin(PHONE.ceremony())
    ceremonies.begin(other)
    assert ceremonies.reveal("c1", PHONE.nonce, 0.0) is Fault.UNKNOWN


def test_a_commitment_of_one_key_is_not_opened_for_another(ceremonies: Ceremonies) -> None:
    thief = NativePhone(1)
    ceremonies.begin(replace(thief.ceremony(), commit=PHONE.ceremony().commit))
    assert ceremonies.reveal("c1", PHONE.nonce, 0.0) is Fault.WRONG


def test_when_a_person_opens_enrolment_those_that_were_counted_are_gone(ceremonies: Ceremonies) -> None:
    ceremonies.begin(PHONE.ceremony())
    ceremonies.begin(replace(NativePhone(1).ceremony("c2", "10.0.0.8"), token_id="t1"))
    ceremonies.begin(replace(NativePhone(2).ceremony("c3", "10.0.0.9"), token_id="t2", counted=False))
    ceremonies.forget_counted()
    assert ceremonies.reveal("c1", PHONE.nonce, 1.0) is Fault.UNKNOWN
    assert ceremonies.reveal("c2", NativePhone(1).nonce, 1.0) is Fault.UNKNOWN, "its count is forgotten as well"
    assert not isinstance(ceremonies.reveal("c3", NativePhone(2).nonce, 1.0), Fault)


def test_a_flood_has_so_many_places(ceremonies: Ceremonies) -> None:
    base = PHONE.ceremony()
    for number in range(4 * MAX_BEGUN):
        draft = replace(base.draft, node_id=f"{number:064x}")
        ceremonies.begin(replace(base, id=f"c{number}", draft=draft, address=f"10.0.{number // 256}.{number % 256}"))
    alive = [n for n in range(4 * MAX_BEGUN) if ceremonies.reveal(f"c{n}", PHONE.nonce, 0.0) is not Fault.UNKNOWN]
    assert alive == list(range(3 * MAX_BEGUN, 4 * MAX_BEGUN))


def test_of_those_that_were_revealed_so_many_are_remembered(ceremonies: Ceremonies) -> None:
    """Red without the bound: the oldest is still known."""
    for number in range(MAX_BEGUN + 1):
        ceremonies.begin(PHONE.ceremony(f"c{number}"))
        assert not isinstance(ceremonies.reveal(f"c{number}", PHONE.nonce, 0.0), Fault)
    assert ceremonies.reveal("c0", PHONE.nonce, 0.0) is Fault.UNKNOWN
    assert ceremonies.reveal("c1", PHONE.nonce, 0.0) is Fault.AGAIN


def test_its_secrets_are_not_in_its_repr() -> None:
    assert repr(NONCE_BRIDGE) not in repr(PHONE.ceremony())
