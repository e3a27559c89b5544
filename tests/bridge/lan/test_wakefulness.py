"""What a node's own word says of the commands that need somebody to look at it."""

from __future__ import annotations

from typing import Any

import pytest

from acl.permissions import COMMANDS, FOREGROUND_FAMILIES
from bridge.lan.wakefulness import APP_WORD_S, AWAKE, MAX_RETRY_MS, MIN_RETRY_MS, RETRY_MS, app_asleep, read_state

FAMILIES = {"screen.show": "screen", "canvas.eval": "screen", "talk.ptt.start": "voice", "camera.snap": "camera"}


@pytest.mark.parametrize("screen", [None, True, False])
@pytest.mark.parametrize("voice", [None, True, False])
@pytest.mark.parametrize("foreground", [True, False])
def test_the_switches_say_what_works_and_else_the_state_does(
    foreground: bool, voice: bool | None, screen: bool | None
) -> None:
    payload: dict[str, Any] = {"state": "foreground" if foreground else "background"}
    payload |= {name: value for name, value in (("screen", screen), ("voice", voice)) if value is not None}
    state = read_state(payload)
    assert state is not None
    works = {
        "screen": foreground if screen is None else screen,
        "voice": foreground if voice is None else voice,
        "camera": foreground,
    }
    for command, family in FAMILIES.items():
        assert state.can_do(command) is works[family], command
    assert state.can_do("device.info")
    assert state.foreground is foreground


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_of_an_app_in_the_background_everything_else_still_works(command: str) -> None:
    assert AWAKE.can_do(command)
    assert app_asleep(0.0).can_do(command) is not command.startswith(FOREGROUND_FAMILIES)


def test_the_word_of_an_app_is_believed_for_a_minute() -> None:
    assert app_asleep(100.0).until == 100.0 + APP_WORD_S
    assert AWAKE.until is None


@pytest.mark.parametrize(
    ("given", "taken"), [(0, MIN_RETRY_MS), (999, MIN_RETRY_MS), (7_500, 7_500), (10**9, MAX_RETRY_MS)]
)
def test_a_time_to_retry_is_taken_within_bounds(given: int, taken: int) -> None:
    state = read_state({"state": "background", "retryAfterMs": given})
    assert state is not None
    assert state.retry_after_ms == taken


def test_without_one_it_is_half_a_minute() -> None:
    state = read_state({"state": "background"})
    assert state is not None
    assert state.retry_after_ms == RETRY_MS == 30_000


@pytest.mark.parametrize(
    "payload",
    [
        *(None, [], "background", {}, {"state": None}, {"state": "Background"}, {"state": True}),
        *({"state": "background", name: value} for name in ("screen", "voice") for value in (None, 1, "true")),
        *({"state": "background", "retryAfterMs": value} for value in (None, True, -1, 1.5, "30")),
    ],
)
def test_what_is_no_state_is_none(payload: Any) -> None:
    assert read_state(payload) is None
