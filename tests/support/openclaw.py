"""Starting and ending a real `openclaw` process in a folder and a process group of its own.

Nothing here belongs to an event loop: one process may be used from many tests.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.gateway import install
from tests.support.waiting import eventually

STOP_S = 20.0
LOG_TAIL = 6000  # characters of the log that an error shows


class NotInstalledError(Exception):
    """The real gateway is not in the cache; `make test` installs it."""


class ProcessEndedError(Exception):
    """The process ended although it was expected to go on; the text carries the end of its log."""


def free_port() -> int:
    """Return a TCP port that was free on 127.0.0.1 a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(*arguments: str) -> list[str]:
    """Return the command line of `openclaw ARGUMENTS` of the installed package.

    Raises:
        NotInstalledError: there is no finished installation.
    """
    folder = install.installed()
    if folder is None:
        raise NotInstalledError("the real gateway is not installed; run `make test`")
    return [str(install.node_command()), str(folder / "node_modules" / "openclaw" / "openclaw.mjs"), *arguments]


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which `openclaw` reads and writes only below `folder`, without network of its own."""
    node = install.node_command().parent
    cache = install.cache_folder() / "compile-cache"
    return {
        "PATH": f"{node}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "OPENCLAW_STATE_DIR": str(folder / "state"),
        "OPENCLAW_CONFIG_PATH": str(folder / "openclaw.json"),
        "OPENCLAW_NO_RESPAWN": "1",
        "OPENCLAW_DISABLE_BONJOUR": "1",
        "OPENCLAW_NO_AUTO_UPDATE": "1",
        "NODE_COMPILE_CACHE": str(cache),
        "NO_COLOR": "1",
        **(extra or {}),
    }


class Program:
    """One `openclaw` process with its log file. `stop` and `kill` may be called at any time, and twice."""

    def __init__(self, folder: Path, log_name: str) -> None:
        self.folder = folder
        self.log_path = folder / log_name
        self._process: subprocess.Popen[bytes] | None = None
        self._group_ended = True

    @property
    def returncode(self) -> int | None:
        """Exit status of the process (negative: the signal that ended it), None while it runs or before it did."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, arguments: Sequence[str], *, extra_env: Mapping[str, str] | None = None) -> None:
        """Start `openclaw ARGUMENTS`; its output is appended to the log file."""
        if self.running:
            raise RuntimeError("already running")
        for name in ("home", "state", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command(*arguments),
                cwd=self.folder,
                env=environment(self.folder, extra_env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._group_ended = False

    def log_text(self) -> str:
        """Return everything the process wrote so far, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def raise_if_ended(self) -> None:
        """Do nothing while the process runs.

        Raises:
            ProcessEndedError: it ended, or was never started.
        """
        if not self.running:
            raise ProcessEndedError(f"ended with status {self.returncode}:\n{self.log_text()[-LOG_TAIL:]}")

    async def stop(self) -> None:
        """End the process by SIGTERM; after 20 s by SIGKILL. Its whole group is gone afterwards."""
        if self.running:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await self._ended()
        await self.kill()

    async def kill(self) -> None:
        """End the process and its group by SIGKILL."""
        if self._process is None or self._group_ended:
            return
        self._group_ended = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._ended()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _ended(self) -> None:
        await eventually(lambda: not self.running, timeout_s=STOP_S, what="end of the process")
