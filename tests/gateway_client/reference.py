"""An independent reading of the rules for JSON, on Python's own parser: what `parse_json` is compared with.

It leaves out the bound on items, which is an estimate by design and has tests of its own.
"""

from __future__ import annotations

import json
from typing import NoReturn

from gateway_client.frames import Bounds, Json, JsonObject


class Refused(ValueError):
    """The reference does not take a text."""


def reference_parse(data: bytes, bounds: Bounds) -> Json:
    """Read one JSON text; raise `Refused` when a rule forbids it."""
    if len(data) > bounds.max_bytes:
        raise Refused("size")
    try:
        value: Json = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_pairs,
            parse_constant=_no,
            parse_float=_float,
            parse_int=lambda digits: _int(digits, bounds),
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate has no UTF-8
        depth = _depth(value)
    except (ValueError, RecursionError) as exc:
        raise Refused(str(exc)) from exc
    if depth > bounds.max_depth:
        raise Refused("depth")
    return value


def _pairs(pairs: list[tuple[str, Json]]) -> JsonObject:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Refused("duplicate")
    return dict(pairs)


def _no(word: str) -> NoReturn:
    raise Refused(word)


def _float(digits: str) -> float:
    if abs(float(digits)) == float("inf"):
        raise Refused("overflow")
    return float(digits)


def _int(digits: str, bounds: Bounds) -> int | float:
    if len(digits) > 400:
        raise Refused("a very long number")
    exact = int(digits)
    if bounds.safe_integers and (digits == "-0" or abs(exact) >= 2**53):
        raise Refused("not the same integer everywhere")
    return exact if -(2**63) <= exact < 2**64 else _float(digits)


def _depth(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)
