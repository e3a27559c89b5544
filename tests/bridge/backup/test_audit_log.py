"""A backup holds no audit log: after a restore a new one begins, and the former home keeps its own, which verifies."""

from __future__ import annotations

from pathlib import Path

from bridge.backup.collect import collect
from bridge.backup.restore import restore
from tests.bridge.audit.logs import Log
from tests.bridge.backup.homes import archive_of, make_home
from tests.bridge.pairing.samples import NOON, record


def test_after_a_restore_a_new_log_begins(home: Path, tmp_path: Path) -> None:
    """Red without `forget_head`: the restored database would miss the log of the other machine."""
    make_home(tmp_path / "old", record(1))
    Log(tmp_path / "old").write(5)
    members = collect(tmp_path / "old").members
    assert not [name for name in members if "audit" in name]
    restore(home, archive_of(members), replace=False, now=NOON)
    restored = Log(home)
    assert restored.verify().events == 0
    assert restored.verify().broken is None
    restored.write(3)
    assert restored.verify().broken is None
    assert restored.lines()[0].startswith(b'{"seq":1,')
    assert "gap" not in restored.events()


def test_the_home_that_is_put_aside_keeps_its_log(home: Path, tmp_path: Path) -> None:
    make_home(home, record(1))
    Log(home).write(5)
    make_home(tmp_path / "old", record(1))
    members = collect(tmp_path / "old").members
    aside = restore(home, archive_of(members), replace=True, now=NOON).kept_aside
    assert aside is not None
    verdict = Log(aside).verify()
    assert verdict.broken is None
    assert verdict.events > 5
    assert Log(home).verify().events == 0
