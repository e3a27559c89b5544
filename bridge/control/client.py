"""The other end of the control socket, for the command line: synchronous, one connection per question."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from bridge.control.documents import (
    Approval,
    Certificates,
    Denial,
    Explanation,
    NativeInvitation,
    NodeDetail,
    NodeRow,
    PendingRequest,
    Revocation,
    SetupCode,
    Status,
    TokenRow,
    Window,
)
from bridge.control.peer import peer_uid
from bridge.control.policy_documents import PolicyReload, PolicyReport
from bridge.control.requests import (
    ApproveBody,
    Body,
    ChangeNodeBody,
    ExplainBody,
    NoBody,
    PairBody,
    RevokeBody,
    RotateBody,
    first_problem,
    require_id,
)
from bridge.control.socket_file import require_short
from bridge.errors import BridgeError, DaemonNotRunning, NotAllowed, UsageError, from_answer

TIMEOUT_S = 70.0  # seconds without a byte; the daemon answers everything within 60
MAX_ANSWER_BYTES = 4 * 1024 * 1024  # 1,000 nodes with all commands are some 3 MiB

T = TypeVar("T")
M = TypeVar("M", bound=Body)


class ControlClient:
    """Asks the daemon; the methods are those of `Operations`, and raise `BridgeError`s only.

    Args:
        path: the control socket's file.
        run_command: how the daemon is started, for the message when it is not running.
        timeout_s: seconds to wait for the daemon's next byte.
        uid_of: from a socket's descriptor to the user id of its peer.
    """

    def __init__(
        self,
        path: Path,
        *,
        run_command: str = "clawdis-bridge run",
        timeout_s: float = TIMEOUT_S,
        uid_of: Callable[[int], int | None] = peer_uid,
    ) -> None:
        self._path = path
        self._run_command = run_command
        self._timeout_s = timeout_s
        self._uid_of = uid_of

    def status(self) -> Status:
        """The state of the daemon."""
        return self._ask(Status, "GET", "/v1/status")

    def pending(self) -> list[PendingRequest]:
        """The pairing requests that wait for a decision."""
        return self._ask(list[PendingRequest], "GET", "/v1/pending")

    def request(self, id: str) -> PendingRequest:
        """One pairing request that waits."""
        return self._ask(PendingRequest, "GET", f"/v1/pending/{_segment(id)}")

    def approve(
        self, id: str, permissions: list[str] | None = None, name: str | None = None, code: str | None = None
    ) -> Approval:
        """Pairs the device of a request."""
        body = _body(ApproveBody, permissions=permissions, name=name, code=code)
        return self._ask(Approval, "POST", f"/v1/pending/{_segment(id)}/approve", body)

    def deny(self, id: str) -> Denial:
        """Refuses a request."""
        return self._ask(Denial, "POST", f"/v1/pending/{_segment(id)}/deny", NoBody())

    def nodes(self) -> list[NodeRow]:
        """All nodes."""
        return self._ask(list[NodeRow], "GET", "/v1/nodes")

    def node(self, id: str) -> NodeDetail:
        """Everything about one node."""
        return self._ask(NodeDetail, "GET", f"/v1/nodes/{_segment(id)}")

    def rename(self, id: str, name: str) -> NodeRow:
        """Gives a node another display name."""
        return self._ask(NodeRow, "PATCH", f"/v1/nodes/{_segment(id)}", _body(ChangeNodeBody, name=name))

    def set_permissions(self, id: str, permissions: list[str]) -> NodeRow:
        """Replaces what a node may do."""
        body = _body(ChangeNodeBody, permissions=permissions)
        return self._ask(NodeRow, "PATCH", f"/v1/nodes/{_segment(id)}", body)

    def revoke(self, which: RevokeBody) -> list[Revocation]:
        """Ends the pairing of some nodes."""
        return self._ask(list[Revocation], "POST", "/v1/nodes/revoke", which)

    def mint_setup_code(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> SetupCode:
        """Makes a one-time code."""
        body = _body(PairBody, permissions=permissions, profile=profile, ttl_s=ttl_s, address=address)
        return self._ask(SetupCode, "POST", "/v1/pair", body)

    def mint_native_link(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> NativeInvitation:
        """Makes a one-time link for a native node."""
        body = _body(PairBody, permissions=permissions, profile=profile, ttl_s=ttl_s, address=address)
        return self._ask(NativeInvitation, "POST", "/v1/pair/native", body)

    def open_window(self) -> Window:
        """Invites devices."""
        return self._ask(Window, "POST", "/v1/pair/open", NoBody())

    def tokens(self) -> list[TokenRow]:
        """The one-time codes that are remembered."""
        return self._ask(list[TokenRow], "GET", "/v1/tokens")

    def revoke_token(self, id: str) -> TokenRow:
        """Takes a code back."""
        return self._ask(TokenRow, "POST", f"/v1/tokens/{_segment(id)}/revoke", NoBody())

    def certs(self) -> Certificates:
        """The bridge's certificates."""
        return self._ask(Certificates, "GET", "/v1/certs")

    def renew_certificate(self) -> Certificates:
        """Makes a new certificate for the same key."""
        return self._ask(Certificates, "POST", "/v1/certs/renew", NoBody())

    def rotate_key(self, *, commit: bool) -> Certificates:
        """Prepares the next key, or puts it into force."""
        return self._ask(Certificates, "POST", "/v1/certs/rotate", _body(RotateBody, commit=commit))

    def reload_certificates(self) -> Certificates:
        """Has the files read again."""
        return self._ask(Certificates, "POST", "/v1/certs/reload", NoBody())

    def explain(self, node: str, method: str, command: str | None = None, **more: str | None) -> Explanation:
        """What the access policy decides about a call; `more` are members of `ExplainBody`."""
        body = _body(ExplainBody, node=require_id(node), method=method, command=command, **more)
        return self._ask(Explanation, "POST", "/v1/acl/explain", body)

    def policy(self) -> PolicyReport:
        """The whole of the policy in force."""
        return self._ask(PolicyReport, "GET", "/v1/policy")

    def reload_policy(self) -> PolicyReload:
        """Has `policy.toml` read again."""
        return self._ask(PolicyReload, "POST", "/v1/policy/reload", NoBody())

    def _ask(self, answer: type[T], method: str, path: str, body: Body | None = None) -> T:
        status, data = self._exchange(method, path, body)
        try:
            document = json.loads(data)
        except ValueError:
            document = None
        if status != 200:
            raise from_answer(status, document)
        try:
            return TypeAdapter(answer).validate_python(document)
        except ValidationError as error:
            raise from_answer(status, None) from error

    def _exchange(self, method: str, path: str, body: Body | None) -> tuple[int, bytes]:
        """One request and its answer, with every failure of the socket in our words."""
        require_short(self._path)
        payload = None if body is None else body.model_dump_json(by_alias=True, exclude_none=True).encode("utf-8")
        headers = {} if payload is None else {"Content-Type": "application/json"}
        connection = _UnixConnection(self._path, self._timeout_s)
        try:
            self._connect(connection)
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was read: the answer says why
                connection.request(method, path, payload, headers)
            response = connection.getresponse()
            data = response.read(MAX_ANSWER_BYTES + 1)
            if len(data) <= MAX_ANSWER_BYTES and response.length:
                raise http.client.IncompleteRead(data, response.length)
        except TimeoutError as error:
            message = f"The daemon did not answer within {self._timeout_s:.0f} seconds."
            raise BridgeError("TIMED_OUT", message, "See what it is doing in its log.") from error
        except (OSError, http.client.HTTPException) as error:
            message = "The daemon closed the connection before it had answered."
            raise BridgeError("CONNECTION_LOST", message, "See whether it still runs: clawdis-bridge status") from error
        finally:
            connection.close()
        if len(data) > MAX_ANSWER_BYTES:
            raise BridgeError("BAD_ANSWER", f"The daemon's answer is longer than {MAX_ANSWER_BYTES} bytes.")
        return response.status, data

    def _connect(self, connection: _UnixConnection) -> None:
        """Connects, and makes sure that a process of our own user listens: it will be told what to grant."""
        try:
            connection.connect()
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            message = f"The bridge is not running: nothing answers at {self._path}."
            raise DaemonNotRunning(message, f"Start it: {self._run_command}") from error
        except PermissionError as error:
            message = f"This user may not use {self._path}."
            raise NotAllowed(message, "Run this as the user that runs the bridge.") from error
        if self._uid_of(connection.sock.fileno()) != os.geteuid():
            message = f"Another user's process listens at {self._path}; it is not told anything."
            raise NotAllowed(message, "Run this as the user that runs the bridge.")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _segment(id: str) -> str:
    """An id as a segment of a path."""
    return quote(require_id(id), safe="")


def _body(model: type[M], **values: object) -> M:
    """A request body; what the daemon would refuse is refused here, in the same words."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = first_problem(error)
    raise UsageError(problem)
