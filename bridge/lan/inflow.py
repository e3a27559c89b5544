"""Keeps the account of one connection's large messages, and wakes those who waited when others give bytes back."""

from __future__ import annotations

from collections.abc import Callable

from bridge.lan.byte_budget import SMALL_BYTES, Account, ByteBudget

# Five of the largest messages (25 MiB) at a time. A message costs its bytes, once more what is parsed of it, and once
# more while it is written to the gateway: some 400 MiB at the very worst.
IN_FLIGHT_BYTES = 128 * 1024 * 1024


class Pool:
    """The budget of all connections.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = IN_FLIGHT_BYTES) -> None:
        self.budget = ByteBudget(limit)
        self._wake: dict[Account, Callable[[], None]] = {}

    def open(self) -> Inflow:
        """Opens the account of a connection."""
        return Inflow(self, self.budget.open(""))

    def enrol(self, account: Account, wake: Callable[[], None]) -> None:
        """Calls `wake` whenever the account has waited for bytes and has them."""
        self._wake[account] = wake

    def close(self, account: Account) -> None:
        """Gives everything back."""
        self._wake.pop(account, None)
        self.wake(self.budget.close(account))

    def wake(self, served: list[Account]) -> None:
        """Tells accounts that their wait is over."""
        for account in served:
            self._wake[account]()


class Inflow:
    """The account of one connection. Made by `Pool.open`; closed with its connection."""

    def __init__(self, pool: Pool, account: Account) -> None:
        self._pool = pool
        self._account = account
        self.admitted = False
        """Whether its peer may send large messages at all."""

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing."""
        return self._account.held == 0

    def belongs_to(self, owner: str) -> None:
        """Names whose connection it is: all connections of one owner have one share."""
        self._account.owner = owner

    def on_room(self, wake: Callable[[], None]) -> None:
        """Calls `wake` when bytes that were waited for are there."""
        self._pool.enrol(self._account, wake)

    def claim(self, size: int) -> bool:
        """Takes bytes for what is announced; False: they will be there later, and `on_room` tells when."""
        return self._pool.budget.claim(self._account, size)

    def release(self, size: int) -> None:
        """Gives bytes back."""
        self._pool.wake(self._pool.budget.release(self._account, size))

    def load(self, size: int) -> Load:
        """Returns the bytes of a message that has come."""
        return Load(lambda: self.release(size) if size > SMALL_BYTES else None)

    def close(self) -> None:
        """The connection has ended. Harmless when it is closed."""
        self._pool.close(self._account)


class Load:
    """A message's bytes: in the budget until everyone who carries a part of them has put it down.

    Args:
        release: gives them back.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._carriers = 0

    def carry(self) -> Callable[[], None]:
        """Returns what puts one part down; only its first call counts."""
        self._carriers += 1
        carried = True

        def put_down() -> None:
            """Gives the bytes back, when this was the last part."""
            nonlocal carried
            if not carried:
                return
            carried = False
            self._carriers -= 1
            if self._carriers == 0:
                self._release()

        return put_down


def nothing() -> None:
    """Puts down what weighs nothing."""
