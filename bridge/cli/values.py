"""Pure: words of the command line turned into values."""

from __future__ import annotations

import ipaddress
import re

from acl.permissions import PROFILES, Permission, UnknownPermissionError, read_permissions
from bridge.control.requests import MAX_NAME_CHARS, MAX_TTL_S, MIN_TTL_S
from bridge.errors import UsageError

PERMISSIONS_HELP = f"Permissions: {', '.join(Permission)}."
PROFILES_HELP = f"Profiles: {', '.join(PROFILES)}; and those of policy.toml."

_DURATION = re.compile(r"(\d{1,6})([smh]?)", re.ASCII)
_CODE = re.compile(r"[0-9]{6}")
_GAP = re.compile(r"[ -]")  # people type the gap that the device shows
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
    digits = _GAP.sub("", text.strip())
    if not _CODE.fullmatch(digits):
        raise UsageError("A code is six digits.", "Type them as the device shows them: --code 123456")
    return digits


def parse_ttl(text: str) -> int:
    """Seconds for which a code is valid, in a duration such as `90`, `90s`, `5m` or `1h`.

    Raises:
        UsageError: it is none, or a code cannot be valid for so long or so short.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no length of time.", "Write seconds, minutes or hours: 90s, 5m, 1h")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if not MIN_TTL_S <= seconds <= MAX_TTL_S:
        longest = f"{MAX_TTL_S // 3600}h"
        raise UsageError(f"A code is valid for {MIN_TTL_S}s at least and {longest} at most.", "For example: --ttl 5m")
    return seconds


def parse_name(text: str) -> str:
    """A name for a node.

    Raises:
        UsageError: there is nothing in it, or too much.
    """
    name = text.strip()
    if not name:
        raise UsageError("The name is empty.", 'Give one, in quotes when it has spaces: "Anna\'s iPhone"')
    if len(name) > MAX_NAME_CHARS:
        raise UsageError(f"The name has {len(name)} characters; {MAX_NAME_CHARS} are possible.", "Give a shorter one.")
    return name


def parse_address(text: str) -> str:
    """An IP address, without a zone.

    Raises:
        UsageError: it is none.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise UsageError(f"{text!r} is no IP address.", "Give one of this machine's: --address 192.168.1.20") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise UsageError("An address with a zone (%...) means nothing on another device.", "Give another address.")
    return str(address)
