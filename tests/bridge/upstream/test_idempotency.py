"""The ledger of keyed calls: one key, one call, and whoever floods it pushes out their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.upstream import idempotency
from bridge.upstream.idempotency import (
    KEPT_S,
    MAX_ENTRIES,
    MAX_ENTRIES_OF_OWNER,
    MAX_RESULT_BYTES,
    MAX_RESULTS,
    MAX_RESULTS_OF_OWNER,
    Again,
    Conflict,
    Entry,
    Forgotten,
    Ledger,
    Memo,
    Status,
    caller_owner,
    memo_of,
    node_owner,
    was_done,
)
from gateway_client.frames import JsonObject

A, B = node_owner("aa"), node_owner("bb")
CALL = memo_of(A, "k", "screen.eval", '{"javaScript":"1"}')
LARGE: JsonObject = {"ok": True, "payloadJSON": "x" * 60_000}
RESULT: JsonObject = {"ok": True, "payloadJSON": '{"result":1}'}


def message(found: Again | Conflict | None) -> str:
    assert isinstance(found, Conflict), found
    return found.message


class TestMemo:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ('{"a":1,"b":2}', '{ "b" : 2, "a":1 }', True),
            ('{"a":"\\u00e9"}', '{"a":"é"}', True),
            ('{"a":1}', '{"a":2}', False),
            ('{"a":[1,2]}', '{"a":[2,1]}', False),
            ("null", None, False),
            ("{}", None, False),
            ('{"a":1,"a":2}', '{"a":2}', False),
            ("not json", "not  json", False),
            ("not json", "not json", True),
            (None, None, True),
        ],
    )
    def test_parameters_are_the_same_whatever_they_are_spelled_like(
        self, one: str | None, other: str | None, same: bool
    ) -> None:
        assert (memo_of(A, "k", "c", one) == memo_of(A, "k", "c", other)) is same

    def test_the_command_belongs_to_the_call_and_owner_and_key_to_its_name(self) -> None:
        assert memo_of(A, "k", "x", None).fingerprint != memo_of(A, "k", "y", None).fingerprint
        names = {memo_of(owner, key, "c", None).digest for owner in (A, B, caller_owner("aa")) for key in "kl"}
        assert len(names) == 6
        assert memo_of("to:a", "ak", "c", None).digest != memo_of("to:aa", "k", "c", None).digest

    @given(st.dictionaries(st.text(max_size=8), st.integers(-99, 99) | st.text(max_size=8), max_size=6), st.randoms())
    def test_any_order_of_members_is_the_same(self, params: dict[str, Any], chance: Any) -> None:
        items = list(params.items())
        chance.shuffle(items)
        other = json.dumps(dict(items), indent=2)
        assert memo_of(A, "k", "c", json.dumps(params)) == memo_of(A, "k", "c", other)

    def test_neither_key_nor_parameters_can_be_read_from_it(self) -> None:
        assert "planted" not in repr(memo_of(A, "planted-key", "c", '{"x":"planted-value"}'))

    def test_half_a_surrogate_and_a_very_long_text_are_taken(self) -> None:
        memo_of(A, "\ud800", "c", "\ud800")
        long = '{"a":"' + "x" * 1_100_000 + '"}'
        assert memo_of(A, "k", "c", long) != memo_of(A, "k", "c", " " + long)


class TestLook:
    def test_what_was_done_is_told_again(self) -> None:
        ledger = Ledger()
        assert ledger.look(CALL, 0.0) is None
        [sent] = ledger.sent(CALL, 0.0)
        assert isinstance(sent, Entry)
        assert message(ledger.look(CALL, 1.0)) == "CONFLICT: already sent to the node; its outcome is not known"
        [done] = ledger.done(CALL, RESULT, 5.0)
        assert isinstance(done, Entry)
        assert (sent.status, done.status) == (Status.SENT, Status.DONE)
        assert ledger.look(CALL, 5.0 + KEPT_S - 0.001) == Again(RESULT)

    def test_after_ten_minutes_the_key_is_free(self) -> None:
        ledger = Ledger()
        ledger.done(CALL, RESULT, 5.0)
        assert ledger.look(CALL, 5.0 + KEPT_S) is None
        assert ledger.sweep(5.0 + KEPT_S) == [Forgotten(CALL.digest)]
        assert (len(ledger), ledger.size) == (0, 0)

    def test_another_call_under_the_same_key_is_a_conflict_whatever_became_of_the_first(self) -> None:
        other = memo_of(A, "k", "screen.eval", '{"javaScript":"2"}')
        ledger = Ledger()
        ledger.sent(CALL, 0.0)
        assert message(ledger.look(other, 1.0)) == "CONFLICT: this idempotency key stands for another call"
        ledger.done(CALL, RESULT, 1.0)
        assert message(ledger.look(other, 2.0)) == "CONFLICT: this idempotency key stands for another call"

    def test_the_key_of_another_node_is_another_key(self) -> None:
        ledger = Ledger()
        ledger.done(CALL, RESULT, 0.0)
        assert ledger.look(memo_of(B, "k", "screen.eval", '{"javaScript":"1"}'), 1.0) is None

    @pytest.mark.parametrize(("size", "kept"), [(MAX_RESULT_BYTES, True), (MAX_RESULT_BYTES + 1, False)])
    def test_of_a_large_result_only_that_there_was_one(self, size: int, kept: bool) -> None:
        frame = len('{"ok":true,"payloadJSON":""}')
        result: JsonObject = {"ok": True, "payloadJSON": "x" * (size - frame)}
        ledger = Ledger()
        ledger.done(CALL, result, 0.0)
        if kept:
            assert ledger.look(CALL, 1.0) == Again(result)
        else:
            assert message(ledger.look(CALL, 1.0)) == "CONFLICT: already executed; its result is not kept"
            assert ledger.size == 0

    @pytest.mark.parametrize("members", [{"payloadJSON": "x" * 70_000}, {"payload": {"base64": "x" * 70_000}}])
    def test_a_text_that_is_too_much_by_itself_is_not_written_out_to_tell_so(self, members: dict[str, Any]) -> None:
        """Red when the result is serialised first: what stands beside the text cannot be."""
        ledger = Ledger()
        never_written: Any = object()
        ledger.done(CALL, {"ok": True, **members, "beside": never_written}, 0.0)
        assert message(ledger.look(CALL, 1.0)) == "CONFLICT: already executed; its result is not kept"

    def test_what_was_not_done_after_all_may_come_again(self) -> None:
        ledger = Ledger()
        ledger.sent(CALL, 0.0)
        assert ledger.forget(CALL) == [Forgotten(CALL.digest)]
        assert ledger.look(CALL, 1.0) is None
        assert ledger.forget(CALL) == []

    def test_a_node_that_is_revoked_leaves_nothing(self) -> None:
        ledger = Ledger()
        ledger.done(CALL, RESULT, 0.0)
        ledger.done(memo_of(caller_owner("aa"), "k", "c", None), RESULT, 0.0)
        other = memo_of(B, "k", "c", None)
        ledger.done(other, RESULT, 0.0)
        assert len(ledger.forget_node("aa")) == 2
        assert (len(ledger), ledger.look(other, 1.0)) == (1, Again(RESULT))


@pytest.mark.parametrize(
    ("ok", "code", "done"),
    [
        (True, None, True),
        (False, "UNAVAILABLE", True),
        (False, None, True),
        (False, "NODE_NOT_READY", False),
        (False, "NODE_BACKGROUND_UNAVAILABLE", False),
        (False, "RATE_LIMITED", False),
    ],
)
def test_what_a_node_says_it_has_not_begun_is_not_remembered(ok: bool, code: str | None, done: bool) -> None:
    assert was_done(ok, code) is done


def many(owner: str, count: int, first: int = 0) -> Iterator[Memo]:
    return (Memo(owner, f"{owner}{number}", "f") for number in range(first, first + count))


class TestBounds:
    def test_who_floods_keys_pushes_out_their_own(self) -> None:
        """Red when `_make_room` takes the oldest of all instead of the owner's."""
        ledger = Ledger()
        ledger.done(CALL, RESULT, 0.0)
        flood = list(many(B, 5 * MAX_ENTRIES_OF_OWNER))
        gone = [change for memo in flood for change in ledger.done(memo, RESULT, 1.0) if isinstance(change, Forgotten)]
        assert len(ledger) == MAX_ENTRIES_OF_OWNER + 1
        assert len(gone) == 4 * MAX_ENTRIES_OF_OWNER
        assert ledger.look(CALL, 2.0) == Again(RESULT)
        assert ledger.look(flood[-1], 2.0) == Again(RESULT)

    def test_who_floods_results_loses_their_own_and_not_that_they_were(self) -> None:
        ledger = Ledger()
        ledger.done(CALL, RESULT, 0.0)
        flood = list(many(B, 5 * MAX_RESULTS_OF_OWNER // 60_000))
        for memo in flood:
            ledger.done(memo, LARGE, 1.0)
        assert MAX_RESULTS_OF_OWNER - 60_100 < ledger.size <= MAX_RESULTS_OF_OWNER + len(json.dumps(RESULT))
        assert message(ledger.look(flood[0], 2.0)) == "CONFLICT: already executed; its result is not kept"
        assert ledger.look(flood[-1], 2.0) == Again(LARGE)
        assert ledger.look(CALL, 2.0) == Again(RESULT)

    def test_in_all_there_is_a_cap_and_who_has_the_most_gives_way(self) -> None:
        """Red without the second branch of `_make_room`: 40 owners at their own cap are more than there may be."""
        ledger = Ledger()
        ledger.done(CALL, RESULT, 0.0)
        for number in range(40):
            for memo in many(f"to:{number}", MAX_ENTRIES_OF_OWNER):
                ledger.sent(memo, 1.0)
        assert len(ledger) == MAX_ENTRIES
        assert ledger.look(CALL, 2.0) == Again(RESULT)

    def test_results_in_all_have_one_too(self) -> None:
        ledger = Ledger()
        ledger.done(CALL, RESULT, 0.0)
        for number in range(50):
            for memo in many(f"to:{number}", MAX_RESULTS_OF_OWNER // 60_100):
                ledger.done(memo, LARGE, 1.0)
        assert MAX_RESULTS - 60_100 < ledger.size <= MAX_RESULTS
        assert ledger.look(CALL, 2.0) == Again(RESULT)

    def test_what_was_written_down_comes_back_within_the_same_bounds(self) -> None:
        entries = [Entry(memo, Status.SENT, 500.0 - number / 10) for number, memo in enumerate(many(B, 2_000))]
        ledger = Ledger()
        changes = ledger.restore(entries, 0.0)
        assert len(ledger) == MAX_ENTRIES_OF_OWNER
        assert len(changes) == 2_000 - MAX_ENTRIES_OF_OWNER
        assert all(isinstance(change, Forgotten) for change in changes)
        assert isinstance(ledger.look(entries[0].memo, 1.0), Conflict)  # those that end last are kept


@given(st.lists(st.tuples(st.sampled_from("sdfw"), st.integers(0, 5), st.integers(0, 2)), max_size=60))
def test_the_changes_are_all_there_is_to_write_down(steps: list[tuple[str, int, int]]) -> None:
    """A file that follows the changes holds what the ledger holds, and the sizes add up."""
    ledger, file, now = Ledger(), dict[str, Entry](), 0.0
    for step, key, owner in steps:
        memo = Memo(f"to:{owner}", f"{owner}/{key}", "f")
        if step == "w":
            now += key * 100.0
        match step:
            case "s":
                changes = ledger.sent(memo, now)
            case "d":
                changes = ledger.done(memo, RESULT, now)
            case "f":
                changes = ledger.forget(memo)
            case _:
                changes = ledger.sweep(now)
        for change in changes:
            if isinstance(change, Forgotten):
                del file[change.digest]
            else:
                file[change.memo.digest] = change
        assert len(file) == len(ledger)
        assert sum(entry.size for entry in file.values()) == ledger.size
    for entry in file.values():
        assert (ledger.look(entry.memo, now) is None) is (entry.until <= now)


def test_the_arithmetic_of_the_caps_holds() -> None:
    assert idempotency.MAX_ENTRIES_OF_OWNER * 600 <= 1024 * 1024
    assert idempotency.MAX_ENTRIES * 600 <= 20 * 1024 * 1024
