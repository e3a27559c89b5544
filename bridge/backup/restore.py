"""Puts a backup in the place of a home: all of it or nothing, and the present home is kept aside."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bridge.backup.archive import Archive
from bridge.backup.contents import KEYS, STORE, require_known
from bridge.backup.errors import BackupError
from bridge.backup.exchange import ExchangeUnsupported, exchange
from bridge.backup.graves import remembered
from bridge.backup.staging import Staged, left_over, stage_home, staging_folder
from bridge.daemon_lock import LOCK_FILE, AlreadyRunningError, daemon_lock
from certs.passphrase_choice import ChosenPassphrase
from certs.passphrase_keyring import Keychain
from certs.private_files import flush_folder, private_folder

Exchange = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        staged: the home as it is now.
        kept_aside: where the former home is; None: there was nothing worth keeping.
        left_over: folders of earlier restores that were cut off.
    """

    staged: Staged = field(repr=False)
    kept_aside: Path | None
    left_over: tuple[Path, ...] = ()


def restore(
    home: Path,
    archive: Archive,
    *,
    replace: bool,
    now: datetime,
    swap: Exchange = exchange,
    keychain: Keychain | None = None,
) -> Restored:
    """Puts the content of a backup in the place of `home`.

    Until the last step, which swaps two folders at once, the present home is not touched.

    Args:
        home: the bridge's folder; made when it is missing.
        archive: the backup.
        replace: whether an identity that is there may be put aside.
        now: aware UTC time, for the name of the folder that is put aside.
        swap: swaps two folders.
        keychain: takes the passphrase of the keys if it can; None: the one that `keyring` finds.

    Raises:
        BackupError: a daemon runs there, there is an identity already, the backup does not load, or the disk refused;
            the present home is as it was.
        PrivateFileError: the folder cannot be trusted.
    """
    require_known((name, len(data)) for name, data in archive.members.items())
    private_folder(home)
    try:
        with daemon_lock(home):
            if not replace:
                require_no_identity(home)
            former = tuple(left_over(home))
            memory = remembered(home)
            with staging_folder(home) as stage:
                staged = stage_home(stage, archive.members, memory, keychain)
                try:
                    _put_in_place(stage, home, swap)
                except BackupError:  # nothing was swapped, so the stage still is what is given up
                    ChosenPassphrase(stage / KEYS, keychain).forget()
                    raise
            return Restored(staged, _put_aside(stage, home, now), former)
    except AlreadyRunningError as exc:
        raise BackupError(
            f"A bridge is running on {home}, so nothing was restored.", "Stop it, then restore again."
        ) from exc
    except OSError as exc:
        raise BackupError(f"{home} cannot be used ({exc}).", f"See: ls -la {shlex.quote(str(home))}") from exc


def require_no_identity(home: Path) -> None:
    """Checks that no bridge would be put aside; worth asking before a passphrase is.

    Raises:
        BackupError: there is one.
    """
    if os.path.lexists(home / STORE) or any((home / KEYS).glob("*")):
        raise BackupError(
            f"{home} holds the identity of a bridge already, and is left as it is.",
            "To put it aside and restore: add --replace",
        )


def _put_in_place(stage: Path, home: Path, swap: Exchange) -> None:
    """Afterwards `home` is the restored one and `stage` the former one."""
    try:
        swap(stage, home)
    except ExchangeUnsupported:
        if not _is_bare(home):
            raise BackupError(
                f"The file system of {home} cannot swap two folders at once, and without that a power failure could "
                "leave no bridge there.",
                f"Move it to another disk, restore there, and name it: --home DIR. Nothing in {home} has changed.",
            ) from None
        (home / LOCK_FILE).unlink()
        stage.rename(home)  # onto an empty folder, which is one step everywhere
        flush_folder(home.parent)


def _put_aside(stage: Path, home: Path, now: datetime) -> Path | None:
    """Gives the former home a name that says when it was replaced; where it is now."""
    if not stage.exists():
        return None
    if _is_bare(stage):
        shutil.rmtree(stage, ignore_errors=True)
        return None
    aside = _free_name(home, now)
    try:
        stage.rename(aside)
    except OSError:  # the restore is done all the same
        return stage
    with contextlib.suppress(OSError):
        flush_folder(home.parent)
    return aside


def _free_name(home: Path, now: datetime) -> Path:
    name = f"{home.name}.replaced-{now:%Y-%m-%dT%H-%M-%SZ}"
    names = (home.parent / (name if count == 1 else f"{name}-{count}") for count in itertools.count(1))
    return next(path for path in names if not os.path.lexists(path))


def _is_bare(home: Path) -> bool:
    """Whether there is nothing in a folder but the lock that a restore itself makes."""
    return {each.name for each in home.iterdir()} <= {LOCK_FILE}
