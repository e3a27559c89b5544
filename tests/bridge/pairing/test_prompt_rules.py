"""Which request is shown, when, and never twice: the rules as conversations under a clock of the test's."""

from __future__ import annotations

import pytest

from bridge.pairing.prompt_rules import (
    MAX_KNOWN,
    MAX_QUEUED,
    PAUSE_S,
    STOP_AFTER,
    STOP_WITHIN_S,
    TIMEOUT_S,
    Candidate,
    Close,
    Ending,
    PromptRules,
    Show,
)


def native(name: str, *, invited: bool = False) -> Candidate:
    return Candidate(name, code_less=False, invited=invited)


def app(name: str, *, invited: bool = False) -> Candidate:
    return Candidate(name, code_less=True, invited=invited)


def shown(commands: object) -> str:
    """Return the id of the one prompt that is to be shown."""
    assert isinstance(commands, tuple | list), commands
    shows = [each for each in commands if isinstance(each, Show)]
    assert len(shows) == 1, commands
    return shows[0].id


def filled(*candidates: Candidate) -> PromptRules:
    """Return rules that were offered these at time 0: the first one is visible."""
    rules = PromptRules()
    for candidate in candidates:
        rules.offer(candidate, 0.0)
    return rules


class TestOneVisible:
    def test_the_first_request_is_shown_at_once(self) -> None:
        assert PromptRules().offer(native("a"), 5.0) == (Show("a", others=0, until=5.0 + TIMEOUT_S),)

    def test_others_queue_and_come_one_by_one_after_a_pause(self) -> None:
        rules = filled(native("a"), native("b"), native("c"))
        assert rules.queued == ("b", "c")
        assert rules.end("a", Ending.APPROVED, 10.0) == (Close("a"),)
        assert rules.next_deadline() == 10.0 + PAUSE_S
        assert rules.tick(10.0 + PAUSE_S - 0.001) == ()
        assert shown(rules.tick(10.0 + PAUSE_S)) == "b"
        assert list(rules.queued) == ["c"]

    def test_a_click_meant_for_one_prompt_cannot_fall_on_the_next(self) -> None:
        """Guard: `_free_at`. Without it the next prompt stands where the old one stood, in the same instant."""
        rules = filled(app("a"))
        rules.end("a", Ending.WITHDRAWN, 10.0)
        assert rules.offer(app("b"), 10.0) == ()
        assert rules.offer(app("c"), 10.0 + PAUSE_S - 0.001) == ()
        assert shown(rules.tick(10.0 + PAUSE_S)) == "b"

    def test_three_are_queued_and_the_rest_waits_for_a_place(self) -> None:
        rules = filled(*[native(f"n{number}") for number in range(8)])
        assert rules.queued == ("n1", "n2", "n3")
        rules.end("n2", Ending.WITHDRAWN, 1.0)
        assert rules.queued == ("n1", "n3", "n4")
        rules.end("n5", Ending.DENIED, 2.0)
        rules.end("n0", Ending.DENIED, 3.0)
        assert shown(rules.tick(10.0)) == "n1"
        assert rules.queued == ("n3", "n4", "n6")

    def test_a_retry_changes_nothing(self) -> None:
        rules = filled(native("a"), native("b"))
        rules.put_off("a", 1.0)
        rules.tick(10.0)
        for second in range(11, 100):
            assert rules.offer(native("a"), float(second)) == ()
            assert rules.offer(native("b"), float(second)) == ()
        assert rules.queued == ()

    def test_what_nobody_knows_ends_without_a_word(self) -> None:
        rules = filled(native("a"))
        assert rules.end("x", Ending.DENIED, 1.0) == ()
        assert rules.put_off("x", 1.0) == ()
        assert rules.ask_again("x", 1.0) == ()
        rules.hold("x")
        assert rules.next_deadline() == TIMEOUT_S

    def test_nothing_to_do_is_no_deadline(self) -> None:
        rules = PromptRules()
        assert rules.next_deadline() is None
        assert rules.tick(1.0) == ()


class TestTimeOut:
    def test_nobody_answers_and_the_request_gets_no_second_prompt(self) -> None:
        """Guard: `_asked`. Without it the next retry of the device opens the same dialog again."""
        rules = filled(native("a"))
        assert rules.tick(TIMEOUT_S - 0.001) == ()
        assert rules.tick(TIMEOUT_S) == (Close("a"),)
        assert rules.knows("a")
        assert rules.offer(native("a", invited=True), 200.0) == ()
        rules.open_window(300.0)
        assert rules.tick(1000.0) == ()
        rules.end("a", Ending.WITHDRAWN, 1001.0)
        assert not rules.knows("a")
        assert shown(rules.offer(native("a"), 1002.0)) == "a"

    def test_the_length_is_an_argument(self) -> None:
        rules = PromptRules(timeout_s=7.0)
        assert rules.offer(native("a"), 1.0) == (Show("a", 0, 8.0),)
        assert rules.next_deadline() == 8.0

    def test_an_answer_that_is_being_carried_out_does_not_time_out(self) -> None:
        rules = filled(native("a"))
        rules.hold("a")
        assert rules.next_deadline() is None
        assert rules.tick(TIMEOUT_S + 1.0) == ()
        assert rules.offer(native("b"), TIMEOUT_S + 2.0) == ()
        assert rules.end("a", Ending.APPROVED, TIMEOUT_S + 3.0) == (Close("a"),)

    def test_a_wrong_code_is_asked_again_within_the_same_time(self) -> None:
        rules = filled(native("a"))
        rules.hold("a")
        assert rules.ask_again("a", 100.0) == (Show("a", 0, TIMEOUT_S),)
        assert rules.next_deadline() == TIMEOUT_S
        rules.hold("a")
        assert rules.ask_again("a", TIMEOUT_S) == (Close("a"),)
        assert rules.offer(native("a"), 1000.0) == ()


class TestInvited:
    def test_they_go_first(self) -> None:
        rules = filled(native("a"), native("b"), app("c"), app("d"), native("e"))
        rules.offer(app("guest", invited=True), 1.0)
        assert rules.queued == ("guest", "b", "c")
        rules.end("a", Ending.APPROVED, 2.0)
        assert shown(rules.tick(10.0)) == "guest"

    def test_a_visible_prompt_is_not_pushed_away(self) -> None:
        rules = filled(native("a"))
        commands = rules.offer(native("guest", invited=True), 1.0)
        assert shown(commands) == "a"

    def test_a_request_from_before_is_invited_when_it_is_tried_again(self) -> None:
        rules = filled(native("a"), native("b"), native("c"))
        rules.open_window(1.0)
        rules.offer(native("c", invited=True), 2.0)
        assert rules.queued == ("c", "b")
        rules.offer(native("c"), 3.0)
        assert rules.queued == ("c", "b")


class TestOthers:
    def test_the_visible_prompt_says_once_that_another_device_is_trying(self) -> None:
        rules = filled(native("a"))
        assert rules.offer(native("b"), 5.0) == (Show("a", others=1, until=TIMEOUT_S),)
        assert rules.offer(native("c"), 6.0) == ()
        assert rules.end("b", Ending.WITHDRAWN, 7.0) == ()
        assert rules.offer(native("d"), 8.0) == ()

    def test_a_prompt_says_so_from_the_start_when_more_wait(self) -> None:
        rules = filled(native("a"), native("b"), app("c"))
        rules.end("a", Ending.APPROVED, 1.0)
        assert rules.tick(10.0) == (Show("b", others=1, until=10.0 + TIMEOUT_S),)

    def test_one_that_was_put_off_is_still_trying(self) -> None:
        rules = filled(native("a"))
        rules.put_off("a", 1.0)
        assert rules.offer(native("b"), 10.0) == (Show("b", others=1, until=10.0 + TIMEOUT_S),)

    def test_a_paired_node_that_wants_more_is_no_stranger(self) -> None:
        rules = filled(native("a"))
        assert rules.offer(Candidate("wider", code_less=True, stranger=False), 1.0) == ()
        assert rules.queued == ("wider",)

    def test_an_answer_is_not_interrupted_by_the_warning_which_comes_with_the_next_question(self) -> None:
        rules = filled(native("a"))
        rules.hold("a")
        assert rules.offer(native("b"), 1.0) == ()
        assert rules.ask_again("a", 2.0) == (Show("a", others=1, until=TIMEOUT_S),)
        assert rules.offer(native("c"), 3.0) == ()


class TestHarassment:
    @staticmethod
    def harassed(*endings: str, every_s: float = 10.0) -> PromptRules:
        """Return rules after prompts without a code that ended in these ways, one every some seconds."""
        rules = PromptRules()
        for number, how in enumerate(endings):
            now = number * every_s
            assert shown(rules.offer(app(f"bad{number}"), now)) == f"bad{number}"
            if how == "put off":
                rules.put_off(f"bad{number}", now + 1.0)
            rules.end(f"bad{number}", Ending.WITHDRAWN if how == "put off" else Ending(how), now + 1.0)
        return rules

    @pytest.mark.parametrize("how", ["denied", "put off", "withdrawn"])
    def test_after_three_bad_ends_prompts_without_a_code_stop(self, how: str) -> None:
        """Guard: `stopped`. `withdrawn` counts, or a device could flash dialogs by replacing its own request."""
        rules = self.harassed(*[how] * STOP_AFTER)
        assert rules.stopped
        assert rules.offer(app("next"), 100.0) == ()
        assert rules.next_deadline() is None
        assert rules.tick(100_000.0) == ()

    def test_two_bad_ends_and_good_ones_do_not_stop_them(self) -> None:
        rules = self.harassed("denied", "approved", "denied", "approved", "approved")
        assert not rules.stopped
        assert shown(rules.offer(app("next"), 100.0)) == "next"

    def test_a_time_out_counts(self) -> None:
        rules = PromptRules(timeout_s=5.0, pause_s=0.0)
        for number in range(STOP_AFTER):
            rules.offer(app(f"bad{number}"), number * 10.0)
            rules.tick(number * 10.0 + 5.0)
        assert rules.stopped

    def test_three_within_ten_minutes_and_not_more_slowly(self) -> None:
        pace = STOP_WITHIN_S / (STOP_AFTER - 1)
        assert not self.harassed(*["denied"] * 9, every_s=pace).stopped
        assert self.harassed(*["denied"] * STOP_AFTER, every_s=pace - 0.001).stopped

    def test_one_prompt_that_was_put_off_and_then_denied_counts_once(self) -> None:
        rules = self.harassed("denied", "put off")
        assert not rules.stopped

    def test_prompts_with_a_code_go_on_and_do_not_count(self) -> None:
        rules = PromptRules()
        for number in range(9):
            assert shown(rules.offer(native(f"n{number}"), number * 10.0)) == f"n{number}"
            rules.end(f"n{number}", Ending.DENIED, number * 10.0 + 1.0)
        assert not rules.stopped
        rules = self.harassed(*["denied"] * STOP_AFTER)
        rules.offer(app("app"), 100.0)
        assert shown(rules.offer(native("native"), 101.0)) == "native"

    def test_the_window_lets_them_through_again_the_waiting_ones_too(self) -> None:
        rules = self.harassed(*["denied"] * STOP_AFTER)
        rules.offer(app("early"), 100.0)
        assert rules.queued == ()
        assert shown(rules.open_window(101.0)) == "early"
        assert not rules.stopped
        rules.end("early", Ending.DENIED, 102.0)
        assert shown(rules.offer(app("next"), 110.0)) == "next"

    def test_three_more_stop_them_again(self) -> None:
        rules = self.harassed(*["denied"] * STOP_AFTER)
        rules.open_window(50.0)
        for number in range(STOP_AFTER):
            assert not rules.stopped
            rules.offer(app(f"again{number}"), 100.0 + 10.0 * number)
            rules.end(f"again{number}", Ending.DENIED, 101.0 + 10.0 * number)
        assert rules.stopped

    def test_a_denial_of_what_was_not_on_screen_disturbed_nobody(self) -> None:
        rules = filled(native("visible"), *[app(f"a{number}") for number in range(9)])
        for number in range(9):
            rules.end(f"a{number}", Ending.DENIED, 1.0)
        assert not rules.stopped


class TestFlood:
    def test_ten_thousand_requests_show_one_prompt_and_are_not_all_remembered(self) -> None:
        """B10: one on screen, three queued; the first one is still there to be approved."""
        rules = PromptRules()
        shows = [command for number in range(10_000) for command in rules.offer(native(f"n{number}"), number * 0.001)]
        assert [(type(each), each.id) for each in shows] == [(Show, "n0"), (Show, "n0")]  # and once with the warning
        assert len(rules.queued) == MAX_QUEUED
        assert rules.knows(f"n{MAX_KNOWN - 1}")
        assert not rules.knows(f"n{MAX_KNOWN}")
        assert rules.end("n0", Ending.APPROVED, 11.0) == (Close("n0"),)
        assert rules.offer(native("late"), 12.0) == ()
        assert rules.knows("late")
