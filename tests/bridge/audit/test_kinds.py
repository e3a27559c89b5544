"""The table of events: whatever the daemon says has a place in it, so that nothing is forgotten without a decision."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from bridge.audit.kinds import DIRECT, FROM_LOG, KINDS, NOT_AUDITED

ROOT = Path(__file__).resolve().parents[3]
OUTSIDE = ("bridge/demo/", "bridge/cli/", "bridge/node/")  # they have no audit log
HANDED_ON = {"bridge/hub.py: <event>", "bridge/lan/listener.py: <event>", "bridge/lan/stand_in.py: <name>"}
"""Where a name is said that somebody else has given: there it is a literal."""
LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})


def said(text: str) -> Iterator[str]:
    """Yield the names of all events that a module says: `Note("x")`, `log.info("x")`, `self._note("x")`.

    A variable in the place of the name is given as `<variable>`.
    """
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name, first = node.func, node.args[0]
        is_note = isinstance(name, ast.Name) and name.id in {"Note", "note"}
        is_log = isinstance(name, ast.Attribute) and name.attr in LEVELS and "log" in ast.unparse(name.value)
        if is_note or is_log or (isinstance(name, ast.Attribute) and name.attr in {"note", "_note"}):
            either = (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,)
            known = [str(each.value) for each in either if isinstance(each, ast.Constant)]
            yield from known or ([f"<{ast.unparse(first)}>"] if is_note or is_log else [])


def sources() -> Iterator[tuple[str, str]]:
    """Yield path and text of every module of the daemon."""
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        short = path.relative_to(ROOT).as_posix()
        if not short.startswith(OUTSIDE):
            yield short, path.read_text()


def test_every_event_is_audited_or_left_out_on_purpose() -> None:
    """Red for every new name: put it into FROM_LOG with the fields that may be kept, or into NOT_AUDITED."""
    placed = FROM_LOG.keys() | DIRECT.keys() | NOT_AUDITED
    missing = {f"{path}: {name}" for path, text in sources() for name in said(text) if name not in placed}
    assert missing == HANDED_ON


def test_the_reader_of_the_source_finds_each_form() -> None:
    text = 'Note("a", {})\nself._log.info("b", x=1)\nlog.warning("c")\nself._hub.note("d")\nnote("e")\nother("f")\n'
    assert list(said(text)) == ["a", "b", "c", "d", "e"]
    assert list(said('self._note("g")\nNote("h" if x != "y" else "i")\nlog.info(j)')) == ["g", "h", "i", "<j>"]


def test_no_name_has_two_places_and_every_kind_is_known() -> None:
    assert not FROM_LOG.keys() & DIRECT.keys()
    assert not (FROM_LOG.keys() | DIRECT.keys()) & NOT_AUDITED
    assert {kept.kind for kept in [*FROM_LOG.values(), *DIRECT.values()]} <= set(KINDS)


def test_what_decides_about_keys_is_never_counted_together() -> None:
    lasting = ("approved", "permissions-widened", "token-issued", "code-made", "certificate-given", "key-change")
    assert {DIRECT[name].free for name in lasting} == {None}
    assert FROM_LOG["revoked"].free is None
