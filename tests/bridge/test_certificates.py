"""The certificates in force: what is said of them is what handshakes show, also when a change fails half-way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.certificates import Certificates
from bridge.log import silent_log
from certs.errors import IdentityError
from certs.store import BridgeIdentity, KeyFolder

HOST_NAME = "clawdis-bridge-0a1b2c3d.local"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def certificates(keys: KeyFolder) -> Certificates:
    now = datetime.now(UTC)
    identity = keys.load_or_create(HOST_NAME, now=now)
    return Certificates(keys, identity, keys.client_authority(now=now), HOST_NAME, silent_log())


async def test_whoever_listens_is_told_of_a_renewal(certificates: Certificates) -> None:
    told: list[BridgeIdentity] = []
    certificates.on_change(told.append)
    before = certificates.identity
    renewed = await certificates.renew()
    assert told == [renewed]
    assert certificates.identity is renewed
    assert renewed.spki == before.spki
    assert renewed.pin != before.pin


async def test_a_file_that_another_process_renewed_is_taken(certificates: Certificates, keys: KeyFolder) -> None:
    renewed = keys.renew_certificate(HOST_NAME, now=datetime.now(UTC))
    assert (await certificates.reload()).pin == certificates.identity.pin == renewed.pin


async def test_a_file_that_cannot_be_used_does_not(certificates: Certificates) -> None:
    told: list[BridgeIdentity] = []
    certificates.on_change(told.append)
    before = certificates.identity
    before.file.write_bytes(b"")
    with pytest.raises(IdentityError):
        await certificates.reload()
    assert certificates.identity is before
    assert told == []


async def test_neither_does_one_that_tls_does_not_take(certificates: Certificates, keys: KeyFolder) -> None:
    def refuse(identity: BridgeIdentity) -> None:
        raise FileNotFoundError("gone meanwhile")

    certificates.on_change(refuse)
    before = certificates.identity
    keys.renew_certificate(HOST_NAME, now=datetime.now(UTC))
    with pytest.raises(IdentityError, match="TLS cannot use it"):
        await certificates.reload()
    assert certificates.identity is before
