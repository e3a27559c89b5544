"""The record that a grant makes: what was read, and what is kept of an earlier pairing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from acl.permissions import PROFILES
from bridge.pairing.desk import Why
from bridge.pairing.grant import paired_record, proposed, revoked_at, tombstone
from bridge.pairing.records import CertificateNote, NodeRecord, Role, Security, Surface, UpstreamIdentity
from bridge.pairing.tokens import issue, mint
from bridge.pairing.transcript import fetch_digest
from tests.bridge.pairing.native import NativePhone
from tests.bridge.pairing.samples import NOON, VOICE_SCREEN, draft, labels, record

LATER = NOON + timedelta(days=1)
SAME = UpstreamIdentity(key_name="0123456789abcdef", gateway_node_id=record().gateway_node_id)
FRESH = UpstreamIdentity(key_name="fedcba9876543210", gateway_node_id="cc" * 32)
OLD = UpstreamIdentity(key_name="dd" * 8, gateway_node_id="dd" * 32)


def known(**members: object) -> NodeRecord:
    node = issue(record(), Role.NODE, mint(b"\x01" * 32, NOON))
    return node.model_copy(update={"stale_upstream": (OLD,), "last_seen_at": NOON, "wants": ("x",), **members})


@pytest.mark.parametrize("why", list(Why))
@pytest.mark.parametrize(
    "stored",
    [None, known(permissions=()), known(permissions=(), revoked_at=NOON)],
    ids=["unknown", "paired", "revoked"],
)
def test_only_a_paired_node_that_offers_more_is_proposed_what_it_has(why: Why, stored: NodeRecord | None) -> None:
    narrowed = why is Why.WIDER and stored is not None and stored.revoked_at is None
    assert proposed(draft(why=why), stored) == (frozenset() if narrowed else VOICE_SCREEN)


def test_a_stranger_gets_exactly_what_was_read() -> None:
    node = paired_record(draft(), VOICE_SCREEN, None, None, FRESH, LATER)
    assert (node.node_id, node.public_key) == (draft().node_id, draft().public_key)
    assert (node.labels, node.declared, node.granted) == (draft().labels, draft().declared, VOICE_SCREEN)
    assert node.security is Security.DEVICE_KEY
    assert (node.upstream_key, node.gateway_node_id, node.stale_upstream) == (FRESH.key_name, FRESH.gateway_node_id, ())
    assert (node.created_at, node.revoked_at, node.node_tokens) == (LATER, None, ())


def test_a_paired_node_keeps_its_tokens_and_its_age_and_loses_its_wishes() -> None:
    node = paired_record(draft(), PROFILES["voice"], None, known(), SAME, LATER)
    assert node.node_tokens == known().node_tokens
    assert (node.created_at, node.last_seen_at, node.wants) == (NOON, NOON, ())
    assert node.stale_upstream == known().stale_upstream
    assert node.granted == PROFILES["voice"]


def test_a_new_key_at_the_gateway_makes_the_old_one_stale_once() -> None:
    node = paired_record(draft(), VOICE_SCREEN, None, known(), FRESH, LATER)
    assert node.stale_upstream == (OLD, SAME)


def test_a_revoked_key_keeps_nothing_but_what_is_stale() -> None:
    tomb = known(revoked_at=NOON, revocation_told=(Role.NODE,), token_due=True)
    node = paired_record(draft(), VOICE_SCREEN, None, tomb, FRESH, LATER)
    assert (node.node_tokens, node.revocation_told, node.token_due, node.revoked_at) == ((), (), False, None)
    assert node.stale_upstream == tomb.stale_upstream
    assert (node.created_at, node.last_seen_at) == (LATER, None)


@pytest.mark.parametrize(
    ("typed", "shown"), [(None, "Phone"), ("Kitchen", "Kitchen"), (" ", "Phone"), ("\u202eK", "K")]
)
def test_a_person_may_give_a_name(typed: str | None, shown: str) -> None:
    node = paired_record(draft(of=labels("Phone")), VOICE_SCREEN, typed, None, FRESH, LATER)
    assert node.labels.display_name == shown


def test_a_paired_node_keeps_the_name_that_it_has_here() -> None:
    node = paired_record(draft(of=labels("As the phone says")), VOICE_SCREEN, None, known(), SAME, LATER)
    assert node.labels.display_name == known().labels.display_name
    tomb = known(revoked_at=NOON)
    node = paired_record(draft(of=labels("As the phone says")), VOICE_SCREEN, None, tomb, FRESH, LATER)
    assert node.labels.display_name == "As the phone says"


def test_nobody_is_as_little_revoked_as_a_paired_node() -> None:
    assert revoked_at(None) is None
    assert revoked_at(record()) is None
    assert revoked_at(record(revoked_at=NOON)) == NOON


class TestNative:
    """A native node proves itself by its certificate, and fetches that under the request it was approved by."""

    def test_it_is_paired_for_mutual_tls_with_what_its_certificate_is_fetched_by(self) -> None:
        phone = NativePhone()
        made = paired_record(phone.revealed(), VOICE_SCREEN, None, None, FRESH, NOON, "c1")
        assert made.security is Security.MTLS
        assert made.enrolment is not None
        assert made.enrolment.request_id == "c1"
        assert made.enrolment.fetch_digest == fetch_digest(phone.transcript(phone.ceremony())).hex()

    def test_a_key_that_had_tokens_has_none_any_more(self) -> None:
        phone = NativePhone()
        token = mint(b"t" * 32, NOON).entry
        known = record(node_id=phone.node_id, node_tokens=(token,), operator_tokens=(token,), token_due=True)
        made = paired_record(phone.revealed(), VOICE_SCREEN, None, known, FRESH, NOON, "c1")
        assert (made.node_tokens, made.operator_tokens, made.token_due) == ((), (), False)

    def test_what_it_offers_more_changes_nothing_else(self) -> None:
        phone = NativePhone()
        known = paired_record(phone.revealed(), VOICE_SCREEN, None, None, FRESH, NOON, "c1").model_copy(
            update={"certificate": CertificateNote(serial="ab", not_after=NOON), "next_spki_told": "cd" * 32}
        )
        wider = replace(phone.draft(why=Why.WIDER), declared=Surface(commands=("screen.eval",)))
        made = paired_record(wider, VOICE_SCREEN, None, known, FRESH, NOON)
        assert made.security is Security.MTLS
        assert (made.enrolment, made.certificate, made.next_spki_told) == (
            known.enrolment,
            known.certificate,
            known.next_spki_told,
        )

    def test_a_tombstone_keeps_none_of_it(self) -> None:
        phone = NativePhone()
        known = paired_record(phone.revealed(), VOICE_SCREEN, None, None, FRESH, NOON, "c1")
        ended = tombstone(known, NOON)
        assert (ended.enrolment, ended.certificate, ended.revoked_at) == (None, None, NOON)
        assert tombstone(ended, NOON + timedelta(hours=1)) == ended
