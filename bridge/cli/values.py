"""Pure: words of the command line turned into values."""

from __future__ import annotations

import re

from acl.permissions import PROFILES, Permission, UnknownPermissionError, read_permissions
from bridge.errors import UsageError

_DURATION = re.compile(r"(\d{1,6})([smh]?)", re.ASCII)
_CODE = re.compile(r"[0-9]{6}")
_GAP = re.compile(r"[ -]")  # people type the gap that the device shows
_MAX_TYPED = 64  # characters that are looked at
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_permissions(text: str) -> list[str]:
    """Permissions in a comma-separated list, each once; `none` is the empty list.

    Raises:
        UsageError: empty, or a word is no permission.
    """
    if text.strip() == "none":
        return []
    words = [word.strip() for word in text.split(",") if word.strip()]
    try:
        read_permissions(words)
    except UnknownPermissionError as error:
        raise UsageError(f"{error}.", _profile_hint(error.word)) from error
    if not words:
        raise UsageError("The list of permissions is empty.", "Name some, like screen,voice; or say: none")
    return list(dict.fromkeys(words))


def _profile_hint(word: str) -> str | None:
    """What to write instead of the name of a profile."""
    if word not in PROFILES:
        return None
    listed = ",".join(each.value for each in Permission if each in PROFILES[word])
    return f"'{word}' is a profile, a name for these permissions: {listed}"


def parse_code(text: str) -> str:
    """The six digits of a short code, typed with or without a gap.

    Raises:
        UsageError: it is not that.
    """
    digits = _GAP.sub("", text.strip()[:_MAX_TYPED])
    if not _CODE.fullmatch(digits):
        raise UsageError("A code is six digits.", "Type them as the device shows them: --code 123456")
    return digits


def parse_duration(text: str) -> int:
    """Seconds in a duration such as `90`, `90s`, `5m` or `1h`.

    Raises:
        UsageError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no length of time.", "Write seconds, minutes or hours: 90s, 5m, 1h")
    return int(found[1]) * _SECONDS[found[2]]
