"""The embedded gateway's parameters against the official schema: whatever one refuses, the other does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
VALUES = (None, True, False, -1, 0, 1, 1.5, 4.0, 11, 1001, "", " ", "a", "a--b", "../x", "A_b", "node", "all")
LENGTHS = (64, 65, 512, 513)
JUNK: st.SearchStrategy[Any] = st.sampled_from([*VALUES, [], [1], ["a"], {}, {"a": 1}, *("x" * n for n in LENGTHS)])


def near(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit a schema or miss it by little."""
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")])) | JUNK
    if "anyOf" in schema:
        return st.one_of(*map(near, schema["anyOf"])) | JUNK
    match schema.get("type"):
        case "object" if schema.get("properties"):
            return _near_object(schema["properties"], schema.get("required", [])) | JUNK
        case "array":
            return st.lists(near(schema["items"]), max_size=3) | JUNK
        case "string":
            return st.sampled_from(["a", "x" * schema.get("maxLength", 3), ""]) | JUNK
        case "integer" | "number":
            return st.sampled_from([schema.get("minimum", 0), schema.get("maximum", 5)]) | JUNK
        case _:
            return JUNK


def _near_object(properties: dict[str, Any], required: list[str]) -> st.SearchStrategy[Any]:
    whole = st.fixed_dictionaries(
        {name: near(properties[name]) for name in required},
        optional={name: near(schema) for name, schema in properties.items() if name not in required},
    )
    return whole | st.builds(lambda fields, name: {**fields, name: 1}, whole, st.sampled_from(["bogus", "__proto__"]))


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

    @given(near({**definition_of(definition), "properties": known}))
    def compare(params: Any) -> None:
        own, official = faults_of(check, params), _official(definition, params)
        assert bool(own) == bool(official), (own, official)

    compare()


def _members(method: str) -> tuple[dict[str, Any], list[str]]:
    """Returns the schemas of the members that the embedded gateway knows, and the names of the others."""
    properties = definition_of(params_definition(method)).get("properties", {})
    unknown = [name for name in properties if "unexpected property" in faults_of(CHECKS[method], {name: 1})]
    return {name: schema for name, schema in properties.items() if name not in unknown}, unknown


@pytest.mark.parametrize("method", DEFINED)
def test_it_knows_every_member_or_is_named_here(method: str) -> None:
    assert bool(_members(method)[1]) == (method in PARTIAL)


def test_a_method_without_a_definition_is_named_here() -> None:
    assert {method for method in CHECKS if not _defined(method)} == UNDEFINED


def _defined(method: str) -> bool:
    try:
        definition_of(params_definition(method))
    except KeyError:
        return False
    return True
