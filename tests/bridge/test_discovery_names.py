"""The names phones know the bridge by: chosen once, kept, and refused when damaged."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.discovery_names import MAX_BYTES, NAMES_FILE, load_names
from certs.private_files import PrivateFileError
from certs.store import KeyFolder
from tests.support.files import lay


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_they_are_chosen_once_and_kept_under_another_bridge_name(home: Path) -> None:
    names = load_names(home, "Annas Mac")
    assert names.instance == "Annas Mac (Clawdis Bridge)"
    assert load_names(home, "Renamed") == names
    assert json.loads((home / NAMES_FILE).read_bytes()) == {"instance": names.instance, "host": names.host}
    assert stat.S_IMODE((home / NAMES_FILE).stat().st_mode) == 0o600


def test_two_bridges_of_one_name_have_two_hosts(home: Path) -> None:
    first = load_names(home, "Mac")
    (home / NAMES_FILE).unlink()
    assert load_names(home, "Mac").host != first.host


def test_a_bridge_that_has_an_identity_gets_no_new_names_and_is_told_the_old_ones(home: Path) -> None:
    names = load_names(home, "Mac")
    KeyFolder(home / "keys").load_or_create(names.host, now=datetime.now(UTC))
    (home / NAMES_FILE).unlink()
    with pytest.raises(PrivateFileError, match="clawdis-bridge restore") as refused:
        load_names(home, "Mac")
    assert not (home / NAMES_FILE).exists()
    document = refused.value.mend.partition("mode 0600: ")[2]
    lay(home / NAMES_FILE, document.encode())
    assert load_names(home, "Mac") == names, "what the message says to write is what was lost"


@pytest.mark.parametrize("trace", ["keys/bridge.pem", "keys/bridge.pin", "paired-nodes.json"])
def test_any_trace_of_an_earlier_start_is_enough(home: Path, trace: str) -> None:
    (home / "keys").mkdir(mode=0o700)
    (home / trace).touch(mode=0o600)
    with pytest.raises(PrivateFileError, match="it is gone"):
        load_names(home, "Mac")
    (home / trace).unlink()
    assert load_names(home, "Mac").instance == "Mac (Clawdis Bridge)"


def test_a_name_beyond_ascii_is_kept_as_it_is(home: Path) -> None:
    names = load_names(home, "Аннас Мак 安")
    assert load_names(home, "x") == names
    assert names.display_name == "Аннас Мак 安"


GOOD = {"instance": "Mac (Clawdis Bridge)", "host": "clawdis-bridge-0a1b2c3d.local"}
DAMAGED = {
    "empty": b"",
    "cut": json.dumps(GOOD).encode()[:-2],
    "a list": b"[]",
    "null": b"null",
    "a number": b"5",
    "not utf-8": b'{"instance":"\xff"}',
    "without host": json.dumps({"instance": GOOD["instance"]}).encode(),
    "without instance": json.dumps({"host": GOOD["host"]}).encode(),
    "another host": json.dumps({**GOOD, "host": "evil.local"}).encode(),
    "another instance": json.dumps({**GOOD, "instance": "Mac (OpenClaw)"}).encode(),
    "a hidden character": json.dumps({**GOOD, "instance": "Ma\u200bc (Clawdis Bridge)"}).encode(),
    "members of another kind": json.dumps({"instance": None, "host": 5}).encode(),
    "nested too deeply": b"[" * MAX_BYTES,
    "too long": json.dumps(GOOD).encode() + b" " * MAX_BYTES,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_and_left_as_it_is(home: Path, content: bytes) -> None:
    path = lay(home / NAMES_FILE, content)
    with pytest.raises(PrivateFileError, match=NAMES_FILE):
        load_names(home, "Mac")
    assert path.read_bytes() == content


def test_a_refusal_says_why_they_matter(home: Path) -> None:
    lay(home / NAMES_FILE, b"{}")
    with pytest.raises(PrivateFileError, match="backup: paired phones know the bridge by these names"):
        load_names(home, "Mac")


def test_a_file_that_others_can_open_and_a_link_are_refused(home: Path) -> None:
    path = lay(home / NAMES_FILE, json.dumps(GOOD).encode())
    path.chmod(0o644)
    with pytest.raises(PrivateFileError, match="other users"):
        load_names(home, "Mac")
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(PrivateFileError, match="symbolic link"):
        load_names(home, "Mac")


def test_a_folder_that_cannot_be_trusted_gets_no_names(home: Path) -> None:
    home.chmod(0o777)
    with pytest.raises(PrivateFileError):
        load_names(home, "Mac")
    assert list(home.iterdir()) == []
