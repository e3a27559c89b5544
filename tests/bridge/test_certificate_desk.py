"""What a person asks about the bridge's certificates, from a bridge that really has them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bridge.certificate_desk import CertificateDesk
from bridge.errors import RefusedError
from bridge.pairing.records import CertificateNote, Security
from certs.pins import spki_hash
from tests.bridge.house import HOST_NAME, House
from tests.bridge.lan.phones import ANDROID, IPHONE
from tests.bridge.pairing.samples import record
from tests.support.waiting import eventually


@pytest.fixture
def desk(bridge: House) -> CertificateDesk:
    return bridge.operations.certs


async def test_what_is_in_force_is_told(bridge: House, desk: CertificateDesk) -> None:
    report = await desk.show()
    certificate, authority = bridge.identity.certificate, bridge.certificates.authority.certificate
    assert (report.pin, report.spki, report.host) == (bridge.identity.pin, bridge.identity.spki, HOST_NAME)
    assert (report.not_before, report.not_after) == (
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
    assert report.authority.spki == spki_hash(authority.public_key())
    assert report.authority.not_after == authority.not_valid_after_utc
    assert (report.next_spki, report.passphrase_place, report.nodes, report.apps) == (None, "file", [], 0)


async def test_native_nodes_are_listed_and_apps_counted_and_the_revoked_left_out(
    bridge: House, desk: CertificateDesk
) -> None:
    following = await bridge.certificates.prepare_next()
    ends = datetime.now(UTC) + timedelta(days=90)
    note = CertificateNote(serial="0a1b", not_after=ends)
    await bridge.store.put(record(1, security=Security.MTLS, certificate=note, next_spki_told=following))
    await bridge.store.put(record(2, security=Security.MTLS, next_spki_told="of an earlier change"))
    await bridge.store.put(record(3, security=Security.MTLS, revoked_at=datetime.now(UTC)))
    await bridge.pair(IPHONE)
    await bridge.pair(ANDROID, revoked_at=datetime.now(UTC))
    report = await desk.show()
    assert [(row.serial, row.not_after, row.knows_next) for row in report.nodes] == [
        ("0a1b", ends, True),
        (None, None, False),
    ]
    assert (report.apps, report.next_spki) == (1, following)


async def test_where_no_next_key_is_prepared_nobody_knows_it(bridge: House, desk: CertificateDesk) -> None:
    await bridge.store.put(record(1, security=Security.MTLS))
    assert [row.knows_next for row in (await desk.show()).nodes] == [False]


async def test_a_change_is_made_and_the_new_state_told(bridge: House, desk: CertificateDesk) -> None:
    first = await desk.show()
    renewed = await desk.renew()
    assert (renewed.spki == first.spki, renewed.pin == first.pin) == (True, False)
    prepared = await desk.rotate(commit=False)
    assert (prepared.pin, prepared.spki) == (renewed.pin, renewed.spki)
    assert prepared.next_spki is not None
    rotated = await desk.rotate(commit=True)
    assert (rotated.spki, rotated.next_spki) == (prepared.next_spki, None)
    assert (await bridge.operations.status()).pin == rotated.pin


async def test_a_change_is_carried_through_whose_caller_has_gone(bridge: House, desk: CertificateDesk) -> None:
    """Red without the task of its own: the file has the new certificate, and the bridge shows the old one."""
    before = bridge.certificates.identity
    caller = asyncio.get_running_loop().create_task(desk.renew())
    await asyncio.sleep(0)
    caller.cancel()
    await eventually(lambda: bridge.certificates.identity is not before)
    assert bridge.certificates.identity.spki == before.spki


async def test_a_new_key_sends_everyone_away_to_come_again(bridge: House, desk: CertificateDesk) -> None:
    await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        await desk.rotate(commit=False)
        assert bridge.hub.roster.node(IPHONE.node_id) is not None
        await desk.rotate(commit=True)
        await eventually(lambda: bridge.hub.roster.node(IPHONE.node_id) is None)


async def test_what_cannot_be_done_is_refused_with_what_mends_it(bridge: House, desk: CertificateDesk) -> None:
    before = bridge.certificates.identity
    with pytest.raises(RefusedError, match="The old certificate stays in force") as refused:
        await desk.rotate(commit=True)
    assert refused.value.fix
    (bridge.home / "keys" / "bridge.pem").write_text("nonsense")
    with pytest.raises(RefusedError, match="The old certificate stays in force"):
        await desk.reload()
    assert bridge.certificates.identity is before


async def test_a_damaged_note_of_the_passphrases_place_does_not_stop_the_telling(
    bridge: House, desk: CertificateDesk
) -> None:
    """It is read once, at the start; read at each question it is a failure without a sentence."""
    (bridge.home / "keys" / "passphrase-place").write_text("nonsense")
    assert (await desk.show()).passphrase_place == "file"
    assert (await desk.renew()).passphrase_place == "file"
