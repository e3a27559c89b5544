"""Pure: the words of `policy.toml`, each held against what it has to mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Container

from acl.aliases import STANDS_FOR, is_known
from acl.engine import DEFAULT_DENY
from acl.navigation import host_pattern
from acl.permissions import COMMANDS
from acl.rules import RULES
from bridge.strict_toml import nearest

MAX_ENTRIES = 256  # of one list: a house has some ten nodes and sessions; 256 texts of a file of 256 KiB at most
MAX_RULES = 512  # each some 300 bytes in memory, 150 KiB in all; one call looks at those with its own name only
_RESERVED_PROFILES = frozenset({"companion"})
_RESERVED_IDS = frozenset({DEFAULT_DENY, "revoked", *(rule.id for rule in RULES)})
_PROFILE = re.compile(r"[a-z][a-z0-9+_-]{0,63}")
_RULE_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")
_NODE_ID = re.compile(r"[0-9a-f]{64}")
_SESSION = re.compile(r"[!-~]{1,512}")
_SHOWN = 64  # characters of a name in a message


class Bad(ValueError):
    """A value that means nothing; the second line is what to do."""

    def __init__(self, why: str, mend: str) -> None:
        super().__init__(f"{why}\n{mend}")


def require_each_once(words: tuple[str, ...]) -> tuple[str, ...]:
    """Raises Bad when a word stands twice: one of them was meant to be another."""
    if len(set(words)) != len(words):
        raise Bad("one of its entries stands twice", "Remove one.")
    return words


def require_profile_name(name: str, built_in: Container[str]) -> None:
    """Raises Bad for a name that is none, or that is taken: a built-in profile means the same everywhere."""
    if name in built_in or name in _RESERVED_PROFILES:
        raise Bad(f"the profile {name} is built in", "Give yours another name.")
    if not _PROFILE.fullmatch(name):
        raise Bad("a profile's name has a-z, 0-9, +, _ and -, and begins with a letter", "Give it such a name.")


def require_rule_id(rule_id: str) -> str:
    """Raises Bad for an id that is none, or that a built-in rule has."""
    if not _RULE_ID.fullmatch(rule_id):
        raise Bad("an id has a-z, 0-9 and -, and begins with a letter", "Give it such an id.")
    if rule_id in _RESERVED_IDS:
        raise Bad(f"a built-in rule is called {rule_id}", "Give yours another id.")
    return rule_id


def require_node_id(node_id: str) -> None:
    """Raises Bad unless it is the whole id of a node."""
    if not _NODE_ID.fullmatch(node_id):
        raise Bad("a node's id is 64 digits of 0-9 and a-f", "See them: clawdis-bridge nodes --json")


def require_session_key(key: str) -> None:
    """Raises Bad unless it is one session's key."""
    if "*" in key:
        raise Bad("a session key has no wildcard", "Name each session.")
    if not _SESSION.fullmatch(key):
        raise Bad("a session key has 1 to 512 visible ASCII characters", "See them in the gateway's list of sessions.")


def require_listed(name: str, kind: str, known: Collection[str]) -> None:
    """Raises Bad unless a name is one that the built-in table knows, so that a slip does not read as protection."""
    if name in known:
        return
    if "*" in name:
        raise Bad(f"a {kind} here is one exact name; * is no wildcard", f"Name each {kind}, in a rule of its own.")
    advice = nearest(name[:_SHOWN], sorted(known))
    raise Bad(f"no rule knows such a {kind}", advice)


def require_command_pattern(pattern: str) -> None:
    """Raises Bad unless it is a listed command, or a family (`screen.*`) of which some are listed."""
    family = pattern.removesuffix("*")
    if pattern.endswith(".*") and len(family) > 1 and "*" not in family:
        if any(name.startswith(family) for name in COMMANDS):
            return
        families = sorted({f"{name.rsplit('.', 1)[0]}.*" for name in COMMANDS})
        raise Bad("no command belongs to such a family", nearest(pattern[:_SHOWN], families))
    if "*" in pattern:
        raise Bad("* stands alone for nothing", "A family ends in .*, such as screen.*")
    require_listed(pattern, "command", COMMANDS)


def require_host(host: str) -> None:
    """Raises Bad unless it is a host as `acl.navigation` compares it, or `*.` and at least two labels of one.

    Names are A-labels, so that what looks alike is not alike; an IPv6 address stands in brackets.
    """
    name = host.removeprefix("*.")
    if "*" in name:
        raise Bad("* stands at the front of a host only, as *.example.com", "Leave the list empty to allow any host.")
    pattern = host_pattern(host)
    if pattern is not None and not name.isascii():
        raise Bad("a host is written as A-labels, in ASCII", f"Write: {pattern}")
    if pattern != host:
        raise Bad(
            "it is no host: lower case, no scheme, no port, no path, no dot at its end", "For example: example.com"
        )
    if host != name and "." not in name:
        raise Bad("a wildcard needs a domain below the top", "For example: *.example.com")


def require_alias(command: str, other: str) -> None:
    """Raises Bad unless the one command can stand for the other: only some pairs can be translated."""
    if not is_known(command, other):
        able = ", ".join(sorted(STANDS_FOR.get(command, ())))
        mend = f"What can: {able}" if able else "Remove the line: no older command does the same."
        raise Bad(f"{other} cannot stand for {command}", mend)
