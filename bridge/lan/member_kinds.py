"""Pure: kinds of members of a call's parameters: what the gateway's schema takes, and not what looks like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway_client.frames import Json

Kind = Callable[[Json], bool]
"""Whether a value is of a kind."""

MOST = 10_000_000  # of a count that the gateway does not bound: milliseconds, rows and characters alike


def flag(value: Json) -> bool:
    """`true` or `false`; a number is none."""
    return isinstance(value, bool)


def null(value: Json) -> bool:
    """Nothing."""
    return value is None


def text(most: int | None = None, *, empty: bool = False) -> Kind:
    """A text of at most so many characters."""

    def kind(value: Json) -> bool:
        """See `text`."""
        return isinstance(value, str) and (empty or value != "") and (most is None or len(value) <= most)

    return kind


def count(least: int = 0, most: int = MOST) -> Kind:
    """A whole number in a range; `true` is none."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def number(value: Json) -> bool:
    """A number; `true` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def one_of(*values: str) -> Kind:
    """One of these words."""
    return lambda value: isinstance(value, str) and value in values


def either(*kinds: Kind) -> Kind:
    """Any of these kinds."""
    return lambda value: any(kind(value) for kind in kinds)


def list_of(kind: Kind, most: int, least: int = 0, *, distinct: bool = False) -> Kind:
    """A list whose elements are of a kind; distinct ones have to be texts."""

    def whole(value: Json) -> bool:
        """See `list_of`."""
        if not isinstance(value, list) or not least <= len(value) <= most or not all(map(kind, value)):
            return False
        return not distinct or len({str(one) for one in value}) == len(value)

    return whole


def map_of(kind: Kind) -> Kind:
    """An object with any names and values of a kind."""
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


def record(members: Mapping[str, Kind], *needed: str) -> Kind:
    """An object with these members at most."""

    def kind(value: Json) -> bool:
        """See `record`."""
        if not isinstance(value, dict) or not value.keys() <= members.keys() or not value.keys() >= set(needed):
            return False
        return all(members[name](one) for name, one in value.items())

    return kind
