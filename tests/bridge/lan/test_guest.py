"""Who comes to the node port: the store decides by the key, whatever certificate carries it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from bridge.lan.guest import Guest, guest_of
from bridge.pairing.records import NodeRecord, Security
from certs.authority import ClientAuthority
from certs.keys import NodePrivateKey, node_id_of, spki_der
from certs.leaf import RENEW_AFTER, LeafPermit, issue_leaf
from certs.store import KeyFolder
from tests.bridge.pairing.native import p256
from tests.bridge.pairing.samples import record

HERE = "192.168.1.7"
NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> ClientAuthority:
    keys = KeyFolder(tmp_path / "keys")
    keys.load_or_create("clawdis-bridge-0a1b2c3d.local", now=NOW)
    return keys.client_authority(now=NOW)


def leaf(authority: ClientAuthority, key: NodePrivateKey) -> bytes:
    permit = LeafPermit(node_id_of(key.public_key()), spki_der(key.public_key()))
    return issue_leaf(permit, authority.key, authority.certificate, now=NOW).public_bytes(Encoding.DER)


def judged(certificate: bytes | None, *records: NodeRecord) -> Guest:
    return guest_of(certificate, HERE, {one.node_id: one for one in records}.get)


def node(key: NodePrivateKey, **members: object) -> NodeRecord:
    return record().model_copy(update={"node_id": node_id_of(key.public_key()), "security": Security.MTLS, **members})


def test_without_a_certificate_it_is_nobody_and_nothing_is_held_against_it() -> None:
    assert judged(None) == Guest(HERE)


@pytest.mark.parametrize("key", [p256(), Ed25519PrivateKey.generate()], ids=["p256", "ed25519"])
def test_a_paired_key_is_that_node(authority: ClientAuthority, key: NodePrivateKey) -> None:
    due = NOW.replace(microsecond=0) + RENEW_AFTER
    assert judged(leaf(authority, key), node(key)) == Guest(HERE, node_id_of(key.public_key()), due)


@pytest.mark.parametrize(
    "members", [{"revoked_at": NOW - timedelta(days=1)}, {"security": Security.DEVICE_KEY}], ids=["revoked", "other"]
)
def test_a_key_that_is_not_in_force_is_refused(authority: ClientAuthority, members: dict[str, object]) -> None:
    guest = judged(leaf(authority, p256()), node(p256(), **members))
    assert guest.node_id is None
    assert guest.refused is not None


def test_a_certificate_of_ours_for_a_key_the_store_does_not_know_is_refused(authority: ClientAuthority) -> None:
    guest = judged(leaf(authority, p256(1)), node(p256()))
    assert guest == Guest(HERE, refused="the store does not know its key")


@pytest.mark.parametrize("certificate", [b"", b"no certificate", b"\x30\x03\x02\x01\x01"])
def test_what_cannot_be_read_is_refused(certificate: bytes) -> None:
    guest = judged(certificate, node(p256()))
    assert guest.node_id is None
    assert guest.refused is not None


def test_an_authority_is_no_node(authority: ClientAuthority) -> None:
    assert judged(authority.certificate.public_bytes(Encoding.DER), node(p256())).refused is not None
