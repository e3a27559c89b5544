"""Certificates for native nodes: an answer that got lost can be had again, and asking again costs next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from cryptography import x509

from acl.permissions import Permission
from bridge.lan.guest import Guest
from bridge.pairing.desk import Filed
from bridge.pairing.enrolment_answers import EnrolmentRefused
from bridge.pairing.enrolment_bodies import RenewBody, read_body
from bridge.pairing.issuing import (
    FETCHABLE,
    MAX_ENDED,
    MAX_FETCHED,
    RENEWALS_PER_MINUTE,
    WORDS_PER_MINUTE,
    Fetched,
    Issuing,
)
from bridge.pairing.records import CertificateNote, NodeRecord, Security
from bridge.pairing.transcript import fetch_digest, renewal_digest, short_code
from certs.keys import sign, spki_der
from gateway_client.frames import JsonObject
from gateway_client.identity import decode_base64url, encode_base64url
from tests.bridge.house import House, house
from tests.bridge.pairing.native import NativePhone

HERE = "192.168.1.7"
NODE = NativePhone()
DAY = timedelta(days=1)
NEXT = "ab" * 32


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[House]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with house(home) as made:
        yield made


def transcript(phone: NativePhone) -> bytes:
    return phone.transcript(phone.ceremony(f"r{phone.number}"))


def filed(bridge: House, phone: NativePhone = NODE) -> Filed:
    """The node's request `r<number>` lies on the desk."""
    done = bridge.reception.file_draft(phone.revealed(f"r{phone.number}"), HERE, f"r{phone.number}")
    assert isinstance(done, Filed)
    return done


async def approved(bridge: House, phone: NativePhone = NODE) -> None:
    """A person approves it."""
    request = filed(bridge, phone).request
    await bridge.reception.approve(request, None, None, short_code(transcript(phone)))


async def poll(issuing: Issuing, phone: NativePhone = NODE, wait_s: float = 0) -> Fetched:
    proof = encode_base64url(sign(phone.key, fetch_digest(transcript(phone))))
    return await issuing.poll(f"r{phone.number}", proof, wait_s)


def issued(bridge: House) -> int:
    """How many certificates were made."""
    return len(bridge.stage.events("certificate-issued"))


def serial(answer: JsonObject) -> str:
    certificate = x509.load_pem_x509_certificate(str(answer["certificate"]).encode())
    return f"{certificate.serial_number:x}"


def renewal(**more: object) -> RenewBody:
    return read_body(RenewBody, orjson.dumps({"csr": encode_base64url(NODE.csr.der), **more}))


def showing(age: timedelta) -> Guest:
    """The node, with a certificate of that age."""
    return Guest(HERE, NODE.node_id, datetime.now(UTC) - age + 60 * DAY)


def proven(bridge: House) -> RenewBody:
    """A renewal without a certificate."""
    nonce = str(bridge.issuing.challenge(NODE.node_id, HERE)["nonce"])
    own = spki_der(bridge.identity.key.public_key())
    proof = sign(NODE.key, renewal_digest(decode_base64url(nonce, 32), own, NODE.csr.der))
    return renewal(nodeId=NODE.node_id, nonce=nonce, proof=encode_base64url(proof))


async def refusal(bridge: House, body: RenewBody, guest: Guest) -> EnrolmentRefused:
    with pytest.raises(EnrolmentRefused) as refused:
        await bridge.issuing.renew(body, guest)
    return refused.value


@contextmanager
def broken(bridge: House) -> Iterator[None]:
    """The store refuses to be written: its folder is open to others."""
    bridge.home.chmod(0o777)
    try:
        yield
    finally:
        bridge.home.chmod(0o700)


class TestFetching:
    async def test_an_approved_request_has_one_certificate_however_often_it_is_fetched(self, bridge: House) -> None:
        """Guard out (nothing remembered): the second poll makes a certificate, or is refused for a minute."""
        await approved(bridge)
        first = await poll(bridge.issuing)
        before = bridge.store.nodes[NODE.node_id]
        answers = [await poll(bridge.issuing) for _ in range(50)]
        assert all(one.document == first.document for one in answers)
        assert (first.again, {one.again for one in answers}) == (False, {True})
        assert issued(bridge) == 1
        assert bridge.store.nodes[NODE.node_id] is before

    async def test_two_polls_at_a_time_are_one_certificate(self, bridge: House) -> None:
        """Guard out (no lock): the second is refused."""
        await approved(bridge)
        one, other = await asyncio.gather(poll(bridge.issuing), poll(bridge.issuing))
        assert one.document == other.document
        assert [one.again, other.again] == [False, True]
        assert issued(bridge) == 1

    async def test_after_a_restart_there_is_one_more(self, bridge: House) -> None:
        await approved(bridge)
        former = await poll(bridge.issuing)
        again = Issuing(bridge.reception, bridge.certificates, bridge.stage.log)
        first, second = await poll(again), await poll(again)
        assert first.document == second.document != former.document
        assert issued(bridge) == 2

    async def test_one_that_is_remembered_no_more_is_made_at_most_once_a_minute(self, bridge: House) -> None:
        """A flood of `MAX_FETCHED`. Guard out, `_paced` in `_certificate_of`: a third certificate."""
        await approved(bridge)
        await poll(bridge.issuing)
        for number in range(1, MAX_FETCHED + 1):
            phone = NativePhone(number)
            bridge.reception.deny(filed(bridge, phone).request)
            assert (await poll(bridge.issuing, phone)).document == {"status": "denied"}
        with pytest.raises(EnrolmentRefused) as refused:
            await poll(bridge.issuing)
        assert (refused.value.status, refused.value.code) == (429, "RATE_LIMITED")
        assert 0 < (refused.value.retry_after_ms or 0) <= 60_000
        assert issued(bridge) == 1

    async def test_what_the_disk_refused_may_be_tried_again_at_once(self, bridge: House) -> None:
        """Guard out (the attempt is not given back): 429 instead of the certificate."""
        await approved(bridge)
        with pytest.raises(EnrolmentRefused) as refused, broken(bridge):
            await poll(bridge.issuing)
        assert refused.value.code == "UNAVAILABLE"
        assert (await poll(bridge.issuing)).document["status"] == "approved"

    async def test_the_outcome_of_a_denied_request_is_new_once(self, bridge: House) -> None:
        request = filed(bridge).request
        assert [(await poll(bridge.issuing)).again for _ in range(3)] == [False] * 3
        bridge.reception.deny(request)
        assert [(await poll(bridge.issuing)).again for _ in range(3)] == [False, True, True]

    async def test_who_waits_hears_of_the_decision_at_once(self, bridge: House) -> None:
        """Red without the wake-up (25 s), and when it tells what it saw before (`pending`)."""
        request = filed(bridge).request
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            waiting = group.create_task(poll(bridge.issuing, wait_s=25))
            await bridge.reception.approve(request, None, None, short_code(transcript(NODE)))
        assert waiting.result().document["status"] == "approved"

    async def test_the_newer_of_two_waits(self, bridge: House) -> None:
        """Red when both do (25 s): one request, one place."""
        request = filed(bridge).request
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            older, newer = [group.create_task(poll(bridge.issuing, wait_s=25)) for _ in range(2)]
            assert (await older).document == {"status": "pending"}
            bridge.reception.deny(request)
        assert newer.result().document == {"status": "denied"}

    async def test_asking_keeps_the_request_alive(self, bridge: House) -> None:
        before = filed(bridge).request.seen
        await poll(bridge.issuing)
        (request,) = bridge.reception.desk.pending()
        assert request.seen > before

    async def test_the_answer_stays_for_a_day(self, bridge: House) -> None:
        """Red without `FETCHABLE`."""
        await approved(bridge)
        record = bridge.store.nodes[NODE.node_id]
        assert record.enrolment is not None
        old = record.enrolment.model_copy(update={"approved_at": datetime.now(UTC) - FETCHABLE})
        await bridge.store.put(record.model_copy(update={"enrolment": old}))
        with pytest.raises(EnrolmentRefused) as refused:
            await poll(bridge.issuing)
        assert refused.value.status == 404

    async def test_of_those_that_ended_otherwise_so_many_are_remembered(self, bridge: House) -> None:
        """Red without the bound of `_ended`: the first is still known."""
        phones = [NativePhone(number) for number in range(MAX_ENDED + 1)]
        for phone in phones:
            bridge.reception.deny(filed(bridge, phone).request)
        with pytest.raises(EnrolmentRefused) as refused:
            await poll(bridge.issuing, phones[0])
        assert refused.value.status == 404
        assert (await poll(bridge.issuing, phones[1])).document == {"status": "denied"}

    @pytest.mark.parametrize("change", [{"revoked_at": datetime.now(UTC)}, {"security": Security.DEVICE_KEY}])
    async def test_what_is_remembered_is_not_for_whom_is_no_native_node_any_more(
        self, bridge: House, change: dict[str, object]
    ) -> None:
        await approved(bridge)
        await poll(bridge.issuing)
        await bridge.store.put(bridge.store.nodes[NODE.node_id].model_copy(update=change))
        with pytest.raises(EnrolmentRefused):
            await poll(bridge.issuing)

    async def test_it_says_what_is_permitted_and_prepared_now(self, bridge: House) -> None:
        await approved(bridge)
        await poll(bridge.issuing)
        await bridge.store.put(bridge.store.nodes[NODE.node_id].model_copy(update={"permissions": (Permission.VOICE,)}))
        following = await bridge.certificates.prepare_next()
        document = (await poll(bridge.issuing)).document
        assert (document["permissions"], document["nextSpki"]) == (["voice"], following)


class TestRenewing:
    async def test_a_lost_answer_is_given_again(self, bridge: House) -> None:
        """Guard out (judged by the note in the record): 409 TOO_EARLY for sixty days."""
        await approved(bridge)
        first, second = [await bridge.issuing.renew(renewal(), showing(61 * DAY)) for _ in range(2)]
        assert serial(first) != serial(second)
        note = bridge.store.nodes[NODE.node_id].certificate
        assert note is not None
        assert note.serial == serial(second)

    async def test_a_young_certificate_is_not_renewed_whatever_the_note_says(self, bridge: House) -> None:
        await approved(bridge)
        old = CertificateNote(serial="aa", not_after=datetime.now(UTC) + DAY)
        await bridge.store.put(bridge.store.nodes[NODE.node_id].model_copy(update={"certificate": old}))
        refused = await refusal(bridge, renewal(), showing(59 * DAY))
        assert (refused.status, refused.code) == (409, "TOO_EARLY")
        assert 86_300_000 < (refused.retry_after_ms or 0) <= 86_400_000

    async def test_a_proven_key_is_given_one_at_any_time(self, bridge: House) -> None:
        await approved(bridge)
        await poll(bridge.issuing)
        assert serial(await bridge.issuing.renew(proven(bridge), Guest(HERE)))

    async def test_a_challenge_is_good_once_and_from_its_address(self, bridge: House) -> None:
        """Red without `take` in `_proven_by_body`: whoever recorded a proof has a certificate made."""
        await approved(bridge)
        elsewhere = proven(bridge)
        assert (await refusal(bridge, elsewhere, Guest("192.168.1.66"))).code == "NOT_PAIRED"
        body = proven(bridge)
        await bridge.issuing.renew(body, Guest(HERE))
        assert (await refusal(bridge, body, Guest(HERE))).code == "NOT_PAIRED"

    async def test_a_key_has_so_many_a_minute_over_both_ways(self, bridge: House) -> None:
        """Guard out, `_paced` in `renew`: as many as it likes, each with a write of the store."""
        await approved(bridge)
        await bridge.issuing.renew(renewal(), showing(61 * DAY))
        for _ in range(RENEWALS_PER_MINUTE - 1):
            await bridge.issuing.renew(proven(bridge), Guest(HERE))
        made = issued(bridge)
        for body, guest in ((renewal(), showing(61 * DAY)), (proven(bridge), Guest(HERE))):
            refused = await refusal(bridge, body, guest)
            assert (refused.status, refused.code) == (429, "RATE_LIMITED")
            assert 0 < (refused.retry_after_ms or 0) <= 60_000
        assert issued(bridge) == made

    async def test_what_was_refused_for_another_reason_does_not_count(self, bridge: House) -> None:
        await approved(bridge)
        for _ in range(RENEWALS_PER_MINUTE + 1):
            with broken(bridge):
                assert (await refusal(bridge, renewal(), showing(61 * DAY))).code == "UNAVAILABLE"
        assert serial(await bridge.issuing.renew(renewal(), showing(61 * DAY)))

    async def test_the_request_of_another_key_is_refused(self, bridge: House) -> None:
        await approved(bridge)
        body = renewal(csr=encode_base64url(NativePhone(1).csr.der))
        assert (await refusal(bridge, body, showing(61 * DAY))).code == "NOT_PAIRED"


class TestTheNextKey:
    async def told(self, bridge: House) -> str | None:
        return bridge.store.nodes[NODE.node_id].next_spki_told

    async def test_that_it_was_told_is_no_sign_that_it_knows(self, bridge: House) -> None:
        """Guard out (written when it is told): known before the answers have arrived."""
        await approved(bridge)
        following = await bridge.certificates.prepare_next()
        answers = [
            (await poll(bridge.issuing)).document,
            await bridge.issuing.identity(NODE.node_id, None),
            await bridge.issuing.renew(renewal(), showing(61 * DAY)),
        ]
        assert [one["nextSpki"] for one in answers] == [following] * 3
        assert await self.told(bridge) is None
        assert [row.knows_next for row in (await bridge.operations.certs.show()).nodes] == [False]

    async def test_it_knows_what_it_names(self, bridge: House) -> None:
        await approved(bridge)
        following = await bridge.certificates.prepare_next()
        await bridge.issuing.identity(NODE.node_id, following)
        assert await self.told(bridge) == following
        assert [row.knows_next for row in (await bridge.operations.certs.show()).nodes] == [True]
        await bridge.issuing.identity(NODE.node_id, None)
        assert await self.told(bridge) is None
        await bridge.issuing.renew(renewal(knowsNext=following), showing(61 * DAY))
        assert await self.told(bridge) == following

    async def test_a_key_that_is_not_prepared_is_not_written_down(self, bridge: House) -> None:
        await approved(bridge)
        await bridge.issuing.identity(NODE.node_id, NEXT)
        assert await self.told(bridge) is None
        await bridge.certificates.prepare_next()
        await bridge.issuing.identity(NODE.node_id, NEXT)
        assert await self.told(bridge) is None

    async def test_who_changes_its_word_again_and_again_has_to_wait(self, bridge: House) -> None:
        """Guard out, `_paced` in `identity`: as many writes of the store as it likes."""
        await approved(bridge)
        following = await bridge.certificates.prepare_next()
        written: list[NodeRecord] = []
        bridge.store.on_change(written.append)
        for number in range(WORDS_PER_MINUTE):
            await bridge.issuing.identity(NODE.node_id, following if number % 2 == 0 else None)
        with pytest.raises(EnrolmentRefused) as refused:
            await bridge.issuing.identity(NODE.node_id, following)
        assert (refused.value.status, refused.value.code) == (429, "RATE_LIMITED")
        assert 0 < (refused.value.retry_after_ms or 0) <= 60_000
        for _ in range(50):
            assert (await bridge.issuing.identity(NODE.node_id, None))["nextSpki"] == following
        assert len(written) == WORDS_PER_MINUTE

    async def test_a_revoked_node_is_told_nothing(self, bridge: House) -> None:
        await approved(bridge)
        await bridge.reception.revoke(NODE.node_id)
        with pytest.raises(EnrolmentRefused):
            await bridge.issuing.identity(NODE.node_id, None)
