"""Pure: what can go wrong between a native node and the pairing routes of a bridge.

EnrolmentError
    BridgeUnreachable   nothing answers, or the connection ended
    BridgeMismatch      it showed another key than the pinned one, or claims another than it showed
    Refused             it answered with an error (carries it)
    Denied              the person at the Mac said no
    Expired             nobody decided in time
    BadAnswer           it answered what the protocol does not allow
    AlreadyUnderWay     this node pairs already; nothing was sent

Every message says what happened and what to do; `Refused` keeps the bridge's own words apart, they are a stranger's
text until the bridge is paired.
"""

from __future__ import annotations


class EnrolmentError(Exception):
    """Base of everything that pairing and renewing raise."""


class BridgeUnreachable(EnrolmentError):
    """Nothing answers at the bridge's address, or the connection ended before the answer."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} does not answer ({why}). See whether the bridge runs: clawdis-bridge status")


class BridgeMismatch(EnrolmentError):
    """The bridge is not the one it should be; a person has to look.

    Attributes:
        expected: SHA-256 hex of the key that was expected.
        seen: the same of the other one; None when there was no key.
    """

    def __init__(self, expected: str | None, seen: str | None, what: str = "showed in TLS") -> None:
        """Keep both.

        Args:
            expected: what was pinned, or what TLS showed.
            seen: the other key.
            what: how the other key came: that it `showed in TLS`, or `names in its answer`.
        """
        super().__init__(
            f"the bridge {what} the key {seen or '(none)'}, not {expected or '(any)'}: somebody may stand between. "
            "Compare with the spki that the bridge's own machine shows: clawdis-bridge status"
        )
        self.expected = expected
        self.seen = seen


class Refused(EnrolmentError):
    """The bridge answered with an error.

    Attributes:
        status: the HTTP status.
        code: the error's stable name.
        message: the bridge's words, one line of printable characters.
        retry_after_s: seconds after which it may be asked again; None: it did not say.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_s: float | None = None) -> None:
        later = "" if retry_after_s is None else f" Try again in {retry_after_s:g} s."
        super().__init__(f"the bridge refused ({status} {code}): {message}.{later}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class Denied(EnrolmentError):
    """The person at the Mac said no."""

    def __init__(self) -> None:
        super().__init__("the pairing was denied at the Mac. To ask again, first run there: clawdis-bridge pair")


class Expired(EnrolmentError):
    """Nobody approved it in time; the code that was shown is worth nothing any more."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the pairing has ended: {why}. Start it again, and approve it at the Mac")


class BadAnswer(EnrolmentError):
    """The bridge answered what the protocol does not allow; nothing of it was used."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the bridge gave an answer that makes no sense: {why}. Use the same version on both sides")
        self.why = why


class AlreadyUnderWay(EnrolmentError):
    """A ceremony of this key is under way in this process: two codes at once could be mixed up."""

    def __init__(self) -> None:
        super().__init__("this node is pairing already: finish that first, or wait until it ends by itself")
