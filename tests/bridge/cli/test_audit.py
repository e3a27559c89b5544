"""`audit tail` and `audit verify`: with the daemon down, safe on a terminal, and clear about what is wrong."""

from __future__ import annotations

import json
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from bridge.audit.entry import Draft, Entry
from bridge.audit.files import ACTIVE
from bridge.audit.reading import Wanted, follow, newest
from bridge.cli.audit import _print_all
from tests.bridge.audit.logs import TS, Log
from tests.bridge.cli.program import ROOT, Program, command_line, in_pipe, on_terminal

NODE = "ab12cd34ef567890" * 4


@pytest.fixture
def log(program: Program) -> Log:
    program.home.mkdir(exist_ok=True)
    program.home.chmod(0o700)
    return Log(program.home, file_bytes=2_000)


def written(log: Log, *drafts: Draft) -> None:
    journal = log.journal()
    journal.append(drafts)
    journal.close()


def about(event: str, kind: str = "connect", **fields: str | int | bool) -> Draft:
    return Draft(TS, kind, event, {"node": NODE, **fields})


def test_tail_prints_the_newest_one_per_line(program: Program, log: Log) -> None:
    written(log, *(about(f"e{n}", address="10.0.0.7") for n in range(50)))
    assert len(log.files) == 1
    written(log, about("last", "invoke", command="screen.show", ok=True, bytes=12, ms=5))
    result = program("audit", "tail", "-n", "3")
    assert result.status == 0
    lines = result.out.splitlines()
    assert len(lines) == 3
    assert "last" in lines[-1]
    assert "node=ab12cd34ef56  command=screen.show  ok=yes" in lines[-1]
    assert NODE not in result.out


def test_tail_reaches_over_files(program: Program, log: Log) -> None:
    for number in range(30):
        written(log, about(f"e{number}"))
    assert len(log.files) > 3
    result = program("audit", "tail", "-n", "30", "--kind", "connect", "--json")
    assert [json.loads(line)["event"] for line in result.out.splitlines()] == [f"e{n}" for n in range(30)]


def test_tail_chooses_by_node_and_kind(program: Program, log: Log) -> None:
    written(log, about("mine"), Draft(TS, "connect", "other", {"node": "ff" * 32}), Draft(TS, "deny", "none", {}))
    assert "mine" in program("audit", "tail", "--node", "ab12").out
    assert "other" not in program("audit", "tail", "--node", "ab12").out
    assert "none" not in program("audit", "tail", "--node", "ab12").out
    assert "none" in program("audit", "tail", "--kind", "deny").out
    unknown = program("audit", "tail", "--kind", "denied")
    assert unknown.status == 2
    assert "There is no kind 'denied'" in unknown.err
    assert "deny" in unknown.err


def test_tail_as_json_is_the_entry_itself(program: Program, log: Log) -> None:
    written(log, about("joined", role="node"))
    line = program("audit", "tail", "-n", "1", "--json").out
    assert line.encode() == log.lines()[-1]


def test_nothing_written_yet_is_said_and_no_failure(program: Program) -> None:
    result = program("audit", "tail")
    assert result.status == 0
    assert "clawdis-bridge --home" in result.out
    assert program("audit", "tail", "--json").out == ""
    result = program("audit", "verify")
    assert result.status == 0
    assert "Nothing has been written" in result.out
    assert json.loads(program("audit", "verify", "--json").out)["ok"] is True


def test_verify_says_that_all_is_well(program: Program, log: Log) -> None:
    log.write(20)
    result = program("audit", "verify")
    assert (result.status, result.err) == (0, "")
    assert "is as it was written" in result.out
    document = json.loads(program("audit", "verify", "--json").out)
    assert document["ok"] is True
    assert document["events"] == len(log.lines())
    assert document["hash"] == json.loads(log.lines()[-1])["hash"]
    assert "brokenAt" not in document


def test_verify_says_what_is_wrong_where_and_what_to_do(program: Program, log: Log) -> None:
    log.write(40)
    victim = log.files[1]
    content = victim.read_bytes()
    victim.write_bytes(content.replace(b'"joined"', b'"left"', 1))
    number = next(n for n, line in enumerate(log.lines(), 1) if b'"left"' in line)
    result = program("audit", "verify")
    assert result.status == 1
    assert "is not as it was written" in result.out
    assert "The entry was changed after it was written." in " ".join(result.out.split())
    assert victim.name in result.out
    assert "cp -a" in result.out
    assert f"audit verify --from {number + 1}" in result.out
    document = json.loads(program("audit", "verify", "--json").out)
    assert (document["ok"], document["brokenAt"], document["why"]) == (False, number, "changed")
    assert document["file"] == str(victim)
    after = program("audit", "verify", "--from", str(number + 2))
    assert after.status == 0, "what came after is whole"


def test_verify_vouches_for_nothing_that_it_did_not_look_at(program: Program, log: Log) -> None:
    """Red when a number beyond the end is a success: a script with a slip in it would never fail."""
    log.write(10)
    result = program("audit", "verify", "--from", "900")
    assert result.status == 1
    assert "There is no entry with number 900" in result.err
    assert program("audit", "verify", "--from", "5").status == 0


def test_what_peers_wrote_cannot_play_with_the_terminal(program: Program, log: Log) -> None:
    """Whoever can write into the file can put anything there; red when a line is shown as it is."""
    written(log, about("joined"))
    with (log.folder / ACTIVE).open("ab") as file:
        file.write(b'\x1b[2J\x1b]0;evil\x07 {"seq":1}\xff\n')
    for arguments in (("audit", "tail"), ("audit", "tail", "--json")):
        result = program(*arguments)
        assert "\x1b" not in result.out
        assert "\x07" not in result.out
        assert "damaged" in result.out
    status, shown = on_terminal(["--home", str(program.home), "audit", "tail"])
    assert status == 0
    assert "\x1b[2J" not in shown
    assert "\x1b[" in shown, "the colours are ours"


def test_a_reader_that_leaves_is_no_fault(log: Log) -> None:
    written(log, *(about("joined", number=n) for n in range(1500)))
    with subprocess.Popen(
        command_line("--home", str(log.home), "audit", "tail", "-n", "1500"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(20)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_tail_follows_over_the_end_of_files_while_they_are_written(log: Log) -> None:
    written(log, about("before"))
    with subprocess.Popen(
        command_line("--home", str(log.home), "audit", "tail", "-f", "-n", "1", "--json"),
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert "before" in process.stdout.readline()
        journal = log.journal()
        seen: list[str] = []
        for number in range(12):
            journal.append([about(f"n{number}")])
            while not seen or seen[-1] != f"n{number}":
                seen.append(json.loads(process.stdout.readline())["event"])
        journal.close()
        process.terminate()
    assert [event for event in seen if event.startswith("n")] == [f"n{n}" for n in range(12)]
    assert len(log.files) > 1
    assert log.verify().broken is None


def test_what_is_written_while_the_newest_are_printed_is_followed_too(log: Log) -> None:
    """Red when the end of the file is looked for only when the first new entry is asked for."""
    written(log, about("before"))
    later = follow(log.folder, Wanted())
    written(log, about("between"))
    seen = [each.draft.event for each in islice(later, 2) if isinstance(each, Entry)]
    assert "between" in seen


def test_what_is_printed_and_followed_is_printed_once(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    written(log, about("one"), about("two"))
    first = list(newest(log.folder, 10, Wanted()))
    _print_all(iter(first[:-1]), iter([*first[-2:], None]), as_json=True)
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events[-2:] == ["one", "two"]
    assert events.count("one") == 1


def test_help_names_what_there_is(program: Program) -> None:
    result = in_pipe("--home", str(program.home), "audit", "--help")
    assert b"tail" in result.stdout
    assert b"verify" in result.stdout
    assert Path(ROOT).exists()
