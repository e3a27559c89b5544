"""The table of the control API: every operation, its path and its body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bridge.control.document import Document
from bridge.control.operations import Operations
from bridge.control.requests import (
    ApproveBody,
    Body,
    ChangeNodeBody,
    ExplainBody,
    NoBody,
    PairBody,
    RevokeBody,
    RotateBody,
)


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is no JSON.

    Attributes:
        content: the text.
        content_type: what it is, for the header of that name.
    """

    content: str
    content_type: str


Answer = Document | Sequence[Document] | Text
B = TypeVar("B", bound=Body)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # the text format of Prometheus


@dataclass(frozen=True, slots=True)
class Route(Generic[B]):
    """One operation of the API.

    Attributes:
        method: HTTP method.
        path: with `{id}` where the id of a request or node stands.
        body: what the body must be; None: there is none.
        run: performs it; gets the id ("" when the path has none) and the body.
    """

    method: str
    path: str
    body: type[B] | None
    run: Callable[[Operations, str, B], Awaitable[Answer]]


async def _change_node(operations: Operations, id: str, body: ChangeNodeBody) -> Document:
    """Both changes in one request: the permissions first, because they can be refused."""
    row: Document | None = None
    if body.permissions is not None:
        row = await operations.set_permissions(id, body.permissions)
    if body.name is not None:
        row = await operations.rename(id, body.name)
    return await operations.node(id) if row is None else row


def _mint(operations: Operations, _id: str, body: PairBody) -> Awaitable[Document]:
    return operations.codes.mint_setup_code(body.permissions, body.profile, body.ttl_s, body.address)


def _mint_native(operations: Operations, _id: str, body: PairBody) -> Awaitable[Document]:
    return operations.codes.mint_native_link(body.permissions, body.profile, body.ttl_s, body.address)


def _approve(operations: Operations, id: str, body: ApproveBody) -> Awaitable[Document]:
    return operations.approve(id, body.permissions, body.name, body.code)


def _explain(operations: Operations, _id: str, body: ExplainBody) -> Awaitable[Document]:
    return operations.explain(body)


async def _metrics(operations: Operations, _id: str, _body: None) -> Text:
    return Text(await operations.metrics(), METRICS_TYPE)


ROUTES: tuple[Route[Any], ...] = (
    Route("GET", "/v1/status", None, lambda operations, _id, _body: operations.status()),
    Route("GET", "/v1/metrics", None, _metrics),
    Route("GET", "/v1/pending", None, lambda operations, _id, _body: operations.pending()),
    Route("GET", "/v1/pending/{id}", None, lambda operations, id, _body: operations.request(id)),
    Route("POST", "/v1/pending/{id}/approve", ApproveBody, _approve),
    Route("POST", "/v1/pending/{id}/deny", NoBody, lambda operations, id, _body: operations.deny(id)),
    Route("GET", "/v1/nodes", None, lambda operations, _id, _body: operations.nodes()),
    Route("GET", "/v1/nodes/{id}", None, lambda operations, id, _body: operations.node(id)),
    Route("PATCH", "/v1/nodes/{id}", ChangeNodeBody, _change_node),
    Route("POST", "/v1/nodes/revoke", RevokeBody, lambda operations, _id, body: operations.revoke(body)),
    Route("POST", "/v1/pair", PairBody, _mint),
    Route("POST", "/v1/pair/native", PairBody, _mint_native),
    Route("POST", "/v1/pair/open", NoBody, lambda operations, _id, _body: operations.codes.open_window()),
    Route("GET", "/v1/tokens", None, lambda operations, _id, _body: operations.codes.tokens()),
    Route("POST", "/v1/tokens/{id}/revoke", NoBody, lambda operations, id, _body: operations.codes.revoke_token(id)),
    Route("GET", "/v1/certs", None, lambda operations, _id, _body: operations.certs.show()),
    Route("POST", "/v1/certs/renew", NoBody, lambda operations, _id, _body: operations.certs.renew()),
    Route("POST", "/v1/certs/rotate", RotateBody, lambda operations, _id, body: operations.certs.rotate(body.commit)),
    Route("POST", "/v1/certs/reload", NoBody, lambda operations, _id, _body: operations.certs.reload()),
    Route("POST", "/v1/acl/explain", ExplainBody, _explain),
    Route("GET", "/v1/policy", None, lambda operations, _id, _body: operations.policy.show()),
    Route("POST", "/v1/policy/reload", NoBody, lambda operations, _id, _body: operations.policy.reload()),
)
"""Everything that local control can do."""
