"""A store that is missing is new only when nothing tells that nodes were paired; every refusal tells a way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.pairing.records import StoreFile
from bridge.pairing.store import FILE_NAME, NodeStore, StoreError, open_store
from tests.bridge.pairing.samples import record
from tests.support.files import follow, lay

STORED = StoreFile(nodes=(record(1),)).model_dump_json(by_alias=True).encode()


def test_the_very_first_start_writes_an_empty_store(home: Path) -> None:
    assert dict(open_store(home, was_used=False).nodes) == {}
    assert json.loads((home / FILE_NAME).read_text())["nodes"] == []
    assert (home / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert dict(open_store(home, was_used=True).nodes) == {}


def test_a_store_that_is_there_is_opened_and_left_as_it_is(home: Path) -> None:
    file = lay(home / FILE_NAME, STORED)
    assert len(open_store(home, was_used=True).nodes) == 1
    assert file.read_bytes() == STORED


def test_a_lost_store_is_refused_and_the_line_that_it_tells_starts_empty(home: Path) -> None:
    """Guard out (`was_used` not looked at): the bridge starts with no node and without a word."""
    with pytest.raises(StoreError, match="is missing, and keys of paired nodes are there") as refused:
        open_store(home, was_used=True)
    assert not (home / FILE_NAME).exists()
    follow(str(refused.value))
    assert dict(open_store(home, was_used=True).nodes) == {}


@pytest.mark.parametrize("content", [b"not json", json.dumps({"version": 99, "nodes": []}).encode()])
def test_the_line_that_a_refusal_tells_starts_empty_and_keeps_the_file(home: Path, content: bytes) -> None:
    file = lay(home / FILE_NAME, content)
    with pytest.raises(StoreError) as refused:
        open_store(home, was_used=True)
    follow(str(refused.value))
    assert dict(open_store(home, was_used=True).nodes) == {}
    assert file.with_name(f"{FILE_NAME}.bad").read_bytes() == content


def test_another_version_says_what_wrote_it(home: Path) -> None:
    lay(home / FILE_NAME, json.dumps({"version": 99, "nodes": []}).encode())
    with pytest.raises(StoreError, match="version 99") as refused:
        NodeStore(home)
    assert "Install that clawdis-bridge again" in str(refused.value)


def test_a_dangling_link_is_no_first_start(home: Path, tmp_path: Path) -> None:
    (home / FILE_NAME).symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="symbolic link"):
        open_store(home, was_used=False)
