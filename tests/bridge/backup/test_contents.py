"""What a backup may bring into a home: known files, none too long, and an identity."""

from __future__ import annotations

import pytest

from bridge import config_file, discovery_names, policy_file, toml_file
from bridge.backup import contents
from bridge.backup.contents import MAX_BYTES, require_known
from bridge.backup.errors import BackupError
from bridge.pairing import database, store
from certs import identity, passphrase, vault

IDENTITY = [("keys/bridge.pem", 1400), ("keys/passphrase", 43), ("names.json", 80)]


def test_the_least_and_the_most() -> None:
    require_known(IDENTITY)
    require_known([*IDENTITY, *MAX_BYTES.items(), ("keys/node-0123456789abcdef.pem", 16384)][2:] + IDENTITY[:2])


@pytest.mark.parametrize("name", ["audit.json", "keys", "lock", "bridge.sock", "paired-nodes.json.bad"])
def test_a_file_that_no_home_has_is_refused(name: str) -> None:
    with pytest.raises(BackupError, match=name):
        require_known([*IDENTITY, (name, 1)])


@pytest.mark.parametrize("name", [*MAX_BYTES, "keys/bridge.pem"])
def test_a_file_that_its_reader_would_refuse_is_refused(name: str) -> None:
    limit = MAX_BYTES.get(name, contents.MAX_KEY_BYTES)
    with pytest.raises(BackupError, match="the most"):
        require_known([*IDENTITY, (name, limit + 1)])


@pytest.mark.parametrize("missing", IDENTITY)
def test_without_an_identity_it_is_no_backup(missing: tuple[str, int]) -> None:
    with pytest.raises(BackupError, match="no identity"):
        require_known([one for one in IDENTITY if one != missing])


def test_names_and_bounds_are_those_of_the_files_own_readers() -> None:
    assert contents.STORE == store.FILE_NAME
    assert contents.DATABASE == database.FILE_NAME
    assert contents.CONFIG == config_file.CONFIG_NAME
    assert contents.POLICY == policy_file.POLICY_NAME
    assert MAX_BYTES[contents.POLICY] == toml_file.MAX_BYTES
    assert contents.NAMES == discovery_names.NAMES_FILE
    assert contents.IDENTITY.endswith(f"/{identity.IDENTITY}.pem")
    assert contents.PASSPHRASE.endswith(f"/{passphrase.PASSPHRASE_FILE}")
    assert MAX_BYTES[contents.STORE] == store.MAX_FILE_BYTES
    assert MAX_BYTES[contents.CONFIG] == toml_file.MAX_BYTES
    assert MAX_BYTES[contents.NAMES] == discovery_names.MAX_BYTES
    assert contents.MAX_KEY_BYTES == vault.MAX_FILE_BYTES
