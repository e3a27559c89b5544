"""The embedded gateway's parameters against the official schema: whatever one refuses, the other does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.demo.gateway.schema import faults_of
from bridge.demo.gateway.shapes import CONNECT, PARAMS
from tests.support.schema import SchemaViolation, definition_of, params_definition, validate

pytestmark = pytest.mark.real

CHECKS = {**PARAMS, "connect": CONNECT}
# The real gateway refuses unknown members of these as well (test_operator), but the schema does not define them.
UNDEFINED = {"node.pending.pull", "users.prefs.get"}
DEFINED = sorted(CHECKS.keys() - UNDEFINED)
# Of these it knows only some members; it refuses the others, and the bridge never sends them.
PARTIAL = {"connect", "agent", "chat.send", "chat.history", "sessions.list"}
JUNK: list[Any] = [
    *(None, True, False, -1, 0, 1, 1.5, 4.0, 1e300, "", " ", "a", "9", "a--b", "-a", "../x", "A_b", "a\n", "é"),
    *([], [1], ["a"], [None], [[]], {}, {"a": 1}, {"__proto__": 1}),
]


def fitting(schema: dict[str, Any]) -> Any:
    """Returns a value that fits a schema, as small as can be."""
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0])
    if "const" in schema or "enum" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    match schema.get("type"):
        case "object":
            return {name: fitting(schema["properties"][name]) for name in schema.get("required", [])}
        case "array":
            return [fitting(schema["items"])] * schema.get("minItems", 0)
        case "string":
            return "a" * schema.get("minLength", 0)
        case "boolean":
            return True
        case _:
            return schema.get("minimum", 0)


def near(schema: dict[str, Any]) -> Iterator[Any]:
    """Yields what fits a schema, what misses it in one place, and what has nothing to do with it."""
    yield from JUNK
    yield fitting(schema)
    for option in schema.get("anyOf", []):
        yield from near(option)
    yield from schema.get("enum", [schema.get("const")])
    match schema.get("type"):
        case "object":
            yield from _near_object(schema, fitting(schema))
        case "array":
            item, most = fitting(schema["items"]), schema.get("maxItems", 3)
            yield from ([item] * length for length in (schema.get("minItems", 0), most, most + 1))
            yield from ([value] for value in near(schema["items"]))
        case "string":
            yield from ("a" * length for length in _bounds(schema, "Length") if length >= 0)
        case "integer" | "number":
            yield from _bounds(schema, "imum")


def _near_object(schema: dict[str, Any], whole: dict[str, Any]) -> Iterator[Any]:
    yield from ({**whole, name: 1} for name in ("bogus", "__proto__", ""))
    yield from ({key: value for key, value in whole.items() if key != name} for name in whole)
    for name, member in schema.get("properties", {}).items():
        yield from ({**whole, name: value} for value in near(member))


def _bounds(schema: dict[str, Any], what: str) -> Iterator[int]:
    for side in ("min", "max"):
        if side + what in schema:
            yield from (schema[side + what] + step for step in (-1, 0, 1))


def _official(definition: str, params: Any) -> str:
    try:
        validate(definition, params, strict=True)
    except SchemaViolation as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize("method", DEFINED)
def test_it_refuses_what_the_schema_refuses(method: str) -> None:
    definition, check = params_definition(method), CHECKS[method]
    known, _ = _members(method)

    for params in near({**definition_of(definition), "properties": known}):
        own, official = faults_of(check, params), _official(definition, params)
        assert bool(own) == bool(official), (params, own, official)


def _members(method: str) -> tuple[dict[str, Any], list[str]]:
    """Returns the schemas of the members that the embedded gateway knows, and the names of the others."""
    properties = definition_of(params_definition(method)).get("properties", {})
    unknown = [name for name in properties if "unexpected property" in faults_of(CHECKS[method], {name: 1})]
    return {name: schema for name, schema in properties.items() if name not in unknown}, unknown


@pytest.mark.parametrize("method", DEFINED)
def test_it_knows_every_member_or_is_named_here(method: str) -> None:
    assert bool(_members(method)[1]) == (method in PARTIAL)


def test_members_that_clash_are_refused_by_both() -> None:
    params: Any = {"refresh": True, "preparedOnly": True}
    assert faults_of(PARAMS["models.list"], params)
    assert _official(params_definition("models.list"), params)


def test_a_method_without_a_definition_is_named_here() -> None:
    assert {method for method in CHECKS if not _defined(method)} == UNDEFINED


def _defined(method: str) -> bool:
    try:
        definition_of(params_definition(method))
    except KeyError:
        return False
    return True
