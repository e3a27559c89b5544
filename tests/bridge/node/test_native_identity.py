"""What a paired node keeps: whole or refused, its key encrypted, its certificate its own."""

from __future__ import annotations

import json
import ssl
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from bridge.node.native_identity import MAX_FILE_BYTES, NodeIdentity, read_identity, write_identity
from certs.errors import IdentityError
from certs.keys import node_id_of
from certs.spki_pin import SpkiPin
from tests.bridge.node.stages import KINDS, new_key
from tests.doubles.pairing_bridge import PairingBridge

PASSPHRASE = b"p" * 43


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def bridge(folder: Path) -> PairingBridge:
    """A bridge that only issues: it does not listen."""
    return PairingBridge(folder)


def identity(bridge: PairingBridge, kind: str = "p256", **more: Any) -> NodeIdentity:
    key = new_key(kind)
    return NodeIdentity(key, bridge.issue(key.public_key(), **more), bridge.spki, "ab" * 32, "bridge.local", 18790)


class TestFile:
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_written_is_read(self, bridge: PairingBridge, folder: Path, kind: str) -> None:
        kept = identity(bridge, kind)
        write_identity(folder / "node.json", kept, PASSPHRASE)
        found = read_identity(folder / "node.json", PASSPHRASE)
        assert found is not None
        assert found.node_id == kept.node_id == node_id_of(kept.private_key.public_key())
        assert replace(found, private_key=kept.private_key) == kept
        assert stat.S_IMODE((folder / "node.json").stat().st_mode) == 0o600

    def test_no_file_is_no_identity(self, folder: Path) -> None:
        assert read_identity(folder / "node.json", PASSPHRASE) is None

    def test_the_key_in_it_is_encrypted(self, bridge: PairingBridge, folder: Path) -> None:
        write_identity(folder / "node.json", identity(bridge), PASSPHRASE)
        key = json.loads((folder / "node.json").read_bytes())["key"]
        assert key.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")

    def test_another_passphrase_does_not_open_it(self, bridge: PairingBridge, folder: Path) -> None:
        write_identity(folder / "node.json", identity(bridge), PASSPHRASE)
        with pytest.raises(IdentityError, match="pair the node again"):
            read_identity(folder / "node.json", b"another")

    def test_a_file_that_others_may_open_is_refused(self, bridge: PairingBridge, folder: Path) -> None:
        write_identity(folder / "node.json", identity(bridge), PASSPHRASE)
        (folder / "node.json").chmod(0o644)
        with pytest.raises(IdentityError, match="chmod 600"):
            read_identity(folder / "node.json", PASSPHRASE)

    def test_a_folder_that_others_may_write_in_is_not_written_to(self, bridge: PairingBridge, folder: Path) -> None:
        folder.chmod(0o777)
        with pytest.raises(IdentityError):
            write_identity(folder / "node.json", identity(bridge), PASSPHRASE)

    @pytest.mark.parametrize(
        "edit",
        [
            lambda kept: kept.pop("spki"),
            lambda kept: kept.update(spki="x"), lambda kept: kept.update(v=2), lambda kept: kept.update(v=True),
            lambda kept: kept.update(more=1), lambda kept: kept.update(port=0), lambda kept: kept.update(port="1"),
            lambda kept: kept.update(next_spki="x"), lambda kept: kept.update(certificate="x"),
            lambda kept: kept.update(certificate="\u00e4"), lambda kept: kept.update(key="x"),
            lambda kept: kept.update(key="\u00e4"), lambda kept: kept.update(host="a/b"), lambda kept: kept.pop("v"),
        ],
    )  # fmt: skip
    def test_a_damaged_one_is_refused(
        self, bridge: PairingBridge, folder: Path, edit: Callable[[dict[str, Any]], object]
    ) -> None:
        file = folder / "node.json"
        write_identity(file, identity(bridge), PASSPHRASE)
        kept = json.loads(file.read_bytes())
        edit(kept)
        file.write_text(json.dumps(kept))
        with pytest.raises(IdentityError, match="Move it away"):
            read_identity(file, PASSPHRASE)

    def test_a_certificate_of_a_version_that_nobody_issues_is_damage(self, bridge: PairingBridge, folder: Path) -> None:
        """One flipped bit; `cryptography` has an error of its own for it, which is no `ValueError`."""
        file = folder / "node.json"
        write_identity(file, identity(bridge), PASSPHRASE)
        kept = json.loads(file.read_bytes())
        der = ssl.PEM_cert_to_DER_cert(kept["certificate"])
        kept["certificate"] = ssl.DER_cert_to_PEM_cert(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", 1))
        file.write_text(json.dumps(kept))
        with pytest.raises(IdentityError, match="Move it away"):
            read_identity(file, PASSPHRASE)

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"x" * (MAX_FILE_BYTES + 1)])
    def test_what_is_no_such_file_is_refused(self, folder: Path, data: bytes) -> None:
        file = folder / "node.json"
        file.write_bytes(data)
        file.chmod(0o600)
        with pytest.raises(IdentityError):
            read_identity(file, PASSPHRASE)

    def test_a_key_of_another_kind_is_refused(self, bridge: PairingBridge, folder: Path) -> None:
        file = folder / "node.json"
        write_identity(file, identity(bridge), PASSPHRASE)
        kept = json.loads(file.read_bytes())
        foreign = rsa.generate_private_key(65537, 2048)
        kept["key"] = foreign.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)
        ).decode()
        file.write_text(json.dumps(kept))
        with pytest.raises(IdentityError, match="another kind"):
            read_identity(file, PASSPHRASE)


class TestIdentity:
    def test_a_certificate_for_another_key_makes_none(self, bridge: PairingBridge) -> None:
        with pytest.raises(ValueError, match="another key"):
            replace(identity(bridge), private_key=new_key())

    def test_no_repr_shows_the_key(self, bridge: PairingBridge) -> None:
        assert "private_key" not in repr(identity(bridge))

    def test_it_is_due_after_two_thirds_of_its_life_and_expires_at_its_end(self, bridge: PairingBridge) -> None:
        kept = identity(bridge, lifetime=(timedelta(0), timedelta(days=90)))
        start = kept.leaf.not_valid_before_utc
        assert not kept.renewal_due(start + timedelta(days=60, seconds=-1))
        assert kept.renewal_due(start + timedelta(days=60))
        assert not kept.expired(start + timedelta(days=90, seconds=-1))
        assert kept.expired(start + timedelta(days=90))
        assert not kept.expired(datetime.now(UTC))

    @pytest.mark.parametrize("kind", KINDS)
    def test_its_context_leaves_no_file(
        self, bridge: PairingBridge, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        before = set(folder.iterdir())
        context = identity(bridge, kind).client_context(SpkiPin())
        assert context.get_ca_certs() == []
        assert set(folder.iterdir()) == before
