"""Runs are shown whole or not at all, and what is remembered of them is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.lan.session_names import SessionKeys
from bridge.lan.streams import MAX_NAME_CHARS, MAX_RUNS, MAX_SESSIONS, MAX_TEXTS, RunFilter
from gateway_client.frames import Event
from tests.support.scale import scale


def chat(state: str, run: str = "r", session: str = "agent:main:main", **members: Any) -> Event:
    return Event("chat", {"runId": run, "sessionKey": session, "state": state, **members})


def agent(stream: str, run: str = "r", **data: Any) -> Event:
    return Event("agent", {"runId": run, "sessionKey": "agent:main:main", "stream": stream, "data": data})


def following(*sessions: str) -> RunFilter:
    runs = RunFilter()
    for session in sessions or ("main",):
        runs.follow(session)
    return runs


START = chat("delta", deltaText="He", message={"content": "He"})
MORE = chat("delta", deltaText="llo")
TEXT_A = agent("assistant", itemId="a", text="He", delta="He")


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([START, MORE, MORE, chat("final")], "yyyy"),
        ([MORE, MORE, chat("final")], "nny"),
        ([MORE, START, chat("aborted")], "nny"),
        ([MORE, chat("status", phase="starting_model"), chat("error")], "nny"),
        ([chat("status", phase="starting_model"), START, MORE], "yyy"),
        ([chat("status", phase="starting_model"), MORE, MORE, chat("final")], "ynny"),
        ([chat("delta", deltaText="He", replace=True), MORE, START, chat("final")], "nnny"),
        ([START, chat("delta", deltaText="He!", replace=True), MORE], "yyy"),
        ([chat("delta", deltaText="He", message=None), MORE], "nn"),
        ([START, chat("delta", session="main", deltaText="llo"), MORE], "yny"),
        ([START, chat("delta", agentId="home", deltaText="llo"), MORE], "yny"),
        ([START, chat("final"), MORE], "yyn"),
        ([agent("assistant", text="He", delta="He"), agent("assistant", text="Hello", delta="llo")], "yy"),
        ([agent("assistant", text="Hello", delta="llo"), agent("assistant", text="Hello!", delta="!")], "nn"),
        ([agent("lifecycle", phase="start"), agent("assistant", text="He", delta="He")], "yy"),
        ([agent("tool", name="ls"), agent("assistant", delta="llo"), agent("tool", name="ls")], "ynn"),
        ([agent("assistant", text="Hello"), agent("assistant", delta="!")], "yy"),
        ([START, agent("assistant", delta="llo"), MORE], "yny"),
        ([agent("assistant", text="He", delta="", replace=True), agent("assistant", delta="llo")], "yy"),
        ([agent("assistant", text=None, delta="llo"), agent("assistant", text="Hello", delta="")], "nn"),
        ([agent("assistant", mediaUrls=["a"]), agent("assistant", delta="llo")], "yn"),
        ([TEXT_A, agent("assistant", itemId="b", delta="x"), agent("assistant", text="He!", delta="!")], "ynn"),
        (
            [TEXT_A, agent("assistant", itemId="b", text="x", delta="x"), agent("assistant", itemId="b", delta="y")],
            "yyy",
        ),
    ],
)
def test_a_run_without_its_beginning_is_withheld(events: list[Event], shown: str) -> None:
    runs = following()
    assert "".join("y" if runs.passes(event) else "n" for event in events) == shown


@pytest.mark.parametrize(
    "event",
    [
        Event("chat", None),
        Event("chat", {"state": "final"}),
        Event("chat", {"state": "final", "sessionKey": "main"}),
        Event("chat", {"state": "final", "runId": "r"}),
        Event("chat", {"state": "final", "runId": 7, "sessionKey": ["main"]}),
        chat("final", session="agent:main:other"),
    ],
)
def test_what_names_no_run_of_a_followed_session_stays_away(event: Event) -> None:
    assert not following().passes(event)


def test_two_runs_are_two_stories() -> None:
    runs = following()
    assert runs.passes(START)
    assert not runs.passes(chat("delta", run="other", deltaText="x"))
    assert runs.passes(MORE)


@pytest.mark.parametrize("before", [[START], [START, MORE], [chat("status", phase="starting_model")]])
def test_after_a_gap_nothing_goes_on_without_a_new_beginning(before: list[Event]) -> None:
    runs = following()
    assert all(runs.passes(event) for event in before)
    runs.gap()
    assert not runs.passes(MORE)
    assert runs.passes(chat("final"))


def test_a_run_that_begins_after_the_gap_is_shown() -> None:
    runs = following()
    runs.gap()
    assert runs.passes(START)


def test_the_session_that_was_asked_about_least_recently_is_forgotten() -> None:
    runs = following("main")
    for number in range(MAX_SESSIONS - 1):
        runs.follow(f"s{number}")
    runs.follow("main")
    runs.follow("one more")
    assert runs.passes(chat("final"))
    assert not runs.passes(chat("final", session="s0"))
    assert runs.passes(chat("final", session="s1"))


def test_what_was_missed_while_a_session_was_not_followed_is_a_gap() -> None:
    """With `_drop` of RunFilter leaving the runs alone, the words after the gap are shown."""
    runs = following("main")
    assert runs.passes(START)
    runs.unfollow("agent:main:main")
    assert not runs.passes(chat("delta", deltaText="l"))
    runs.follow("main")
    assert not runs.passes(MORE)
    assert runs.passes(chat("final"))


def test_a_key_without_an_agent_names_a_session_of_the_default_agent() -> None:
    keys = SessionKeys("home", "main", "agent:home:main")
    runs = following("main", "Work")
    assert runs.passes(chat("final", session="agent:main:work"))
    assert runs.passes(chat("final", session="agent:home:work"), keys), "what the gateway says may come later"
    assert runs.passes(chat("final", session="agent:home:main"), keys)
    assert not runs.passes(chat("final", session="agent:main:work"), keys)
    assert not runs.passes(chat("final", session="work", agentId="other"), keys)
    assert runs.passes(chat("final", session="work", agentId="home"), keys)


@pytest.mark.parametrize("member", ["runId", "sessionKey", "agentId"])
def test_what_has_a_name_of_any_length_is_not_kept(member: str) -> None:
    runs = following("main", "x" * 10_000)
    payload: Any = {"runId": "r", "sessionKey": "main", "state": "final", member: "x" * (MAX_NAME_CHARS + 1)}
    assert not runs.passes(Event("chat", payload))


def test_a_flood_of_texts_of_one_run_is_bounded() -> None:
    """With MAX_TEXTS five times as large all of the texts are kept, and the last one goes on."""
    runs = following()
    for number in range(MAX_TEXTS):
        assert runs.passes(agent("assistant", itemId=f"i{number}", text="He", delta="He"))
    assert not runs.passes(agent("assistant", itemId="one more", text="He", delta="He"))
    assert not runs.passes(agent("assistant", itemId="x" * 1_000, text="He", delta="He"))


def test_a_flood_of_runs_is_bounded_and_a_forgotten_one_is_withheld() -> None:
    runs = following()
    for number in range(scale(100_000)):
        assert runs.passes(chat("delta", run=f"r{number}", deltaText="He", message={}))
    assert runs.passes(chat("delta", run=f"r{scale(100_000) - MAX_RUNS}", deltaText="llo"))
    assert not runs.passes(chat("delta", run="r0", deltaText="llo"))
