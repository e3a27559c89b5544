"""The log: one line per entry whatever a peer says, JSON that parses, and a bounded length."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage
from hypothesis import given
from hypothesis import strategies as st

from bridge.log import (
    MAX_ELEMENTS,
    MAX_TEXT_CHARS,
    MAX_TRACEBACK_CHARS,
    LibraryHandler,
    make_log,
    silent_log,
)

FORGED = '2026-11-21T12:00:00Z [info] paired node=evil {"event": "paired"}'
HOSTILE = [
    f"x\n{FORGED}",
    f"x\r{FORGED}",
    f"x\r\n{FORGED}",
    f"x\u2028{FORGED}",
    f"x\u0085{FORGED}",
    f"x\x0b\x0c\x1c{FORGED}",
    "x\x1b[2K\x1b[1A\x1b]0;title\x07",
    "x\u202egpj.exe",
    "x\x00\x7f\ufeff\U000e0041",
    'x","event":"paired","y":"',
]
Form = str


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


class Unprintable:
    """A peer's object, whose text is an error."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no text")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Gives the libraries' loggers back as they were."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before


def written(form: Form, **fields: object) -> str:
    stream = io.StringIO()
    make_log("debug", "json" if form == "json" else "console", stream).info("happened", **fields)
    return stream.getvalue()


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def failed(form: Form, message: str) -> str:
    stream = io.StringIO()
    log = make_log("debug", "json" if form == "json" else "console", stream)
    try:
        raise ValueError(message)
    except ValueError:
        log.exception("task-failed", task="t")
    return stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
class TestHostileText:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_it_cannot_make_a_second_line_or_move_the_cursor(self, form: Form, text: str) -> None:
        for value in (text, [text], (text,), {text}, {"k": text}, {text: 1}, [[text]]):
            out = written(form, name=value)
            assert out.count("\n") == len(out.splitlines()) == 1
            assert all(character.isprintable() for character in without_colours(out).rstrip("\n"))

    @pytest.mark.parametrize("text", HOSTILE)
    def test_as_an_event_neither(self, form: Form, text: str) -> None:
        stream = io.StringIO()
        make_log("debug", "json" if form == "json" else "console", stream).info(text)
        assert len(stream.getvalue().splitlines()) == 1

    @pytest.mark.parametrize("text", HOSTILE)
    def test_in_an_exception_it_cannot_pass_for_an_entry(self, form: Form, text: str) -> None:
        first, *rest = without_colours(failed(form, text)).split("\n")
        assert "task-failed" in first
        assert all(line.startswith("  ") for line in rest if line)
        assert all(line.isprintable() for line in (first, *rest))

    def test_the_length_is_bounded(self, form: Form) -> None:
        assert len(written(form, name="x" * 1_000_000)) < MAX_TEXT_CHARS + 300
        assert len(written(form, name="\x00" * 1_000_000)) < MAX_TEXT_CHARS * 11 + 300
        many = [f"{number}" + "y" * 10_000 for number in range(10_000)]
        assert len(written(form, names=many)) < MAX_ELEMENTS * (MAX_TEXT_CHARS + 20) + 300
        assert len(written(form, names={text: text for text in many})) < MAX_ELEMENTS * (2 * MAX_TEXT_CHARS + 20) + 300
        assert len(failed(form, "z" * 1_000_000)) < MAX_TRACEBACK_CHARS * 1.2 + 300

    def test_an_honest_text_stays(self, form: Form) -> None:
        out = written(form, name="Анна", count=5)
        assert ("Анна" if form == "console" else "\\u0410") in out
        assert "5" in out


class TestJson:
    @given(fields=st.dictionaries(st.sampled_from(["a", "b", "name"]), st.one_of(st.text(), st.lists(st.text()))))
    def test_every_line_parses_and_says_when_and_how_bad(self, fields: dict[str, object]) -> None:
        out = written("json", **fields)
        entry = json.loads(out)
        assert out.endswith("\n")
        assert (entry["event"], entry["level"]) == ("happened", "info")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", entry["timestamp"])
        assert entry.keys() == {"event", "level", "timestamp", *fields}

    def test_a_traceback_is_one_member(self) -> None:
        entry = json.loads(failed("json", "why"))
        assert entry["exception"].splitlines()[-1] == "  ValueError: why"

    def test_what_was_bound_is_in_every_line(self) -> None:
        stream = io.StringIO()
        make_log("info", "json", stream).bind(node="ab").info("one")
        assert json.loads(stream.getvalue())["node"] == "ab"


class TestForm:
    @pytest.mark.parametrize(("stream", "is_json"), [(io.StringIO(), True), (Terminal(), False)])
    def test_auto_is_json_unless_a_person_looks(self, stream: io.StringIO, is_json: bool) -> None:
        make_log("info", "auto", stream).info("one")
        assert stream.getvalue().startswith("{") == is_json

    @pytest.mark.parametrize(
        ("level", "said"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)], ids=lambda value: str(value)
    )
    def test_what_is_below_the_level_is_not_said(self, level: str, said: int) -> None:
        stream = io.StringIO()
        log = make_log(level, "json", stream)
        for say in (log.debug, log.info, log.warning, log.error):
            say("one")
        assert len(stream.getvalue().splitlines()) == said

    def test_standard_error_is_the_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        make_log("info", "json").info("one")
        assert json.loads(capsys.readouterr().err)["event"] == "one"

    def test_the_silent_log_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        silent_log().bind(a=1).error("one", b=2)
        captured = capsys.readouterr()
        assert captured.err + captured.out == ""


class TestLibraries:
    @pytest.mark.parametrize("text", HOSTILE)
    @pytest.mark.parametrize("name", ["asyncio", "websockets.client", "zeroconf", "aiohttp.client", "no.such.library"])
    def test_what_they_say_is_one_bounded_entry(self, name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        make_log("info", "json")
        logging.getLogger(name).warning("a peer said %r and %s", text, text + "x" * 100_000)
        (line,) = capsys.readouterr().err.splitlines()
        assert len(line) < MAX_TEXT_CHARS * 11 + 300
        entry = json.loads(line)
        assert (entry["event"], entry["level"], entry["logger"]) == ("library", "warning", name)
        assert entry["said"].startswith("a peer said ")

    @pytest.mark.parametrize("name", ["aiohttp.websocket", "aiohttp.access"])
    def test_what_only_tells_of_peers_is_for_debugging(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        make_log("info", "json")
        logging.getLogger(name).error("a stranger did something")
        assert capsys.readouterr().err == ""
        make_log("debug", "json")
        logging.getLogger(name).error("a stranger did something")
        assert json.loads(capsys.readouterr().err)["level"] == "debug"

    def test_a_failure_has_its_traceback_in_the_same_entry(self, capsys: pytest.CaptureFixture[str]) -> None:
        make_log("info", "json")
        try:
            raise ValueError("why\nforged")
        except ValueError:
            logging.getLogger("asyncio").exception("task failed")
        (line,) = capsys.readouterr().err.splitlines()
        assert "ValueError: why" in json.loads(line)["exception"]

    @pytest.mark.parametrize(("fault", "level"), [(BadHttpMessage("no HTTP"), "debug"), (ValueError("ours"), "error")])
    def test_a_request_that_is_none_is_the_peer_s_fault_and_any_other_is_ours(
        self, fault: Exception, level: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make_log("debug", "json")
        logging.getLogger("aiohttp.server").error("Error handling request", exc_info=fault)
        entry = json.loads(capsys.readouterr().err)
        assert (entry["level"], type(fault).__name__ in entry["exception"]) == (level, True)

    @pytest.mark.parametrize(
        ("said", "args"),
        [("%d bytes\n", ("many",)), ("%(size)d\n", ({"count": 1},)), ("%c\n", (-1,)), ("%s\n", (Unprintable(),))],
        ids=["type", "name", "number", "object"],
    )
    def test_a_record_that_cannot_be_formatted_is_an_entry_as_well(self, said: str, args: tuple[object, ...]) -> None:
        stream = io.StringIO()
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, said, args, None)
        LibraryHandler(make_log("info", "json", stream)).emit(record)
        assert json.loads(stream.getvalue())["said"] == said.replace("\n", "\\n")

    def test_a_second_log_takes_the_first_one_s_place(self, capsys: pytest.CaptureFixture[str]) -> None:
        make_log("info", "json")
        make_log("info", "json")
        logging.getLogger("asyncio").warning("once")
        assert len(capsys.readouterr().err.splitlines()) == 1

    def test_a_log_to_a_stream_leaves_the_libraries_alone(self) -> None:
        make_log("info", "json", io.StringIO())
        assert not [one for one in logging.getLogger().handlers if isinstance(one, LibraryHandler)]

    def test_a_log_that_cannot_be_written_disturbs_nobody(self) -> None:
        stream = io.StringIO()
        handler = LibraryHandler(make_log("info", "json", stream))
        stream.close()
        handler.emit(logging.makeLogRecord({"name": "asyncio", "msg": "late", "levelno": logging.ERROR}))


class TestTap:
    def test_it_hears_all_from_info_up_in_full_whatever_the_log_shows(self) -> None:
        """Red when the tap stands behind the level, or behind what shortens ids."""
        heard: list[tuple[str, object]] = []
        stream = io.StringIO()
        log = make_log("error", "json", stream, tap=lambda event, fields: heard.append((event, fields.get("node"))))
        bound = log.bind(node="ab" * 32)
        bound.info("joined")
        bound.warning("penalised")
        bound.debug("ping")
        bound.error("failed")
        assert heard == [("joined", "ab" * 32), ("penalised", "ab" * 32), ("failed", "ab" * 32)]
        (line,) = stream.getvalue().splitlines()
        assert json.loads(line)["node"] == "abababab"

    def test_it_hears_the_same_at_level_debug(self) -> None:
        """Red when the audit log says more because somebody looks for a fault."""
        heard: list[str] = []
        log = make_log("debug", "json", io.StringIO(), tap=lambda event, _: heard.append(event))
        log.debug("connect-refused")
        log.info("joined")
        assert heard == ["joined"]

    def test_without_one_the_level_decides_alone(self) -> None:
        stream = io.StringIO()
        log = make_log("warning", "json", stream)
        log.info("joined")
        log.info("refused", unsaid=True)
        assert stream.getvalue() == ""


class TestUnsaid:
    """What a peer does over and over is heard by the tap each time and written as often as the caller says."""

    @pytest.mark.parametrize(("level", "lines"), [("info", ["info"]), ("debug", ["info", "debug"]), ("error", [])])
    def test_the_tap_hears_it_and_the_log_has_it_at_level_debug(self, level: str, lines: list[str]) -> None:
        """Red when it is dropped before the tap, or written at its own level."""
        out, heard = io.StringIO(), list[tuple[str, object]]()
        log = make_log(level, "json", out, tap=lambda event, fields: heard.append((event, fields.get("why"))))
        log.info("refused", why="x")
        log.info("refused", why="y", unsaid=True)
        assert heard == [("refused", "x"), ("refused", "y")]
        written = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [line["level"] for line in written] == lines
        assert not any("unsaid" in line for line in written)
