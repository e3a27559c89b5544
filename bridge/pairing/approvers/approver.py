"""Pure: what a person is asked about a device, and what they can answer (design §6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from bridge.pairing.desk import Why

CODE_DIGITS = 6  # of the short code that a native node shows
MAX_TYPED_CHARS = 64  # of what a person types where a code belongs; more is not looked at
_BETWEEN_DIGITS = re.compile(r"[ -]")  # people type the gap that the phone shows


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question about one pairing request, complete: an approver needs nothing else.

    Attributes:
        id: the request's id.
        kind: `native` or `openclaw`, as in `pending --json`.
        display_name: what the device calls itself.
        platform: what it says it runs.
        address: its IP address.
        permissions: what it would be granted, in plain words.
        key_fingerprint: of its key, for people.
        pin: of the bridge's own certificate, 64 hexadecimal digits.
        why: what kind of request it is.
        previously_revoked_at: when the key was revoked, aware UTC; None: never.
        code_length: digits that the person has to type; 0: the device shows none.
        others_waiting: how many other devices are trying.
        notice: what the person has to know about the answer before, a whole sentence; empty: nothing.
        timeout_s: seconds until nobody waits for the answer any more.
    """

    id: str
    kind: Literal["native", "openclaw"]
    display_name: str
    platform: str
    address: str
    permissions: tuple[str, ...]
    key_fingerprint: str
    pin: str
    why: Why = Why.NEW
    previously_revoked_at: datetime | None = None
    code_length: int = 0
    others_waiting: int = 0
    notice: str = ""
    timeout_s: float = 120.0

    @property
    def code_less(self) -> bool:
        """Whether there is no code to type."""
        return self.code_length == 0


@dataclass(frozen=True, slots=True)
class Approve:
    """Let the device in.

    Attributes:
        code: the digits that were typed, without gaps; None for a prompt that has no code.
    """

    code: str | None


@dataclass(frozen=True, slots=True)
class Deny:
    """Turn the device down."""


@dataclass(frozen=True, slots=True)
class Later:
    """The person put it off: the request stays pending and is not shown again."""


@dataclass(frozen=True, slots=True)
class Again:
    """The person meant an answer that cannot be taken: ask once more.

    Attributes:
        notice: what was wrong with it, a whole sentence.
    """

    notice: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody is there, or nobody can be asked in this way."""


Answer: TypeAlias = Approve | Deny | Later | Again | NoAnswer


class Approver(Protocol):
    """One way to ask a person."""

    @property
    def name(self) -> str:
        """What logs call it."""

    async def ask(self, prompt: Prompt) -> Answer:
        """Asks once. Cancelling it takes the question away, before the cancellation comes out.

        Any exception means that this approver cannot be asked now; it is never an answer.
        """


def approval(prompt: Prompt, typed: str) -> Approve | Again:
    """What a person means who approves after typing this; a malformed code is not worth one of the tries.

    Args:
        prompt: the question.
        typed: what stood in the field for the code.
    """
    if prompt.code_less:
        return Approve(None)
    code = _BETWEEN_DIGITS.sub("", typed[:MAX_TYPED_CHARS].strip())
    if len(code) == prompt.code_length and code.isascii() and code.isdigit():
        return Approve(code)
    return Again(f"The code has {prompt.code_length} digits; type all of them, as the phone shows them.")
