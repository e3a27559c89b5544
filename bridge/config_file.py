"""Where the configuration and the state live on this machine, and the reading of the file."""

import sys
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from bridge.config import Config, parse_config
from bridge.toml_file import read_text

HOME_VARIABLE = "CLAWDIS_BRIDGE_HOME"
CONFIG_NAME = "bridge.toml"


def load_config(path: Path | None) -> Config:
    """The configuration in the file `path`; the defaults when `path` is None or no file is there.

    Raises:
        ConfigError: the file cannot be read, or its content is wrong: file, key, reason and what to do.
    """
    if path is None:
        return Config()
    text = read_text(path)
    return Config() if text is None else parse_config(text, file=str(path))


def home_folder(override: str | None, environ: Mapping[str, str]) -> Path:
    """The absolute path of the folder that holds the bridge's state; it is not made here.

    Args:
        override: what the command line says; None or empty: nothing.
        environ: the environment; `CLAWDIS_BRIDGE_HOME` comes after the command line, then the system's place:
            `~/Library/Application Support/Clawdis/bridge` on macOS, else `clawdis/bridge` below the XDG state
            directory (`XDG_STATE_HOME`, if it is absolute).
    """
    chosen = override or environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return platformdirs.user_data_path("Clawdis") / "bridge"
    state = environ.get("XDG_STATE_HOME", "")
    base = Path(state) if Path(state).is_absolute() else Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return base / "clawdis" / "bridge"
