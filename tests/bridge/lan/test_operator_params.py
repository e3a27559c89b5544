"""The members that a phone's calls may carry: each of them known to the official schema, none of them a way around."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.lan.operator_params import PARAMS
from tests.gateway import install

NEVER = {  # who vouches, where it is delivered, secrets, words of the system
    *(
        "deliver",
        "to",
        "channel",
        "accountId",
        "threadId",
        "originatingChannel",
        "originatingTo",
        "systemInputProvenance",
    ),
    *("systemProvenanceReceipt", "extraSystemPrompt", "includeSecrets", "approved", "approvalId", "scopes", "role"),
}


# Without a definition in the schema: their members were read from the gateway's own code.
UNDEFINED = {"chat.startup", "users.prefs.get"}
RENAMED = {"agent.identity.get": "AgentIdentityParams"}


def properties(definition: str) -> set[str]:
    """Returns the members that the official schema gives a definition, in any of its shapes."""
    folder = install.installed()
    assert folder is not None
    path = Path(folder, "node_modules", "@openclaw", "gateway-protocol", "protocol.schema.json")
    found: Any = json.loads(path.read_text())["definitions"][definition]
    names: set[str] = set()
    waiting = [found]
    while waiting:
        shape = waiting.pop()
        names |= set(shape.get("properties", {}))
        waiting += [*shape.get("anyOf", []), *shape.get("allOf", []), *shape.get("oneOf", [])]
    return names


def definition_of(method: str) -> str:
    """Returns the name that the schema has for a method's parameters."""
    return RENAMED.get(method) or "".join(part[0].upper() + part[1:] for part in method.split(".")) + "Params"


WITH_MEMBERS = sorted(method for method in PARAMS if PARAMS[method] and method not in UNDEFINED)


@pytest.mark.real
@pytest.mark.parametrize("method", WITH_MEMBERS)
def test_every_member_is_one_that_the_gateway_knows(method: str) -> None:
    assert PARAMS[method] <= properties(definition_of(method))


@pytest.mark.parametrize("method", sorted(PARAMS))
def test_no_member_says_where_a_message_goes_or_who_vouches_for_it(method: str) -> None:
    assert not PARAMS[method] & NEVER


@pytest.mark.real
@pytest.mark.parametrize("method", sorted(UNDEFINED))
def test_what_the_schema_does_not_define_is_told_from_what_it_does(method: str) -> None:
    with pytest.raises(KeyError):
        properties(definition_of(method))
