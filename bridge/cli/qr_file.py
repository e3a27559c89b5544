"""A QR code as a picture in a file: it holds a secret, so only its owner can read it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import segno

from bridge.cli.qr import QUIET_ZONE
from bridge.errors import RefusedError, UsageError

FORMATS = {".png": "png", ".svg": "svg"}
_OTHER_FOLDER = "Name a file in a folder of yours."
SCALE = 8  # pixels of a module: a code of 60 modules is some 540 pixels wide, which phones read from a screen


def require_writable(file: Path) -> None:
    """Refuses what `write_qr` would refuse, as far as that can be known before.

    Raises:
        UsageError: another ending.
        RefusedError: there is such a file already, or its folder takes none.
    """
    _format_of(file)
    if os.path.lexists(file):
        raise _taken(file)
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK | os.X_OK):
        raise RefusedError(f"{file} cannot be written: its folder takes no file.", _OTHER_FOLDER)


def write_qr(text: str, file: Path) -> None:
    """Writes the QR code of `text`, with mode 0600; a file of that name is not replaced.

    Args:
        text: what the code says.
        file: `.png` or `.svg`.

    Raises:
        UsageError: another ending.
        RefusedError: there is such a file already, or it cannot be written.
    """
    kind = _format_of(file)
    picture = io.BytesIO()
    segno.make(text, error="m", micro=False).save(picture, kind=kind, scale=SCALE, border=QUIET_ZONE)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags, 0o600)
    except FileExistsError:
        raise _taken(file) from None
    except OSError as exc:
        raise _unwritable(file, exc) from exc
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(picture.getvalue())
    except OSError as exc:
        file.unlink(missing_ok=True)
        raise _unwritable(file, exc) from exc


def _format_of(file: Path) -> str:
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise UsageError(f"{file} is no picture that can be written.", "Name a .png or .svg file.")
    return kind


def _unwritable(file: Path, exc: OSError) -> RefusedError:
    return RefusedError(f"{file} cannot be written: {exc.strerror}.", _OTHER_FOLDER)


def _taken(file: Path) -> RefusedError:
    return RefusedError(f"{file} is there already, and is not replaced.", "Name another file.")
