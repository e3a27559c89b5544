"""Lays a backup out beside the home, unites it with what the present home remembers, and checks that it loads."""

from __future__ import annotations

import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bridge.audit.head import forget_head
from bridge.backup.contents import CONFIG, DATABASE, KEYS
from bridge.backup.errors import BackupError
from bridge.backup.graves import Memory, latest, remembered, unite
from bridge.config import Config, ConfigError
from bridge.config_file import load_config
from bridge.discovery_names import load_names
from bridge.pairing.records import NodeRecord, StoreFile
from bridge.pairing.store import FILE_NAME, NodeStore, StoreError
from bridge.pairing.tombstones import TombstoneStore, bury_returned
from bridge.policy_file import load_policy
from certs.errors import IdentityError
from certs.passphrase import FilePassphrase, Place
from certs.passphrase_choice import ChosenPassphrase
from certs.passphrase_keyring import Keychain
from certs.private_files import PrivateFileError, private_folder, write_private
from certs.store import AUTHORITY, BridgeIdentity, KeyFolder


@dataclass(frozen=True, slots=True)
class Staged:
    """A home that is ready to be put in place.

    Attributes:
        identity: the bridge's, as it was loaded from there.
        nodes: the records of its store.
        returned: those that the backup held in force and that were revoked since.
        notes: what the owner should know, a sentence each.
        passphrase_place: where this machine keeps the passphrase of the keys.
    """

    identity: BridgeIdentity
    nodes: tuple[NodeRecord, ...]
    returned: tuple[NodeRecord, ...]
    notes: tuple[str, ...]
    passphrase_place: Place


@contextmanager
def staging_folder(home: Path) -> Iterator[Path]:
    """A new private folder beside the home; when the block fails it is removed.

    Only while it is the folder that was made here: once it has been swapped, the former home has its name.

    Raises:
        PrivateFileError: it cannot be made.
    """
    stage = home.parent / f"{_beginning(home)}{secrets.token_hex(8)}"
    private_folder(stage)
    made = stage.stat().st_ino
    try:
        yield stage
    except BaseException:
        if stage.exists() and stage.stat().st_ino == made:
            shutil.rmtree(stage, ignore_errors=True)
        raise


def left_over(home: Path) -> list[Path]:
    """Folders of restores that were cut off, by a power failure for example."""
    return sorted(each for each in home.parent.iterdir() if each.name.startswith(_beginning(home)))


def _beginning(home: Path) -> str:
    return f".{home.name}.restore-"


def stage_home(stage: Path, members: Mapping[str, bytes], memory: Memory, keychain: Keychain | None = None) -> Staged:
    """Writes the members into `stage` and makes a home of them.

    Args:
        stage: an empty private folder.
        members: the content of a backup, names and sizes checked.
        memory: what the present home remembers.
        keychain: takes the passphrase of the keys if it can; None: the one that `keyring` finds.

    Raises:
        BackupError: it cannot be written, or what the backup holds is no home of a bridge.
    """
    try:
        private_folder(stage / KEYS)
        for name, data in members.items():
            write_private(stage / name, data)
    except PrivateFileError as exc:
        raise BackupError(
            f"The backup could not be laid out beside the home: {exc.path} {exc.why}. Nothing has changed.",
            f"Make room: df -h {shlex.quote(str(stage.parent))}",
        ) from exc
    try:
        load_names(stage, "")
        nodes, returned = _bury(stage, memory)
        identity, place = _settle_keys(stage / KEYS, members, keychain)
    except (IdentityError, StoreError, PrivateFileError) as exc:
        raise BackupError(
            f"What the backup holds does not load: {exc}", "Nothing has changed. Use another backup."
        ) from exc
    return Staged(identity, nodes, returned, (*memory.unread, *_about_configuration(stage)), place)


def _settle_keys(folder: Path, members: Mapping[str, bytes], keychain: Keychain | None) -> tuple[BridgeIdentity, Place]:
    """The identity and the place of the passphrase, once every key that a start would need is seen to load."""
    keys = KeyFolder(folder, FilePassphrase(folder))  # the keychain is given nothing for keys that are worth nothing
    keys.load()
    if any(name.startswith(f"{KEYS}/{AUTHORITY}.") for name in members):
        keys.load_client_authority()
    _ = keys.next_spki  # raises when there is a next key and it cannot be used
    place = ChosenPassphrase(folder, keychain).settle()
    return KeyFolder(folder, ChosenPassphrase(folder, keychain)).load(), place


def _bury(stage: Path, memory: Memory) -> tuple[tuple[NodeRecord, ...], tuple[NodeRecord, ...]]:
    """Makes tombstones of the nodes that either side knows as revoked; returns all nodes, and those."""
    records = NodeStore(stage).nodes.values()
    own = remembered(stage)
    if own.unread:
        raise StoreError(" ".join(own.unread))
    dead = latest(memory.revoked, own.revoked)
    TombstoneStore(stage / DATABASE).bury_all(dead)
    unite(stage / DATABASE, Memory(dead, memory.ceremonies))
    forget_head(stage / DATABASE)  # its log is elsewhere: a new one begins here
    nodes, returned = bury_returned(records, dead)
    if returned:
        text = StoreFile(nodes=nodes).model_dump_json(by_alias=True, indent=1)
        write_private(stage / FILE_NAME, text.encode("utf-8"))
    return tuple(NodeStore(stage).nodes.values()), returned


def _about_configuration(stage: Path) -> Iterator[str]:
    """What in `bridge.toml` and `policy.toml` may not fit another machine, or this version."""
    try:
        config = load_config(stage / CONFIG)
    except ConfigError as exc:
        yield f"The bridge will not start before this is mended: {exc}"
        return
    try:
        load_policy(stage, config.pairing.default_profile, datetime.now(UTC))
    except ConfigError as exc:
        yield f"The bridge will not start before this is mended: {exc}"
    if config.listen.hosts != Config().listen.hosts:
        yield f"bridge.toml listens on {', '.join(config.listen.hosts)}: does this machine have these addresses?"
    if config.gateway.token_file is not None:
        yield f"bridge.toml reads the gateway's token from {config.gateway.token_file}, which no backup holds."
