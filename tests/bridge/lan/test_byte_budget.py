"""The budget of large messages: never more than its limit, in order, with room for the next."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.lan.byte_budget import Account, ByteBudget

MIB = 1024 * 1024
LARGEST = 25 * MIB


def test_five_phones_may_send_the_largest_at_once_and_the_sixth_waits_its_turn() -> None:
    budget = ByteBudget(128 * MIB)
    accounts = [budget.open(str(number)) for number in range(7)]
    assert [budget.claim(account, LARGEST) for account in accounts] == [True] * 5 + [False] * 2
    assert budget.release(accounts[0], LARGEST) == [accounts[5]]
    assert budget.close(accounts[1]) == [accounts[6]]
    assert budget.held == 5 * LARGEST


def test_one_phone_that_floods_leaves_room_whatever_it_does() -> None:
    """Red without the share: five messages of one phone keep everybody else waiting."""
    budget = ByteBudget(128 * MIB)
    sockets = [budget.open("flood") for _ in range(5)]
    granted = sum(budget.claim(socket, LARGEST) for socket in sockets)
    assert granted == 3
    assert budget.claim(budget.open("other"), LARGEST)


def test_nobody_overtakes_one_that_waits_for_the_others() -> None:
    budget = ByteBudget(100)
    big, small, first = budget.open("a"), budget.open("b"), budget.open("c")
    assert budget.claim(first, 90)
    assert not budget.claim(big, 50)
    assert not budget.claim(small, 5)
    assert budget.release(first, 90) == [big, small]


def test_one_that_waits_for_itself_is_overtaken() -> None:
    budget = ByteBudget(100)
    flood, other = budget.open("a"), budget.open("b")
    assert budget.claim(flood, 60)
    assert not budget.claim(flood, 30)
    assert budget.claim(other, 30)


def test_an_account_that_is_closed_waits_for_nothing() -> None:
    budget = ByteBudget(100)
    first, second = budget.open("a"), budget.open("b")
    assert budget.claim(first, 100)
    assert not budget.claim(second, 10)
    assert budget.close(second) == []
    assert budget.close(second) == []
    assert budget.close(first) == []
    assert (budget.held, budget.waiting) == (0, 0)


def test_a_claim_beyond_the_limit_waits_for_all_of_it_and_no_longer() -> None:
    """Red when it waits for what there never is."""
    budget = ByteBudget(100)
    first, huge = budget.open("a"), budget.open("b")
    assert budget.claim(first, 10)
    assert not budget.claim(huge, 1_000)
    assert budget.release(first, 10) == [huge]
    assert budget.held == 100


class Machine(RuleBasedStateMachine):
    """Any order of claims, releases and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = ByteBudget(100)
        self.accounts: list[Account] = []
        self.waits: dict[Account, int] = {}

    @rule(owner=st.sampled_from("abc"))
    def open(self, owner: str) -> None:
        if len(self.accounts) < 6:
            self.accounts.append(self.budget.open(owner))

    @rule(pick=st.integers(0), size=st.integers(1, 100))
    def claim(self, pick: int, size: int) -> None:
        if self.accounts and (account := self.accounts[pick % len(self.accounts)]) not in self.waits:
            held = account.held
            if self.budget.claim(account, size):
                assert account.held == held + size
            else:
                self.waits[account] = size

    @rule(pick=st.integers(0), close=st.booleans())
    def release(self, pick: int, close: bool) -> None:
        if not self.accounts:
            return
        account = self.accounts[pick % len(self.accounts)]
        if close:
            self.accounts.remove(account)
            self.waits.pop(account, None)
        served = self.budget.close(account) if close else self.budget.release(account, account.held)
        for each in served:
            assert each.held >= self.waits.pop(each)

    @invariant()
    def bounded(self) -> None:
        assert self.budget.held == sum(account.held for account in self.accounts) <= 100
        assert self.budget.waiting == len(self.waits)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if self.waits and self.budget.held == 0:
            raise AssertionError("somebody waits although everything is free")


TestMachine = Machine.TestCase
