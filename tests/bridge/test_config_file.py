"""The configuration file and the folder of the state on this machine."""

import sys
from pathlib import Path

import pytest

from bridge.config import Config, ConfigError
from bridge.config_file import home_folder, load_config
from bridge.toml_file import MAX_BYTES


class TestLoad:
    def test_no_path_and_no_file_give_the_defaults(self, tmp_path: Path) -> None:
        assert load_config(None) == Config()
        assert load_config(tmp_path / "bridge.toml") == Config()

    def test_the_file_is_read_as_utf8(self, tmp_path: Path) -> None:
        file = tmp_path / "bridge.toml"
        file.write_bytes("[bridge]\nname = 'Büro'".encode())
        assert load_config(file).bridge.name == "Büro"

    def test_an_error_names_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "bridge.toml"
        file.write_text("[listen]\napp_prot = 1")
        with pytest.raises(ConfigError) as caught:
            load_config(file)
        assert str(caught.value) == f"{file}: listen.app_prot: there is no such key. Did you mean 'app_port'?"

    def test_a_file_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "bridge.toml"
        file.write_bytes(b"[bridge]\nname = '\xff'")
        with pytest.raises(ConfigError, match="byte 17 is not UTF-8"):
            load_config(file)

    def test_a_file_that_is_too_long_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "bridge.toml"
        file.write_bytes(b"#" * MAX_BYTES)
        assert load_config(file) == Config()
        file.write_bytes(b"#" * (MAX_BYTES + 1))
        with pytest.raises(ConfigError, match="longer than"):
            load_config(file)

    def test_what_is_no_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(tmp_path)

    def test_an_unreadable_file_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "bridge.toml"
        file.symlink_to(file)  # what not even root can open
        with pytest.raises(ConfigError, match="symbolic links"):
            load_config(file)


class TestHome:
    def test_the_command_line_comes_first(self, tmp_path: Path) -> None:
        environ = {"CLAWDIS_BRIDGE_HOME": "/elsewhere", "HOME": "/home/anna"}
        assert home_folder(str(tmp_path), environ) == tmp_path

    def test_then_the_environment(self) -> None:
        environ = {"CLAWDIS_BRIDGE_HOME": "/elsewhere", "XDG_STATE_HOME": "/state", "HOME": "/home/anna"}
        assert home_folder(None, environ) == Path("/elsewhere")
        assert home_folder("", environ) == Path("/elsewhere")

    def test_a_relative_choice_is_made_absolute(self) -> None:
        assert home_folder("state", {}) == Path.cwd() / "state"
        assert home_folder(None, {"CLAWDIS_BRIDGE_HOME": "state"}) == Path.cwd() / "state"

    def test_a_tilde_is_the_users_home(self) -> None:
        assert home_folder("~/bridge", {}) == Path.home() / "bridge"

    @pytest.mark.skipif(sys.platform == "darwin", reason="only on Linux: XDG folders")
    def test_on_linux_the_xdg_state_directory(self) -> None:
        home = {"HOME": "/home/anna"}
        default = Path("/home/anna/.local/state/clawdis/bridge")
        assert home_folder(None, home) == default
        assert home_folder(None, home | {"XDG_STATE_HOME": "/state"}) == Path("/state/clawdis/bridge")
        # The XDG specification: a relative path is to be ignored.
        assert home_folder(None, home | {"XDG_STATE_HOME": "state"}) == default
        assert home_folder(None, home | {"XDG_STATE_HOME": "", "CLAWDIS_BRIDGE_HOME": ""}) == default

    @pytest.mark.skipif(sys.platform != "darwin", reason="only on macOS")
    def test_on_macos_application_support(self) -> None:
        assert home_folder(None, {}) == Path.home() / "Library" / "Application Support" / "Clawdis" / "bridge"

    def test_nothing_is_made(self, tmp_path: Path) -> None:
        home_folder(str(tmp_path / "new"), {})
        assert list(tmp_path.iterdir()) == []
