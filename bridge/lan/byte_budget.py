"""Pure: the bytes of large messages that all paired devices together may have in the bridge.

A message is claimed by its announced length before its bytes are kept, so that two half messages never wait for each
other. Who finds no room waits in line, in the order of asking. A device that holds bytes claims more only while it then
has no more than was left: one which sends without end leaves room for the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Messages up to this length are outside of the budget: they are bounded by the number of sockets and of calls, and an
# ordinary call must never wait behind somebody's photos. It is what a stranger may send, too.
SMALL_BYTES = 64 * 1024


@dataclass(slots=True, eq=False)
class Account:
    """What one connection holds.

    Attributes:
        owner: whose connection it is; connections of one owner share what an owner may hold.
        held: bytes.
        wanted: bytes that it waits for; 0: it does not wait.
    """

    owner: str
    held: int = 0
    wanted: int = 0


@dataclass(slots=True)
class ByteBudget:
    """See the module's text.

    Attributes:
        limit: bytes in all; no claim may be larger.
    """

    limit: int
    held: int = 0
    _accounts: dict[Account, None] = field(default_factory=dict)
    _line: dict[Account, None] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many connections wait."""
        return len(self._line)

    def open(self, owner: str) -> Account:
        """Opens the account of a connection."""
        account = Account(owner)
        self._accounts[account] = None
        return account

    def claim(self, account: Account, size: int) -> bool:
        """Takes bytes; returns whether they are there now, else the account waits for them in line."""
        if not self._line and self._fits(account, size):
            self._take(account, size)
            return True
        account.wanted += min(size, self.limit)
        self._line[account] = None
        return account in self._serve()  # the line may consist of such as wait for themselves

    def release(self, account: Account, size: int) -> list[Account]:
        """Gives bytes back; returns the accounts whose wait is over."""
        given = min(size, account.held)
        account.held -= given
        self.held -= given
        return self._serve()

    def close(self, account: Account) -> list[Account]:
        """Gives everything back; returns the accounts whose wait is over. Harmless when it is closed."""
        if account not in self._accounts:
            return []
        del self._accounts[account]
        self._line.pop(account, None)
        return self.release(account, account.held)

    def _fits(self, account: Account, size: int) -> bool:
        left = self.limit - self.held
        own = sum(each.held for each in self._accounts if each.owner == account.owner)
        return size <= left and (own == 0 or own + size <= left)

    def _take(self, account: Account, size: int) -> None:
        account.held += size
        self.held += size

    def _serve(self) -> list[Account]:
        served: list[Account] = []
        for account in list(self._line):
            if account.wanted > self.limit - self.held:
                break  # nobody overtakes one that waits for the others
            if self._fits(account, account.wanted):
                self._take(account, account.wanted)
                account.wanted = 0
                del self._line[account]
                served.append(account)
        return served
