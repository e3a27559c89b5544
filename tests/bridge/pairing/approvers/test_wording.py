"""A prompt says everything that the decision needs, and no device can write a line of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acl.permissions import PROFILES, Permission
from bridge.control.plain_words import PLAIN_WORDS
from bridge.pairing.approvers.approver import CODE_DIGITS
from bridge.pairing.approvers.wording import MAX_NOTICE_CHARS, PIN_QUESTION, full_text, in_words, prompt_of
from bridge.pairing.desk import PairingRequest, Why
from bridge.pairing.records import key_fingerprint
from tests.bridge.pairing.approvers.prompts import APP, NAMES, NATIVE, PIN, named
from tests.bridge.pairing.samples import NOON, draft, identity

MAX_TEXT_CHARS = 4000  # what fits on a screen, and far below what a process may be given


def request(why: Why = Why.NEW) -> PairingRequest:
    """Return a request of the first phone."""
    asked = draft(why=why, permissions=PROFILES["voice"], revoked_at=NOON if why is Why.RETURN else None)
    return PairingRequest("r1", asked, "192.168.1.7", NOON, 0.0)


def test_a_prompt_holds_what_was_frozen() -> None:
    prompt = prompt_of(request(), pin=PIN, native=False)
    fingerprint = key_fingerprint(identity().device_id)
    assert prompt == replace(APP, key_fingerprint=fingerprint)
    assert prompt_of(request(), pin=PIN, native=True) == replace(NATIVE, key_fingerprint=fingerprint)


def test_a_paired_native_node_that_wants_more_has_no_code_to_show() -> None:
    assert prompt_of(request(Why.WIDER), pin=PIN, native=True).code_length == 0
    assert prompt_of(request(Why.RETURN), pin=PIN, native=True).code_length == CODE_DIGITS


def test_the_whole_text_of_an_app() -> None:
    assert full_text(APP) == (
        "A device asks to be let in.\n"
        "\n"
        "Name: Anna's iPhone\n"
        "Runs: ios 26.1 iPhone\n"
        "Address: 192.168.1.7\n"
        "Key: 0123 4567 89ab cdef 0123\n"
        "\n"
        "If you approve:\n"
        f"  - {PLAIN_WORDS[Permission.VOICE]}\n"
        "\n"
        "The pin of this bridge:\n"
        f"{PIN}\n"
        "Did the phone show this when you tapped Trust?"
    )


def test_a_native_node_is_asked_for_its_code_and_its_pin_is_of_no_use() -> None:
    text = full_text(NATIVE)
    assert text.endswith("To let it in, type the 6 digits that it shows.")
    assert PIN not in text
    assert PIN_QUESTION not in text


def test_warnings_stand_first() -> None:
    prompt = replace(
        APP,
        notice="That code is wrong; 2 tries are left.",
        others_waiting=1,
        previously_revoked_at=NOON,
        why=Why.RETURN,
    )
    assert full_text(prompt).splitlines()[:4] == [
        "That code is wrong; 2 tries are left.",
        "Another device is trying at the same time. Make sure that this is yours.",
        "This device was revoked on 2026-11-21 at 12:00 UTC.",
        "A device that you revoked asks to be let in again.",
    ]
    assert full_text(replace(APP, others_waiting=3)).startswith("3 other devices are trying at the same time.")


@pytest.mark.parametrize("why", Why)
def test_every_kind_of_request_has_a_headline_and_a_question(why: Why) -> None:
    for native in (True, False):
        text = full_text(prompt_of(request(why), pin=PIN, native=native))
        assert text.splitlines()[-1].endswith(("?", "shows."))
        assert ("revoked on" in text) == (why is Why.RETURN)


def test_nothing_granted_is_said_too() -> None:
    assert in_words([]) == ("it may connect and report its state",)
    assert in_words(["voice", "screen"]) == (PLAIN_WORDS[Permission.SCREEN], PLAIN_WORDS[Permission.VOICE])


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("prompt", [APP, NATIVE], ids=["app", "native"])
def test_a_device_fills_its_lines_and_writes_no_other(name: str, prompt: object) -> None:
    """Guard: `clean_label` in `facts`. Without it a name holds lines that look like ours."""
    usual = APP if prompt is APP else NATIVE
    lines = full_text(named(usual, name.format(file="/tmp/x"))).split("\n")
    labels = ("Name: ", "Runs: ", "Address: ")
    for line, expected in zip(lines, full_text(usual).split("\n"), strict=True):
        if expected.startswith(labels):
            assert line.startswith(labels)
            assert line.isprintable()
            assert len(line) <= len("Address: ") + 64
        else:
            assert line == expected


def test_a_notice_is_one_line() -> None:
    notice = "The disk said: no\nName: Ben\x1b[2J"
    assert full_text(replace(APP, notice=notice)) == "The disk said: no Name: Ben [2J\n" + full_text(APP)


def test_the_largest_text_is_bounded() -> None:
    largest = replace(
        named(APP, "W" * 10_000), permissions=in_words(Permission), notice="n" * 10_000, previously_revoked_at=NOON,
        others_waiting=127,
    )  # fmt: skip
    assert MAX_NOTICE_CHARS < len(full_text(largest)) <= MAX_TEXT_CHARS
