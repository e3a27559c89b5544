"""Pure: checks of JSON values against small closed schemas, with faults in the gateway's own words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from gateway_client.frames import Json

Check = Callable[[Json, str], list[str]]
"""Returns the faults of a value at a path; none when it fits."""


def faults_of(check: Check, value: Json) -> str:
    """Returns all faults in one line, empty when there is none."""
    return "; ".join(dict.fromkeys(check(value, "")))


def _at(path: str, fault: str) -> list[str]:
    return [f"at {path}: {fault}" if path else fault]


def anything(value: Json, path: str) -> list[str]:
    """Fits every value."""
    return []


def boolean(value: Json, path: str) -> list[str]:
    """Fits true and false."""
    return [] if isinstance(value, bool) else _at(path, "must be boolean")


def text(minimum: int = 0, maximum: int | None = None, pattern: str | None = None) -> Check:
    """Fits strings of so many characters, of one form if there is a pattern."""

    def check(value: Json, path: str) -> list[str]:
        """Says what is wrong with a string."""
        if not isinstance(value, str):
            return _at(path, "must be string")
        if len(value) < minimum:
            return _at(path, f"must not have fewer than {minimum} characters")
        if maximum is not None and len(value) > maximum:
            return _at(path, f"must not have more than {maximum} characters")
        if pattern is not None and re.search(pattern, value) is None:
            return _at(path, f'must match pattern "{pattern}"')
        return []

    return check


def integer(minimum: int, maximum: int | None = None) -> Check:
    """Fits whole numbers in a range; JSON knows no difference between 4 and 4.0."""

    def check(value: Json, path: str) -> list[str]:
        """Says what is wrong with a number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            return _at(path, "must be integer")
        if value < minimum:
            return _at(path, f"must be >= {minimum}")
        if maximum is not None and value > maximum:
            return _at(path, f"must be <= {maximum}")
        return []

    return check


def number(value: Json, path: str) -> list[str]:
    """Fits numbers."""
    return [] if isinstance(value, int | float) and not isinstance(value, bool) else _at(path, "must be number")


def either(*checks: Check) -> Check:
    """Fits what fits one of these."""

    def check(value: Json, path: str) -> list[str]:
        """Says what is wrong for each of them."""
        found = [one(value, path) for one in checks]
        return _flat(found) + _at(path, "must match a schema in anyOf") if all(found) else []

    return check


def without(check: Check, **both: Json) -> Check:
    """Fits what fits the check, unless all of these members have these values."""

    def narrowed(value: Json, path: str) -> list[str]:
        """Says what is wrong, and whether the members clash."""
        clash = isinstance(value, dict) and all(name in value and value[name] == both[name] for name in both)
        return check(value, path) + (_at(path, "must not be valid") if clash else [])

    return narrowed


def one_of(*values: str) -> Check:
    """Fits the listed strings."""

    def check(value: Json, path: str) -> list[str]:
        """Says which strings there are."""
        if value in values:
            return []
        return _at(
            path, "must be equal to constant" if len(values) == 1 else "must be equal to one of the allowed values"
        )

    return check


def array(item: Check, minimum: int = 0, maximum: int | None = None) -> Check:
    """Fits lists whose elements all fit."""

    def check(value: Json, path: str) -> list[str]:
        """Says what is wrong with a list and its elements."""
        if not isinstance(value, list):
            return _at(path, "must be array")
        if len(value) < minimum:
            return _at(path, f"must not have fewer than {minimum} items")
        if maximum is not None and len(value) > maximum:
            return _at(path, f"must not have more than {maximum} items")
        return _flat(item(element, f"{path}/{index}") for index, element in enumerate(value))

    return check


def mapping(item: Check) -> Check:
    """Fits objects with any names whose values all fit."""

    def check(value: Json, path: str) -> list[str]:
        """Says what is wrong with the values."""
        if not isinstance(value, dict):
            return _at(path, "must be object")
        return _flat(item(member, f"{path}/{name}") for name, member in value.items())

    return check


def opened(optional: Mapping[str, Check]) -> Check:
    """Fits objects whose members of these names fit; there may be others."""

    def check(value: Json, path: str) -> list[str]:
        """Says what is wrong with the members of these names."""
        if not isinstance(value, dict):
            return _at(path, "must be object")
        return _flat(optional[name](member, f"{path}/{name}") for name, member in value.items() if name in optional)

    return check


def closed(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Fits objects with these members and no others."""
    known = {**required, **(optional or {})}

    def check(value: Json, path: str) -> list[str]:
        """Says which members lack, are too many, or do not fit."""
        if not isinstance(value, dict):
            return _at(path, "must be object")
        where = f"at {path}" if path else "at root"
        missing = [f"must have required property '{name}'" for name in required if name not in value]
        found = _flat(_at(path, fault) for fault in missing[:1])
        found += [f"{where}: unexpected property '{name}'" for name in value if name not in known]
        return found + _flat(known[name](member, f"{path}/{name}") for name, member in value.items() if name in known)

    return check


def _flat(parts: Iterable[list[str]]) -> list[str]:
    return [fault for part in parts for fault in part]
