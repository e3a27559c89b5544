"""Changing a node through the API, and bodies that nobody would write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.audit.errors import AuditError
from bridge.control.api import ControlServer
from bridge.control.routes import ROUTES
from bridge.control.socket_file import SOCKET_NAME
from bridge.errors import NotAllowed
from tests.bridge.control.test_api import JSON, served, session
from tests.doubles.control_daemon import short_home
from tests.doubles.operations import FakeOperations

KEYS = st.sampled_from(["ids", "all", "others", "name", "permissions", "profile", "ttlS", "address", "node", "method"])
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["voice", "abcd", "", "\x00", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


class Particular(FakeOperations):
    """Refuses new permissions, and nothing else."""

    async def set_permissions(self, id: str, permissions: list[str]) -> NoReturn:
        raise NotAllowed("Not these.")


@pytest.mark.parametrize(
    "body, calls",
    [
        ({"name": "Hall"}, ["rename"]),
        ({"permissions": ["voice"]}, ["set_permissions"]),
        ({"permissions": ["voice"], "name": "Hall"}, ["set_permissions", "rename"]),
        ({"permissions": []}, ["set_permissions"]),
    ],
)
async def test_only_what_was_given_is_changed(
    home: Path, operations: FakeOperations, body: dict[str, object], calls: list[str]
) -> None:
    node = operations.phone_is_paired()
    async with served(home, operations) as client, client.patch(f"/v1/nodes/{node.node_id}", json=body) as response:
        assert response.status == 200
        assert (await response.json())["nodeId"] == node.node_id
    assert operations.calls == calls


@pytest.mark.parametrize("full", [False, True])
async def test_the_traces_of_what_failed_in_part_are_on_disk_before_the_answer(home: Path, full: bool) -> None:
    """A revocation in force that the store refused, say; red when only what ended well is settled."""
    operations, settled = Particular(), list[str]()
    node = operations.phone_is_paired()

    async def settle() -> None:
        settled.append("now")
        if full:
            raise AuditError("the audit log cannot be written", "Make room")

    path = f"/v1/nodes/{node.node_id}"
    async with ControlServer(home / SOCKET_NAME, operations, settled=settle), session(home) as client:
        async with client.patch(path, json={"permissions": ["system"]}) as response:
            assert (response.status, (await response.json())["error"]["message"]) == (403, "Not these.")
        assert settled == ["now"]
        async with client.get(path) as response:
            assert response.status == 200
        assert settled == ["now"], "a question changes nothing"


async def test_when_the_permissions_are_refused_the_name_stays(home: Path) -> None:
    operations = Particular()
    node = operations.phone_is_paired()
    body = {"name": "Hall", "permissions": ["system"]}
    async with served(home, operations) as client, client.patch(f"/v1/nodes/{node.node_id}", json=body) as response:
        assert response.status == 403
    assert operations.rows[node.node_id].display_name == "Anna's iPhone"


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=4))
async def test_no_body_makes_the_daemon_fail(bodies: list[dict[str, object]]) -> None:
    operations = FakeOperations()
    with short_home() as home:
        async with served(home, operations) as client:
            for route in ROUTES:
                path = route.path.replace("{id}", "abcd")
                for body in bodies:
                    async with client.request(route.method, path, data=json.dumps(body), headers=JSON) as response:
                        assert response.status in {200, 400, 404}
                        assert response.content_type == "application/json" or path == "/v1/metrics"
    assert operations.rows == {}
