"""The log: structlog, lines for people on a terminal and JSON otherwise (design §15).

Never a payload, a token, a code or a transcript: callers log names, counts and ids. Text of peers is escaped by the
renderers: JSON escapes control characters, and the console form is given the escaped text. What a library logs goes the
same way: some of it quotes peers.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Log = FilteringBoundLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MAX_TEXT_CHARS = 500  # characters of one logged text: a peer's words must not fill the disk
MAX_ELEMENTS = 50  # elements of one logged collection
MAX_TRACEBACK_CHARS = 20_000  # characters; the end is kept, where the error is
# Loggers of libraries that only ever tell what a peer did, on a port that anyone can reach: not for the owner's eyes.
_ABOUT_PEERS = frozenset({"aiohttp.websocket", "aiohttp.access"})


Tap = Callable[[str, Mapping[str, object]], None]
"""Is told each event's name and fields before they are shortened; it must not raise, and not log."""
UNSAID = "unsaid"
"""Name of a field that is true when the tap shall hear of an entry that the log does not repeat."""
_ID_SHOWN = 8  # characters of a node's id in a line: enough for a reader, and `audit tail` has them all


def make_log(
    level: str, form: Literal["auto", "console", "json"], stream: TextIO | None = None, tap: Tap | None = None
) -> Log:
    """Makes the daemon's log.

    Args:
        level: debug, info, warning or error.
        form: `auto` means console on a terminal, else JSON lines.
        stream: where to; None: standard error, which is then the way of what libraries log, too.
        tap: hears everything from `info` up, whatever the level.
    """
    out = stream if stream is not None else sys.stderr
    console = form == "console" or (form == "auto" and out.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[
            structlog.processors.add_log_level,
            *([] if tap is None else [_tapped(tap, _LEVELS[level])]),
            _said(_LEVELS[level]),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _bounded,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            _LEVELS[level] if tap is None else min(_LEVELS[level], logging.INFO)
        ),
    )
    if stream is None:
        _adopt_libraries(log)
    return log


def marks(left_out: int | None) -> dict[str, object]:
    """Returns the fields of an entry that may be one of many.

    Args:
        left_out: how many lines like it were left out before it; None: it is left out, too.
    """
    return {UNSAID: True} if left_out is None else {"left_out": left_out} if left_out else {}


def _tapped(tap: Tap, level: int) -> Processor:
    def tapped(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Tells the tap, then drops what is below the log's own level."""
        tap(str(event.get("event", "")), event)
        if _LEVELS.get(method, logging.ERROR) < level:
            raise structlog.DropEvent
        return event

    return tapped


def _said(level: int) -> Processor:
    def said(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Makes an entry that is only counted one of level debug."""
        if event.pop(UNSAID, False):
            if level > logging.DEBUG:
                raise structlog.DropEvent
            event["level"] = "debug"
        return event

    return said


class LibraryHandler(logging.Handler):
    """Makes an entry of what a library logs.

    Args:
        log: where to.
    """

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Logs a record; one that cannot be formatted is logged as it is, one that cannot be written is lost."""
        try:
            said = record.getMessage()
        except Exception:  # whatever the text of an argument raises: an entry must not fail the library
            said = str(record.msg)
        level = logging.DEBUG if _is_about_a_peer(record) else record.levelno
        with suppress(OSError, ValueError):
            self._log.log(level, "library", logger=record.name, said=said, exc_info=record.exc_info)


def _is_about_a_peer(record: logging.LogRecord) -> bool:
    """A fault that aiohttp's server logs is a peer's when aiohttp raised it, for HTTP that is none, and else ours."""
    kind = record.exc_info[0] if record.exc_info else None
    unparsed = record.name == "aiohttp.server" and kind is not None and kind.__module__.startswith("aiohttp.")
    return record.name in _ABOUT_PEERS or unparsed


def _adopt_libraries(log: Log) -> None:
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one, LibraryHandler)]:
        root.removeHandler(former)
    root.addHandler(LibraryHandler(log))


def silent_log() -> Log:
    """Returns a log that keeps nothing, for parts that run without a daemon."""
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr), processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return log


def _drop(_logger: WrappedLogger, _name: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


def _bounded(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    node = event.get("node")
    if isinstance(node, str):
        event["node"] = node[:_ID_SHOWN]
    for key, value in event.items():
        event[key] = _traceback(value) if key == "exception" and isinstance(value, str) else _plain(value)
    return event


def _plain(value: object) -> object:
    """The value with every text in it escaped and cut, and no more than some elements of a collection."""
    match value:
        case str():
            return _escaped(value[:MAX_TEXT_CHARS])
        case Mapping():
            return {str(_plain(str(name))): _plain(each) for name, each in islice(value.items(), MAX_ELEMENTS)}
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in islice(value, MAX_ELEMENTS)]
        case _:
            return value


def _traceback(text: str) -> str:
    """A traceback keeps its lines, but none of them begins where an entry does: its last one may quote a peer."""
    return "\n".join("  " + _escaped(line) for line in text[-MAX_TRACEBACK_CHARS:].split("\n"))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
