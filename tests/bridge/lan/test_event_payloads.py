"""Events of the gateway are rebuilt: what phones read, nothing else, and no number that could have a gap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from acl.rules import RULES
from bridge.lan.event_payloads import rebuilt
from gateway_client.frames import Event
from tests.gateway import install


def test_what_is_not_listed_is_dropped() -> None:
    given = Event("voicewake.changed", {"triggers": ["hey"], "path": "/Users/anna"}, 7, {"presence": 1})
    assert rebuilt(given) == Event("voicewake.changed", {"triggers": ["hey"]})


@pytest.mark.parametrize("payload", [None, [], "x", 7])
def test_a_payload_that_is_no_object_becomes_an_empty_one(payload: Any) -> None:
    assert rebuilt(Event("chat", payload)) == Event("chat", {})


def test_every_event_that_may_pass_has_members() -> None:
    names = {name for rule in RULES if rule.direction.startswith("event-to") for name in rule.names}
    for name in names - {"node.invoke.cancel", "node.invoke.input"}:
        every = {key: key for key in ("runId", "triggers", "config")}
        assert rebuilt(Event(name, dict(every))).payload, name


@pytest.mark.real
@pytest.mark.parametrize(("name", "newer"), [("chat", set()), ("agent", {"agentId", "sessionKey"})])
def test_every_member_that_the_official_schema_knows_passes(name: str, newer: set[str]) -> None:
    folder = install.installed()
    assert folder is not None
    path = Path(folder, "node_modules", "@openclaw", "gateway-protocol", "protocol.schema.json")
    definition: Any = json.loads(path.read_text())["definitions"][f"{name.capitalize()}Event"]
    known = {key for shape in definition.get("anyOf", [definition]) for key in shape["properties"]} | newer
    assert rebuilt(Event(name, {key: key for key in known})).payload == {key: key for key in known}
