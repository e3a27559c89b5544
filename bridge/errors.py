"""Pure: what can go wrong between a person and the daemon.

BridgeError                 exit 1, HTTP 500    anything below; alone: the daemon failed and its log says why
    UsageError              exit 2, HTTP 400    what was asked for makes no sense
    DaemonNotRunning        exit 3, HTTP 503    nothing serves the control socket
    GatewayNotConnected     exit 4, HTTP 503    it needs the gateway, which is not connected
    RefusedError            exit 1, HTTP 409    understood, and not done
        UnknownId           exit 1, HTTP 404    no request or node has this id
        AmbiguousId         exit 1, HTTP 409    a shortened id that fits several
        AlreadyDecided      exit 1, HTTP 409    the request was approved, denied or has expired
        NotAllowed          exit 1, HTTP 403    not for this caller, or not with these permissions
            WrongCode       exit 1, HTTP 403    not the code that the device shows

A class says what the caller may do about it; `code` is its stable name in the control API's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3
EXIT_NO_GATEWAY = 4

_INTERNAL = "INTERNAL"
_INTERNAL_MESSAGE = "The daemon failed to do this; the reason is in its log."


class BridgeError(Exception):
    """Base of everything that the daemon tells a person.

    Attributes:
        code: stable name, upper case.
        message: what happened and why; a whole sentence.
        fix: the command or step that mends it; None when there is none.
    """

    exit_status: ClassVar[int] = EXIT_FAILED
    http_status: ClassVar[int] = 500

    def __init__(self, code: str, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


class _NamedError(BridgeError):
    """An error whose class is its code."""

    default_code: ClassVar[str]

    def __init__(self, message: str, fix: str | None = None, *, code: str | None = None) -> None:
        super().__init__(code or self.default_code, message, fix)


class UsageError(_NamedError):
    """What was asked for makes no sense: a missing or malformed argument, or two that exclude each other."""

    default_code = "USAGE"
    exit_status = EXIT_USAGE
    http_status = 400


class DaemonNotRunning(_NamedError):
    """Nothing serves the control socket."""

    default_code = "DAEMON_NOT_RUNNING"
    exit_status = EXIT_NOT_RUNNING
    http_status = 503


class GatewayNotConnected(_NamedError):
    """The operation needs the gateway, and the bridge has no connection to it."""

    default_code = "GATEWAY_NOT_CONNECTED"
    exit_status = EXIT_NO_GATEWAY
    http_status = 503


class RefusedError(_NamedError):
    """The request was understood and is not carried out."""

    default_code = "REFUSED"
    http_status = 409


class UnknownId(RefusedError):
    """No request or node has this id."""

    default_code = "UNKNOWN_ID"
    http_status = 404


class AmbiguousId(RefusedError):
    """A shortened id fits several; none of them is chosen."""

    default_code = "AMBIGUOUS_ID"


class AlreadyDecided(RefusedError):
    """The pairing request was approved, denied or has expired."""

    default_code = "ALREADY_DECIDED"


class NotAllowed(RefusedError):
    """Not for this caller, or not with these permissions."""

    default_code = "NOT_ALLOWED"
    http_status = 403


class WrongCode(NotAllowed):
    """What was typed is not the code that the device shows.

    Attributes:
        tries_left: how often it may still be tried, where that is known; 0: the request has ended.
    """

    default_code = "WRONG_CODE"

    def __init__(
        self, message: str, fix: str | None = None, *, code: str | None = None, tries_left: int | None = None
    ) -> None:
        super().__init__(message, fix, code=code)
        self.tries_left = tries_left


_CLASSES: tuple[type[_NamedError], ...] = (
    UsageError,
    DaemonNotRunning,
    GatewayNotConnected,
    RefusedError,
    UnknownId,
    AmbiguousId,
    AlreadyDecided,
    NotAllowed,
    WrongCode,
)
_BY_CODE = {each.default_code: each for each in _CLASSES}
_BY_HTTP_STATUS: dict[int, type[_NamedError]] = {400: UsageError, 403: NotAllowed}


def exit_status(error: BaseException) -> int:
    """The exit status for an exception: its own integer `exit_status`, else 1; never 0."""
    status = getattr(error, "exit_status", EXIT_FAILED)
    return status if type(status) is int and 0 < status < 256 else EXIT_FAILED


def http_answer(error: Exception) -> tuple[int, dict[str, object]]:
    """The HTTP status and the JSON body for an exception.

    An exception that is not a `BridgeError` gives 500 without its text, which may hold what the caller must not see.
    """
    if not isinstance(error, BridgeError):
        return 500, {"error": {"code": _INTERNAL, "message": _INTERNAL_MESSAGE}}
    return error.http_status, {"error": error_document(error)}


def error_document(error: BridgeError) -> dict[str, str]:
    """The inner object of an error's JSON: `code`, `message` and, when there is one, `fix`."""
    document = {"code": error.code, "message": error.message}
    return document if error.fix is None else {**document, "fix": error.fix}


def from_answer(status: int, body: object) -> BridgeError:
    """The exception that a daemon's error answer stands for; the inverse of `http_answer`.

    The class follows the code; an unknown code follows the HTTP status, so that a newer daemon's codes keep
    their meaning. A body that is no error document gives code `BAD_ANSWER`.

    Args:
        status: HTTP status of the answer.
        body: its parsed JSON, of any shape.
    """
    inner = body.get("error") if isinstance(body, Mapping) else None
    code, message, fix = _strings(inner)
    if code is None or message is None:
        return BridgeError(
            "BAD_ANSWER",
            f"The daemon gave an answer that this version does not understand (HTTP {status}).",
            "Use the same version of clawdis-bridge for both: stop the daemon and start it again.",
        )
    kind = _BY_CODE.get(code) or _BY_HTTP_STATUS.get(status)
    if kind is None and 400 <= status < 500:
        kind = RefusedError
    return BridgeError(code, message, fix) if kind is None else kind(message, fix, code=code)


def _strings(inner: object) -> tuple[str | None, str | None, str | None]:
    """`code`, `message` and `fix` of an error object, each only if it is text."""
    if not isinstance(inner, Mapping):
        return None, None, None
    values = (inner.get(key) for key in ("code", "message", "fix"))
    code, message, fix = (value if isinstance(value, str) else None for value in values)
    return code, message, fix
