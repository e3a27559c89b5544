"""A QR code as a picture in a file: it holds a secret, so only its owner can read it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import segno

from bridge.cli.qr import QUIET_ZONE
from bridge.errors import RefusedError, UsageError

FORMATS = {".png": "png", ".svg": "svg"}
SCALE = 8  # pixels of a module: a code of 60 modules is some 540 pixels wide, which phones read from a screen


def write_qr(text: str, file: Path) -> None:
    """Writes the QR code of `text`, with mode 0600; a file of that name is not replaced.

    Args:
        text: what the code says.
        file: `.png` or `.svg`.

    Raises:
        UsageError: another ending.
        RefusedError: there is such a file already, or it cannot be written.
    """
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise UsageError(f"{file} is no picture that can be written.", "Name a .png or .svg file.")
    picture = io.BytesIO()
    segno.make(text, error="m", micro=False).save(picture, kind=kind, scale=SCALE, border=QUIET_ZONE)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags, 0o600)
    except FileExistsError:
        raise RefusedError(f"{file} is there already, and is not replaced.", "Name another file.") from None
    except OSError as exc:
        raise RefusedError(f"{file} cannot be written: {exc.strerror}.", "Name a file in a folder of yours.") from exc
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(picture.getvalue())
