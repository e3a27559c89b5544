"""The one error of keys that cannot be trusted, and how file errors become it."""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from certs.private_files import PrivateFileError

RESTORE = "Restore the bridge from a backup (clawdis-bridge restore FILE --replace)"
"""The advice for whatever of the keys folder is lost, without the full stop."""


class IdentityError(Exception):
    """A key or certificate that is missing, unreadable or mismatched; the bridge must not start.

    Attributes:
        what: the file or the keychain entry.
        why: what is wrong with it.
        mend: what the user can do, with the command.
    """

    def __init__(self, what: str, why: str, mend: str) -> None:
        """Keep the parts; the message is made of all three."""
        super().__init__(f"{what}: {why}. {mend}")
        self.what = what
        self.why = why
        self.mend = mend


@contextlib.contextmanager
def as_identity_error() -> Iterator[None]:
    """Turn a `PrivateFileError` of the block into an `IdentityError` with the same words."""
    try:
        yield
    except PrivateFileError as error:
        raise IdentityError(str(error.path), error.why, error.mend) from error


def from_backup(file: Path) -> str:
    """The advice for one bad file of which a backup may hold a good copy."""
    quoted = shlex.quote(str(file))
    return f"{RESTORE}, or move it away and put back a copy that you made: mv {quoted} {quoted}.bad"


def lost_identity(folder: Path, file: Path) -> str:
    """The advice when the bridge's identity, or what opens it, cannot be had without a backup."""
    return (
        f"{RESTORE}, or put back a copy of {shlex.quote(str(file))}; if there is none, begin anew "
        f"(every phone must then forget this bridge and pair again): rm -r {shlex.quote(str(folder))}"
    )


def lost_authority(folder: Path, file: Path) -> str:
    """The advice when the client authority cannot be had without a backup."""
    both = " ".join(shlex.quote(str(folder / name)) for name in ("client-ca.pem", "client-ca.pin"))
    return (
        f"{RESTORE}, or put back a copy of {shlex.quote(str(file))}; if there is none, have a new one "
        f"made (the certificates of all native nodes are then void: they must pair again): rm -f {both}"
    )
