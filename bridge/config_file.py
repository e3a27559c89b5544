"""Where the configuration and the state live on this machine, and the reading of the file."""

import sys
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from bridge.config import Config, ConfigError, ConfigProblem, parse_config

HOME_VARIABLE = "CLAWDIS_BRIDGE_HOME"
CONFIG_NAME = "bridge.toml"
MAX_CONFIG_BYTES = 262144  # a hand-written file has a few hundred; more is a mistake


def load_config(path: Path | None) -> Config:
    """The configuration in the file `path`; the defaults when `path` is None or no file is there.

    Raises:
        ConfigError: the file cannot be read, or its content is wrong: file, key, reason and what to do.
    """
    if path is None:
        return Config()
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        why = f"it cannot be read ({error.strerror or type(error).__name__})"
        raise _unreadable(path, why, f"See: ls -l '{path}'") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise _unreadable(path, f"it is longer than {MAX_CONFIG_BYTES} bytes", "Name the right file.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is not UTF-8", "Save it again as UTF-8.") from error
    return parse_config(text, file=str(path))


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


def _unreadable(path: Path, why: str, mend: str) -> ConfigError:
    return ConfigError(str(path), [ConfigProblem("", why, mend)])
