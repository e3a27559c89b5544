"""The text of a file that a person writes: short, and UTF-8. What is in it is for `strict_toml` to judge."""

from __future__ import annotations

from pathlib import Path

from bridge.strict_toml import ConfigError, ConfigProblem

MAX_BYTES = 262_144  # a hand-written file has a few hundred; more is a mistake


def read_text(path: Path) -> str | None:
    """The text of the file; None: there is no such file.

    Raises:
        ConfigError: it cannot be read, is longer than `MAX_BYTES`, or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = f"it cannot be read ({error.strerror or type(error).__name__})"
        raise _unreadable(path, why, f"See: ls -l '{path}'") from error
    if len(data) > MAX_BYTES:
        raise _unreadable(path, f"it is longer than {MAX_BYTES} bytes", "Name the right file.")
    return decoded(path, data)


def decoded(path: Path, data: bytes) -> str:
    """The text that these bytes of a file are.

    Raises:
        ConfigError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is not UTF-8", "Save it again as UTF-8.") from error


def _unreadable(path: Path, why: str, mend: str) -> ConfigError:
    return ConfigError(str(path), [ConfigProblem("", why, mend)])
