"""What is in force changes when a person says so, everyone who has to know is told, and a failure changes nothing."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.certificates import Certificates
from bridge.log import make_log
from certs.errors import IdentityError
from certs.pins import spki_hash
from certs.store import BridgeIdentity, KeyFolder
from tests.bridge.audit.remembered import Remembered

HOST = "clawdis-bridge-0a1b2c3d.local"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def certificates(keys: KeyFolder) -> Certificates:
    return loaded(keys)


def loaded(keys: KeyFolder) -> Certificates:
    now = datetime.now(UTC)
    identity = keys.load_or_create(HOST, now=now)
    return Certificates(
        keys, identity, keys.client_authority(now=now), HOST, make_log("debug", "json", io.StringIO()), Remembered()
    )


def told(certificates: Certificates) -> list[BridgeIdentity]:
    out: list[BridgeIdentity] = []
    certificates.on_change(out.append)
    return out


async def test_a_new_certificate_keeps_the_key_and_everyone_is_told(certificates: Certificates) -> None:
    before, changes = certificates.identity, told(certificates)
    after = await certificates.renew()
    assert (after.spki == before.spki, after.pin == before.pin) == (True, False)
    assert certificates.identity is after
    assert changes == [after]


async def test_the_next_key_is_announced_before_it_is_in_force(certificates: Certificates) -> None:
    before, changes = certificates.identity, told(certificates)
    following = await certificates.prepare_next()
    assert certificates.own_keys >= {following, before.spki}
    assert (certificates.identity, changes) == (before, [])
    assert await certificates.prepare_next() == following
    after = await certificates.rotate()
    assert (after.spki, certificates.identity, certificates.next_spki) == (following, after, None)
    assert changes == [after]


async def test_without_a_prepared_key_nothing_changes(certificates: Certificates) -> None:
    before, changes = certificates.identity, told(certificates)
    with pytest.raises(IdentityError):
        await certificates.rotate()
    assert (certificates.identity, changes) == (before, [])


async def test_a_key_that_another_process_prepared_meanwhile_is_not_taken_unheard(
    keys: KeyFolder, certificates: Certificates
) -> None:
    """With `to=None` in `rotate` a key comes into force of which no node was told: red."""
    following = await certificates.prepare_next()
    elsewhere = loaded(keys)
    await elsewhere.rotate()
    await elsewhere.prepare_next()
    assert (await certificates.rotate()).spki == following


async def test_its_own_keys_are_those_in_force_the_next_and_the_authority(certificates: Certificates) -> None:
    authority = spki_hash(certificates.authority.certificate.public_key())
    first = certificates.identity.spki
    assert certificates.own_keys == {first, authority}
    following = await certificates.prepare_next()
    assert certificates.own_keys == {first, authority, following}
    await certificates.rotate()
    assert certificates.own_keys == {authority, following}


async def test_files_that_were_changed_by_hand_are_read_again(keys: KeyFolder, certificates: Certificates) -> None:
    elsewhere = loaded(keys)
    changes = told(certificates)
    renewed = await elsewhere.renew()
    following = await elsewhere.prepare_next()
    assert certificates.identity.pin != renewed.pin
    reloaded = await certificates.reload()
    assert (reloaded.pin, certificates.next_spki, len(changes)) == (renewed.pin, following, 1)


async def test_a_file_that_cannot_be_used_does_not_come_into_force(certificates: Certificates, tmp_path: Path) -> None:
    before, changes = certificates.identity, told(certificates)
    (tmp_path / "keys" / "bridge.pem").write_text("nonsense")
    with pytest.raises(IdentityError):
        await certificates.reload()
    assert (certificates.identity, changes) == (before, [])


async def test_nor_does_one_beside_a_next_key_that_cannot_be_used(
    keys: KeyFolder, certificates: Certificates, tmp_path: Path
) -> None:
    """Else the new one is in force, and the refusal says that the old one is."""
    before, changes, following = certificates.identity, told(certificates), await certificates.prepare_next()
    keys.renew_certificate(HOST, now=datetime.now(UTC))
    (tmp_path / "keys" / "bridge-next.pem").write_text("nonsense")
    with pytest.raises(IdentityError):
        await certificates.reload()
    assert (certificates.identity, certificates.next_spki, changes) == (before, following, [])


async def test_nor_does_one_that_tls_does_not_take(keys: KeyFolder, certificates: Certificates) -> None:
    def refuse(identity: BridgeIdentity) -> None:
        raise FileNotFoundError("gone meanwhile")

    certificates.on_change(refuse)
    before = certificates.identity
    keys.renew_certificate(HOST, now=datetime.now(UTC))
    with pytest.raises(IdentityError, match="TLS cannot use it"):
        await certificates.reload()
    assert certificates.identity is before


async def test_changes_at_the_same_moment_wait_for_each_other(certificates: Certificates) -> None:
    changes = told(certificates)
    following = await certificates.prepare_next()
    await asyncio.gather(certificates.renew(), certificates.rotate(), certificates.renew())
    assert len({change.pin for change in changes}) == 3
    assert certificates.identity is changes[-1]
    assert certificates.identity.spki == following


def test_a_prepared_key_is_known_after_a_restart(keys: KeyFolder) -> None:
    loaded(keys)
    following = keys.prepare_next(HOST, now=datetime.now(UTC))
    assert loaded(keys).next_spki == following
