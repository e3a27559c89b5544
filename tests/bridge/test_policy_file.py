"""The policy of a home: read when nobody else can have written it, else refused with what mends it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from acl.model import Policy
from acl.permissions import PROFILES, Permission
from bridge.policy_file import POLICY_NAME, PolicyInForce, check_policy, load_policy, profiles_of
from bridge.strict_toml import ConfigError
from bridge.toml_file import MAX_BYTES

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
KIOSK = '[profiles.kiosk]\npermissions = ["screen"]\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def write(home: Path, text: str, mode: int = 0o600) -> Path:
    path = home / POLICY_NAME
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(home: Path, default: str = "voice+screen") -> str:
    with pytest.raises(ConfigError) as told:
        load_policy(home, default, NOW)
    return str(told.value)


def test_without_a_file_the_built_in_policy_is_in_force(home: Path) -> None:
    assert load_policy(home, "voice", NOW) == PolicyInForce(Policy(), PROFILES["voice"], None, NOW)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444])
def test_a_file_that_only_its_owner_writes_is_read(home: Path, mode: int) -> None:
    path = write(home, KIOSK, mode)
    found = load_policy(home, "kiosk", NOW)
    assert (found.file, found.default) == (path, frozenset({Permission.SCREEN}))
    assert list(profiles_of(found.policy)) == [*PROFILES, "kiosk"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_could_have_written_is_refused(home: Path, mode: int) -> None:
    """Red when the file is read like an ordinary one."""
    path = write(home, KIOSK, mode)
    assert f"{path}: other users can write it" in refused(home)


def test_a_link_a_folder_and_a_pipe_are_refused(home: Path) -> None:
    elsewhere = home / "elsewhere.toml"
    elsewhere.write_text(KIOSK)
    path = home / POLICY_NAME
    path.symlink_to(elsewhere)
    assert "symbolic link" in refused(home)
    path.unlink()
    path.mkdir()
    assert "no regular file" in refused(home)
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert "no regular file" in refused(home)


def test_a_file_that_is_too_long_or_no_text_is_refused_before_it_is_parsed(home: Path) -> None:
    write(home, "#" * MAX_BYTES)
    assert load_policy(home, "voice", NOW).policy == Policy()
    write(home, "#" * (MAX_BYTES + 1))
    assert f"longer than {MAX_BYTES} bytes" in refused(home)
    (home / POLICY_NAME).write_bytes(b"\xff")
    assert "byte 0 is not UTF-8" in refused(home)


def test_the_default_profile_has_to_be_one_of_the_policy(home: Path) -> None:
    write(home, KIOSK)
    assert "pairing.default_profile: 'kiosc' is no profile. Did you mean 'kiosk'?" in refused(home, "kiosc")


def test_nothing_grants_system_by_default(home: Path) -> None:
    write(home, '[profiles.everything]\npermissions = ["system", "screen"]\n')
    assert "grants `system`" in refused(home, "everything")


def test_any_file_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "draft.toml"
    with pytest.raises(ConfigError, match="no such file"):
        check_policy(path)
    path.write_text(KIOSK)
    path.chmod(0o666)
    assert check_policy(path).profiles == {"kiosk": frozenset({Permission.SCREEN})}
    path.write_text("[agents]")
    with pytest.raises(ConfigError, match=r"draft.toml: agents: there is no such key. Did you mean 'agent'\?"):
        check_policy(path)
