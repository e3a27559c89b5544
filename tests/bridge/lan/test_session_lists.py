"""Calls about many sessions: never refused, and cut to the owner's on the way up and on the way down."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.lan.session_lists import cut_answer, cut_params, no_previews
from gateway_client.frames import JsonObject, Response


def may(fields: JsonObject) -> bool:
    return fields.get("key") in ("main", "agent:main:main")


def shaped(method: str, asked: JsonObject, payload: Any) -> Any:
    return cut_answer(method, asked, may)(Response("r", True, payload))


def test_a_list_holds_the_owners_sessions_and_no_count_of_the_others() -> None:
    """Red when the answer is passed on as it came."""
    rows = [{"key": "agent:main:main", "derivedTitle": "a"}, {"key": "agent:main:secret", "derivedTitle": "b"}, 5, {}]
    payload = {"ts": 1, "count": 4, "totalCount": 90, "hasMore": True, "nextOffset": 80, "sessions": rows}
    assert shaped("sessions.list", {}, payload).payload == {"ts": 1, "count": 1, "sessions": rows[:1]}
    others = {"owners": [{"id": "bob"}], "people": [{"label": "Bob"}], "peopleSessionCount": 9, "path": "/Users/bob/x"}
    whole = {**payload, **others, "limitApplied": 80, "offset": 0, "defaults": {"model": "m"}, "later": ["secret"]}
    kept = {"ts": 1, "limitApplied": 80, "offset": 0, "defaults": {"model": "m"}}
    assert shaped("sessions.list", {}, whole).payload == {**kept, "count": 1, "sessions": rows[:1]}
    assert shaped("sessions.list", {}, {"sessions": "x"}).payload == {"count": 0, "sessions": []}


def test_previews_are_asked_for_the_owners_sessions_and_the_others_are_missing() -> None:
    asked: JsonObject = {"keys": ["main", "secret"], "limit": 3}
    assert cut_params("sessions.preview", asked, may) == {"keys": ["main"], "limit": 3}
    seen = {"key": "main", "status": "ok", "items": [{"role": "user", "text": "hi"}]}
    slipped = {"key": "secret", "status": "ok", "items": [{"role": "user", "text": "hush"}]}
    missing = {"key": "secret", "status": "missing", "items": []}
    assert shaped("sessions.preview", asked, {"ts": 1, "previews": [seen, slipped]}).payload == {
        "ts": 1, "previews": [seen, missing],
    }  # fmt: skip
    assert cut_params("sessions.preview", {"keys": ["secret"]}, may) is None
    assert no_previews({"keys": ["secret"]}, may, {"ts": 2}) == {"ts": 2, "previews": [missing]}


def test_what_is_found_by_another_name_is_not_found_unless_it_is_the_owners() -> None:
    found: JsonObject = {"ok": True, "key": "main", "agentId": "main"}
    assert shaped("sessions.resolve", {}, found).payload == found
    hidden = shaped("sessions.resolve", {"label": "secret"}, {"ok": True, "key": "secret", "agentId": "main"})
    assert (hidden.ok, hidden.error.code, hidden.payload) == (False, "INVALID_REQUEST", None)
    candidates = {"ok": False, "candidates": [{"key": "main"}, {"key": "secret"}]}
    assert shaped("sessions.resolve", {}, candidates).payload == {"ok": False, "candidates": [{"key": "main"}]}


@pytest.mark.parametrize("method", ["sessions.list", "sessions.preview", "sessions.resolve"])
def test_a_refusal_of_the_gateway_stays_as_it_is(method: str) -> None:
    refused = Response("r", False)
    assert cut_answer(method, {}, may)(refused) is refused
    assert cut_params("sessions.list", {"limit": 80}, may) == {"limit": 80}
