"""Pure: what a phone sees of calls that are about many sessions: its owner's, and of the others nothing.

Apps make these calls whenever they connect. So they are never refused: what is asked and what is answered is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bridge.lan import answers
from gateway_client.frames import Json, JsonObject, Response, object_of, text_of

May = Callable[[JsonObject], bool]
"""Whether the session that these members name may be seen."""

CUT = frozenset({"sessions.list", "sessions.preview", "sessions.resolve", "tasks.list", "artifacts.download"})
"""The methods that this is about."""
# Of an answer of `sessions.list`, beside the rows: the rest counts all sessions, names everybody who has a part in one
# (`owners`, `people`), or is a path on the gateway's machine.
_OF_NO_SESSION = ("ts", "limitApplied", "offset", "defaults")
# Where a task works when it is no session that anybody talks in: what it does, it does for the session that asked.
_HELPER = re.compile(r"agent:[^:]+:(?:subagent|acp):.+|(?:image|video|music)_generate:.+")


def cut_params(method: str, params: JsonObject, may: May) -> JsonObject | None:
    """Returns what is asked of the gateway; None: nothing is left to ask for."""
    if method != "sessions.preview":
        return params
    keys = [key for key in _texts(params.get("keys")) if may({"key": key})]
    return {**params, "keys": list[Json](keys)} if keys else None


def cut_answer(method: str, asked: JsonObject, may: May) -> Callable[[Response], Response]:
    """Returns what makes of the gateway's answer what the phone sees.

    Args:
        method: one of `CUT`.
        asked: what the phone asked for.
        may: decides about a session.
    """

    def shape(response: Response) -> Response:
        """The owner's part of the answer."""
        if not response.ok:
            return response
        payload = object_of(response.payload)
        if method == "sessions.resolve":
            return _resolved(response, payload, may)
        if method == "artifacts.download":
            return _downloaded(response, payload, may)
        if method == "sessions.list":
            return Response(response.id, True, _listed(payload, may))
        if method == "tasks.list":
            return Response(response.id, True, _tasks(asked, payload, may))
        return Response(response.id, True, no_previews(asked, may, payload))

    return shape


def _listed(payload: JsonObject, may: May) -> JsonObject:
    rows: list[Json] = [row for row in _rows(payload.get("sessions")) if text_of(row, "key") and may(object_of(row))]
    kept: JsonObject = {name: payload[name] for name in _OF_NO_SESSION if name in payload}
    return {**kept, "sessions": rows, "count": len(rows)}


def _tasks(asked: JsonObject, payload: JsonObject, may: May) -> JsonObject:
    """The tasks of the owner's sessions; where the next ones begin only when all of them are of one session."""
    rows: list[Json] = [row for row in _rows(payload.get("tasks")) if _is_the_owners(object_of(row), may)]
    cursor = payload.get("nextCursor")
    return {"tasks": rows, "nextCursor": cursor} if cursor and "sessionKey" in asked else {"tasks": rows}


def _is_the_owners(task: JsonObject, may: May) -> bool:
    """Whether a task was asked for in an owner's session, belongs to one, and does not work in another one."""
    asker, owner, child = (text_of(task, name) for name in ("sessionKey", "ownerKey", "childSessionKey"))
    if not asker or not may({"sessionKey": asker}) or (owner and not may({"sessionKey": owner})):
        return False
    return not child or _HELPER.fullmatch(child) is not None or may({"sessionKey": child})


def _downloaded(response: Response, payload: JsonObject, may: May) -> Response:
    session = text_of(object_of(payload.get("artifact")), "sessionKey")
    if session is None or may({"sessionKey": session}):
        return response
    return answers.failure(response.id, answers.invalid("artifact not found"))


def no_previews(asked: JsonObject, may: May, payload: Mapping[str, Json] | None = None) -> JsonObject:
    """Returns an answer of `sessions.preview`: the gateway's for what may be seen, "missing" for the rest.

    Args:
        asked: what the phone asked for.
        may: decides about a session.
        payload: the gateway's answer; None: it was not asked.
    """
    answer = dict(payload or {})
    seen: list[Json] = [row for row in _rows(answer.get("previews")) if may({"key": text_of(row, "key") or ""})]
    hidden: list[Json] = [
        {"key": key, "status": "missing", "items": []} for key in _texts(asked.get("keys")) if not may({"key": key})
    ]
    return {**answer, "previews": [*seen, *hidden]}


def _resolved(response: Response, payload: JsonObject, may: May) -> Response:
    if payload.get("ok") is True and not may(payload):
        return answers.failure(response.id, answers.invalid("no session found"))
    if "candidates" not in payload:
        return response
    candidates: list[Json] = [row for row in _rows(payload["candidates"]) if may(object_of(row))]
    return Response(response.id, True, {**payload, "candidates": candidates})


def _rows(value: Json) -> list[Json]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _texts(value: Json) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
