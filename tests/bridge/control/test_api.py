"""Every route, over a real socket: who may, what is taken, and what every failure looks like."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
import uvloop

from bridge.control.api import MAX_BODY_BYTES, ControlServer, own_user_only
from bridge.control.routes import ROUTES
from bridge.control.socket_file import SOCKET_NAME, ControlSocketError
from bridge.errors import GatewayNotConnected
from tests.doubles.operations import FakeOperations

JSON = {"Content-Type": "application/json"}
BODIES = {"PATCH": {"name": "x"}, "/v1/nodes/revoke": {"all": True}, "/v1/acl/explain": {"node": "abcd", "method": "m"}}


@asynccontextmanager
async def session(home: Path) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(home / SOCKET_NAME))
    async with aiohttp.ClientSession("http://localhost", connector=connector) as client:
        yield client


@asynccontextmanager
async def served(home: Path, operations: FakeOperations) -> AsyncIterator[aiohttp.ClientSession]:
    async with ControlServer(home / SOCKET_NAME, operations), session(home) as client:
        yield client


async def told(response: aiohttp.ClientResponse) -> tuple[int, str]:
    """Status and error code of a refusal, whose shape is checked on the way."""
    assert response.content_type == "application/json"
    error = (await response.json())["error"]
    assert set(error) <= {"code", "message", "fix"}
    assert error["message"].endswith((".", "given", "integer", "permitted", "required")) or error["message"]
    return response.status, error["code"]


async def test_every_route_of_the_contract_is_there_and_no_other() -> None:
    assert {(route.method, route.path) for route in ROUTES} == {
        ("GET", "/v1/status"),
        ("GET", "/v1/metrics"),
        ("GET", "/v1/pending"),
        ("GET", "/v1/pending/{id}"),
        ("POST", "/v1/pending/{id}/approve"),
        ("POST", "/v1/pending/{id}/deny"),
        ("GET", "/v1/nodes"),
        ("GET", "/v1/nodes/{id}"),
        ("PATCH", "/v1/nodes/{id}"),
        ("POST", "/v1/nodes/revoke"),
        ("POST", "/v1/pair"),
        ("POST", "/v1/pair/native"),
        ("POST", "/v1/pair/open"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens/{id}/revoke"),
        ("GET", "/v1/certs"),
        ("POST", "/v1/certs/renew"),
        ("POST", "/v1/certs/rotate"),
        ("POST", "/v1/certs/reload"),
        ("POST", "/v1/acl/explain"),
        ("GET", "/v1/policy"),
        ("POST", "/v1/policy/reload"),
    }


async def test_every_route_answers_its_document(home: Path, operations: FakeOperations) -> None:
    node = operations.phone_is_paired()
    request, other = operations.phone_asks("aaaaa111"), operations.phone_asks("bbbbb222", "Ben")
    async with served(home, operations) as client:

        async def ask(method: str, path: str, body: object = None) -> Any:
            async with client.request(method, path, json=body) as response:
                assert response.status == 200
                assert response.headers["Cache-Control"] == "no-store"
                return await response.json()

        assert await ask("GET", "/v1/status") == (await operations.status()).to_json()
        assert await ask("GET", "/v1/pending") == [request.to_json(), other.to_json()]
        assert await ask("GET", f"/v1/pending/{request.id[:5]}") == request.to_json()
        assert await ask("GET", f"/v1/nodes/{node.node_id[:6]}") == node.to_json()
        (row,) = await ask("GET", "/v1/nodes")
        assert row["nodeId"] == node.node_id
        approval = await ask("POST", f"/v1/pending/{request.id}/approve", {"permissions": ["voice"], "name": "Kitchen"})
        assert (approval["displayName"], approval["permissions"]) == ("Kitchen", ["voice"])
        assert await ask("POST", f"/v1/pending/{other.id}/deny", {}) == {"id": other.id}
        body = {"name": "Hall", "permissions": ["screen"]}
        changed = await ask("PATCH", f"/v1/nodes/{node.node_id}", body)
        assert (changed["displayName"], changed["permissions"]) == ("Hall", ["screen"])
        code = await ask("POST", "/v1/pair", {"profile": "phone", "ttlS": 60, "address": "192.168.1.20"})
        assert code["link"] == f"oc-pair://{code['setupCode']}"
        assert operations.codes.minted == [(None, "phone", 60, "192.168.1.20")]
        verdict = await ask("POST", "/v1/acl/explain", {"node": node.node_id, "method": "agent"})
        assert verdict == operations.verdict.to_json()
        revoked = await ask("POST", "/v1/nodes/revoke", {"ids": [node.node_id]})
        assert [each["nodeId"] for each in revoked] == [node.node_id]


async def test_a_code_reaches_the_daemon_and_a_wrong_one_is_told(home: Path, operations: FakeOperations) -> None:
    request = operations.phone_asks(kind="native")
    path = f"/v1/pending/{request.id}/approve"
    async with served(home, operations) as client:
        async with client.post(path, json={}) as response:
            assert await told(response) == (400, "USAGE")
        for code in ("12345", "1234567", "12345a", "\u0661\u0662\u0663\u0664\u0665\u0666", 123456):
            async with client.post(path, json={"code": code}) as response:
                assert await told(response) == (400, "USAGE")
        async with client.post(path, json={"code": "000000"}) as response:
            assert await told(response) == (403, "WRONG_CODE")
        async with client.post(path, json={"code": "123456"}) as response:
            assert (await response.json())["security"] == "mtls"
        async with client.post(path, json={"code": "123456"}) as response:
            assert await told(response) == (409, "ALREADY_DECIDED")


async def test_invitations_and_certificates_answer_their_documents(home: Path, operations: FakeOperations) -> None:
    async with served(home, operations) as client:

        async def ask(method: str, path: str, body: object = None) -> Any:
            async with client.request(method, path, json=body) as response:
                assert response.status == 200
                return await response.json()

        assert set(await ask("POST", "/v1/pair/open", {})) == {"openUntil"}
        link = await ask("POST", "/v1/pair/native", {"permissions": ["voice"], "ttlS": 60})
        assert set(link) == {"id", "link", "url", "permissions", "expiresAt", "pin", "spki"}
        assert operations.codes.minted_native == [(["voice"], None, 60, None)]
        (row,) = await ask("GET", "/v1/tokens")
        assert (row["id"], row["kind"], row["state"]) == (link["id"], "native", "unused")
        assert (await ask("POST", f"/v1/tokens/{link['id'][:4]}/revoke", {}))["state"] == "revoked"
        assert await ask("GET", "/v1/certs") == operations.certs.report.to_json()
        following = (await ask("POST", "/v1/certs/rotate", {}))["nextSpki"]
        assert (await ask("POST", "/v1/certs/rotate", {"commit": True}))["spki"] == following
        for verb in ("renew", "reload"):
            assert await ask("POST", f"/v1/certs/{verb}", {}) == operations.certs.report.to_json()
    assert operations.calls[-5:] == ["certs.show", "certs.prepare", "certs.commit", "certs.renew", "certs.reload"]


@pytest.mark.parametrize("uid", [None, os.geteuid() + 1], ids=["unreadable", "another user"])
async def test_other_users_get_403_on_every_route_and_nothing_is_run(
    home: Path, operations: FakeOperations, uid: int | None
) -> None:
    paths = [(route.method, route.path.replace("{id}", "abcd"), route.path) for route in ROUTES]
    async with (
        ControlServer(home / SOCKET_NAME, operations, admit=own_user_only(lambda _descriptor: uid)),
        session(home) as client,
    ):
        for method, path, pattern in [*paths, ("GET", "/", "/"), ("GET", "/nowhere", "/nowhere")]:
            body = BODIES.get(pattern, BODIES.get(method, {}))
            async with client.request(method, path, json=body) as response:
                assert await told(response) == (403, "NOT_ALLOWED")
    assert operations.calls == []


@pytest.mark.parametrize(
    "method, path, expected",
    [
        ("GET", "/", (404, "UNKNOWN_ROUTE")),
        ("GET", "/v1", (404, "UNKNOWN_ROUTE")),
        ("GET", "/v1/status/", (404, "UNKNOWN_ROUTE")),
        ("GET", "/V1/status", (404, "UNKNOWN_ROUTE")),
        ("GET", "/pair/v1/enroll", (404, "UNKNOWN_ROUTE")),
        ("POST", "/v1/pending/approve", (405, "METHOD")),
        ("POST", "/v1/status", (405, "METHOD")),
        ("HEAD", "/v1/pair", (405, "")),
        ("DELETE", "/v1/nodes/abcd", (405, "METHOD")),
        ("GET", "/v1/nodes/abcd", (404, "UNKNOWN_ID")),
        ("GET", "/v1/nodes/%2e%2e%2fstatus", (404, "UNKNOWN_ID")),
        ("GET", "/v1/nodes/a%00b", (404, "UNKNOWN_ID")),
        ("GET", "/v1/nodes/" + "a" * 129, (404, "UNKNOWN_ID")),
    ],
)
async def test_what_is_not_there_is_said_in_json(
    home: Path, operations: FakeOperations, method: str, path: str, expected: tuple[int, str]
) -> None:
    async with served(home, operations) as client, client.request(method, path) as response:
        if method == "HEAD":
            assert response.status == expected[0]
        else:
            assert await told(response) == expected


@pytest.mark.parametrize(
    "content_type, body, expected",
    [
        ("text/plain", b"{}", (415, "CONTENT_TYPE")),
        ("application/x-www-form-urlencoded", b"a=b", (415, "CONTENT_TYPE")),
        ("application/json", b"", (400, "USAGE")),
        ("application/json", b"{", (400, "USAGE")),
        ("application/json", b"[]", (400, "USAGE")),
        ("application/json", b"\xff", (400, "USAGE")),
        ("application/json", b'{"permissions":["root"]}', (400, "USAGE")),
        ("application/json", b'{"ttlS":1}', (400, "USAGE")),
        ("application/json", b'{"extra":1}', (400, "USAGE")),
        ("application/json", b"[" * 60000, (400, "USAGE")),
        ("application/json", b" " * (MAX_BODY_BYTES + 1), (413, "TOO_LARGE")),
    ],
)
async def test_a_bad_body_is_refused_before_anything_is_run(
    home: Path, operations: FakeOperations, content_type: str, body: bytes, expected: tuple[int, str]
) -> None:
    async with (
        served(home, operations) as client,
        client.post("/v1/pair", data=body, headers={"Content-Type": content_type}) as response,
    ):
        assert await told(response) == expected
    assert operations.calls == []


async def test_a_body_of_the_allowed_size_is_read(home: Path, operations: FakeOperations) -> None:
    async with (
        served(home, operations) as client,
        client.post("/v1/pair", data=b"{}".ljust(MAX_BODY_BYTES), headers=JSON) as response,
    ):
        assert response.status == 200


async def test_an_endless_body_is_cut_off_by_size(home: Path, operations: FakeOperations) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 16384

    async with served(home, operations) as client, client.post("/v1/pair", data=endless(), headers=JSON) as response:
        assert await told(response) == (413, "TOO_LARGE")


async def test_an_error_of_the_daemon_keeps_its_code_and_fix(home: Path, operations: FakeOperations) -> None:
    operations.break_with(GatewayNotConnected("The gateway is down.", "Start it: openclaw gateway"))
    async with served(home, operations) as client, client.get("/v1/nodes") as response:
        assert response.status == 503
        assert await response.json() == {
            "error": {
                "code": "GATEWAY_NOT_CONNECTED",
                "message": "The gateway is down.",
                "fix": "Start it: openclaw gateway",
            }
        }


async def test_a_fault_of_the_daemon_is_logged_and_not_told(home: Path, operations: FakeOperations) -> None:
    operations.break_with(ZeroDivisionError("secret 4711"))
    with structlog.testing.capture_logs() as logs:
        async with served(home, operations) as client, client.get("/v1/nodes") as response:
            text = await response.text()
            assert response.status == 500
    assert "4711" not in text
    assert json.loads(text)["error"]["code"] == "INTERNAL"
    (entry,) = logs
    assert entry["event"] == "control.failed"
    assert isinstance(entry["exc_info"], ZeroDivisionError)


async def test_an_operation_that_takes_too_long_is_told_so(home: Path, operations: FakeOperations) -> None:
    operations.break_with(TimeoutError())
    async with served(home, operations) as client, client.get("/v1/nodes") as response:
        assert await told(response) == (500, "TIMED_OUT")


async def test_the_socket_is_private_while_it_serves_and_gone_afterwards(
    home: Path, operations: FakeOperations
) -> None:
    path = home / SOCKET_NAME
    async with ControlServer(path, operations):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ControlSocketError, match="Another daemon"):
            await ControlServer(path, operations).__aenter__()
        async with session(home) as client, client.get("/v1/status") as response:
            assert response.status == 200  # the second one has not disturbed the first
    assert not path.exists()


async def test_it_stops_although_a_connection_stays_open(home: Path, operations: FakeOperations) -> None:
    async with asyncio.timeout(10):
        async with ControlServer(home / SOCKET_NAME, operations):
            reader, writer = await asyncio.open_unix_connection(str(home / SOCKET_NAME))
            writer.write(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.write(b"POST /v1/pair HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n")
        await reader.read()
        assert reader.at_eof()
        writer.close()


async def test_noise_instead_of_http_is_survived(home: Path, operations: FakeOperations) -> None:
    async with served(home, operations) as client:
        reader, writer = await asyncio.open_unix_connection(str(home / SOCKET_NAME))
        writer.write(b"\x16\x03\x01\x00\xff noise\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
        writer.close()
        async with client.get("/v1/status") as response:
            assert response.status == 200


def test_it_serves_on_uvloop_too(home: Path, operations: FakeOperations) -> None:
    async def ask() -> int:
        async with served(home, operations) as client, client.get("/v1/status") as response:
            return response.status

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only on a machine where the tests may change their user")
async def test_the_kernel_s_word_counts_not_the_file_mode(home: Path, operations: FakeOperations) -> None:
    path = home / SOCKET_NAME
    async with ControlServer(path, operations):
        home.chmod(0o755)
        path.chmod(0o666)
        answer = await asyncio.to_thread(_ask_as_nobody, path)
    assert b" 403 " in answer.splitlines()[0]
    assert operations.calls == []


def _ask_as_nobody(path: Path) -> bytes:
    """What another user is answered; asked by a child process, which gives its user up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            os.write(writing, sock.recv(4096))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer
