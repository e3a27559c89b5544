"""The routes of `/pair/v1`: how a native node asks to be paired, and keeps its certificate fresh (design §6)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from aiohttp import hdrs, web

from bridge import clock
from bridge.lan.guest import Guest
from bridge.lan.metered import MeteredProtocol
from bridge.log import Log
from bridge.pairing.enrolment import Enrolment
from bridge.pairing.enrolment_answers import EnrolmentRefused, not_found, too_often
from bridge.pairing.enrolment_bodies import (
    MAX_BODY_BYTES,
    BodyError,
    ChallengeBody,
    EnrolBody,
    RenewBody,
    RevealBody,
    read_body,
)
from bridge.pairing.issuing import MAX_WAIT_S, Issuing
from gateway_client.frames import JsonObject

PREFIX = "/pair/v1/"
PROOF = "X-Bridge-Proof"
ANSWER_S = 10.0  # seconds that an answer may take beyond what a long poll waits
_ID = r"(?P<id>[A-Za-z0-9][A-Za-z0-9._:-]{0,127})"


@dataclass(frozen=True, slots=True)
class Asking:
    """One request.

    Attributes:
        http: the request.
        guest: who made it.
        id: the id in the path; empty where the path has none.
        body: its body, read.
        connection: what it came over.
    """

    http: web.BaseRequest
    guest: Guest
    id: str
    body: bytes
    connection: MeteredProtocol


class PairPages:
    """See the module's text.

    Args:
        enrolment: begins and opens ceremonies.
        issuing: tells how they stand, and issues certificates.
    """

    def __init__(self, enrolment: Enrolment, issuing: Issuing, log: Log) -> None:
        self._enrolment = enrolment
        self._issuing = issuing
        self._log = log
        self._routes: tuple[tuple[str, re.Pattern[str], Callable[[Asking], Awaitable[web.Response]]], ...] = (
            (hdrs.METH_POST, re.compile("enroll"), self._enroll),
            (hdrs.METH_POST, re.compile(f"enroll/{_ID}/reveal"), self._reveal),
            (hdrs.METH_GET, re.compile(f"enroll/{_ID}"), self._poll),
            (hdrs.METH_POST, re.compile("renew/challenge"), self._challenge),
            (hdrs.METH_POST, re.compile("renew"), self._renew),
            (hdrs.METH_GET, re.compile("identity"), self._identity),
        )

    async def answer(self, request: web.BaseRequest, guest: Guest, connection: MeteredProtocol) -> web.Response:
        """Answers one request below `PREFIX`.

        Whoever proved a key, by its certificate or for a poll, costs its address nothing at the door; the outcome of a
        request is fetched once at that price.
        """
        path = request.rel_url.raw_path.removeprefix(PREFIX)
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(path)
            if found is None or request.method != method:
                continue
            try:
                body = await _body_of(request) if method == hdrs.METH_POST else b""
                asking = Asking(request, guest, found.groupdict().get("id", ""), body, connection)
                answer = await handler(asking)
                if guest.node_id is not None:
                    connection.visit.forgive()
                return answer
            except BodyError as exc:
                return _json(EnrolmentRefused(400, "BAD_REQUEST", str(exc)).document(), 400)
            except EnrolmentRefused as refused:
                asked = found.groupdict().get("id", "")  # may be anything that a stranger wrote
                page = path.replace(asked, "ID") if asked else path
                self._log.info("pair-refused", address=guest.address, page=page, code=refused.code)
                return _json(refused.document(), refused.status)
        return _json(not_found().document(), 404)

    async def _enroll(self, asking: Asking) -> web.Response:
        body = read_body(EnrolBody, asking.body)
        wait_s = asking.connection.visit.ask(clock.now().mono)
        if wait_s > 0:
            raise too_often(int(wait_s * 1000))
        return _json(await self._enrolment.begin(body, asking.guest.address), 201)

    async def _reveal(self, asking: Asking) -> web.Response:
        await self._enrolment.reveal(asking.id, read_body(RevealBody, asking.body))
        return _bare(204)

    async def _poll(self, asking: Asking) -> web.Response:
        wait_s = _wait_of(asking.http)
        asking.connection.extend(wait_s + ANSWER_S)
        fetched = await self._issuing.poll(asking.id, asking.http.headers.get(PROOF, ""), wait_s)
        if not fetched.again:
            asking.connection.visit.forgive()
        return _json(fetched.document, 200)

    async def _challenge(self, asking: Asking) -> web.Response:
        body = read_body(ChallengeBody, asking.body)
        return _json(self._issuing.challenge(body.node_id, asking.guest.address), 200)

    async def _renew(self, asking: Asking) -> web.Response:
        body = read_body(RenewBody, asking.body)
        return _json(await self._issuing.renew(body, asking.guest), 200)

    async def _identity(self, asking: Asking) -> web.Response:
        if asking.guest.node_id is None:
            raise EnrolmentRefused(401, "UNAUTHORIZED", "a client certificate is needed")
        return _json(await self._issuing.identity(asking.guest.node_id, _knows_of(asking.http)), 200)


async def _body_of(request: web.BaseRequest) -> bytes:
    """The body, refused by type and size before it is parsed."""
    if request.content_type != "application/json":
        raise EnrolmentRefused(400, "BAD_REQUEST", "the body must be application/json")
    too_large = EnrolmentRefused(413, "TOO_LARGE", f"the body is longer than {MAX_BODY_BYTES} bytes")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large
    data = bytearray()
    while chunk := await request.content.read(MAX_BODY_BYTES + 1 - len(data)):
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise too_large
    return bytes(data)


def _wait_of(request: web.BaseRequest) -> float:
    text = request.rel_url.query.get("wait", "0")
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise BodyError("wait: it must be seconds")
    return min(float(text), MAX_WAIT_S)


def _knows_of(request: web.BaseRequest) -> str | None:
    text = request.rel_url.query.get("knows")
    if text is not None and not re.fullmatch(r"[0-9a-f]{64}", text):
        raise BodyError("knows: it must be the SHA-256 of a key, in lower-case hex")
    return text


def _json(document: JsonObject, status: int) -> web.Response:
    response = _bare(status)
    response.content_type = "application/json"
    response.body = orjson.dumps(document)
    return response


def _bare(status: int) -> web.Response:
    headers = {hdrs.SERVER: "", hdrs.CONNECTION: "close", hdrs.CACHE_CONTROL: "no-store"}
    response = web.Response(status=status, headers=headers)
    response.force_close()
    return response
