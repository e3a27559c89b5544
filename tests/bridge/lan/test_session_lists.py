"""Calls about many sessions: never refused, and cut to the owner's on the way up and on the way down."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.lan.session_lists import CUT, cut_answer, cut_params, no_previews
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
    assert not shaped("sessions.resolve", {"label": "secret"}, {"ok": True, "agentId": "main"}).ok
    candidates = {"ok": False, "candidates": [{"key": "main"}, {"key": "secret"}]}
    assert shaped("sessions.resolve", {}, candidates).payload == {"ok": False, "candidates": [{"key": "main"}]}


HELPER = "agent:main:subagent:6f1c"


@pytest.mark.parametrize(
    ("task", "seen"),
    [
        ({"sessionKey": "main"}, True),
        ({"sessionKey": "main", "ownerKey": "agent:main:main", "childSessionKey": HELPER}, True),
        ({"sessionKey": "main", "childSessionKey": "agent:coder:acp:6f1c"}, True),
        ({"sessionKey": "main", "childSessionKey": "image_generate:6f1c"}, True),
        ({"sessionKey": "main", "childSessionKey": "agent:main:main"}, True),
        ({"sessionKey": "main", "childSessionKey": "agent:main:secret"}, False),
        ({"sessionKey": "main", "childSessionKey": "secret"}, False),
        ({"sessionKey": "main", "childSessionKey": "agent:main:secret:subagent:6f1c"}, False),
        ({"sessionKey": "main", "ownerKey": "agent:main:secret"}, False),
        ({"sessionKey": "agent:main:secret", "ownerKey": "main"}, False),
        ({"sessionKey": HELPER, "childSessionKey": "main"}, False),
        ({"sessionKey": "", "ownerKey": "main"}, False),
        ({"ownerKey": "main"}, False),
        ({"sessionKey": 5, "childSessionKey": "main"}, False),
    ],
)
def test_a_task_is_seen_when_it_is_of_an_owners_session_alone(task: JsonObject, seen: bool) -> None:
    """Each line is red when the guard for its member is taken out."""
    row: JsonObject = {"id": "t", "status": "running", "title": "x", **task}
    answer = cut_answer("tasks.list", {}, of_main)(Response("r", True, {"tasks": [row, 5]}))
    assert answer.payload == {"tasks": [row] if seen else []}


def of_main(fields: JsonObject) -> bool:
    return fields in ({"sessionKey": "main"}, {"sessionKey": "agent:main:main"})


def test_where_more_tasks_begin_is_told_of_one_session_only() -> None:
    """The cursor counts what was left out."""
    payload: JsonObject = {"tasks": [{"id": "t", "sessionKey": "main"}], "nextCursor": "1.100.7"}
    cut = cut_answer("tasks.list", {"limit": 100}, of_main)(Response("r", True, payload))
    assert cut.payload == {"tasks": payload["tasks"]}
    of_one = cut_answer("tasks.list", {"sessionKey": "main"}, of_main)(Response("r", True, payload))
    assert of_one.payload == payload
    assert cut_answer("tasks.list", {}, of_main)(Response("r", True, "x")).payload == {"tasks": []}


@pytest.mark.parametrize(("key", "seen"), [("main", True), ("agent:main:secret", False)])
def test_an_artifact_of_another_session_is_not_found(key: str, seen: bool) -> None:
    """Red when the session that the answer names is not decided."""
    found: JsonObject = {"artifact": {"id": "a", "sessionKey": key}, "encoding": "base64", "data": "aGk="}
    answer = cut_answer("artifacts.download", {}, of_main)(Response("r", True, found))
    assert (answer.ok, answer.payload) == ((True, found) if seen else (False, None))
    assert seen or (answer.error is not None and "secret" not in answer.error.message)


@pytest.mark.parametrize("method", sorted(CUT))
def test_a_refusal_of_the_gateway_stays_as_it_is(method: str) -> None:
    refused = Response("r", False)
    assert cut_answer(method, {}, may)(refused) is refused
    assert cut_params("sessions.list", {"limit": 80}, may) == {"limit": 80}
