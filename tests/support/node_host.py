"""The real node host, `openclaw node run ...`, isolated like the real gateway."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.openclaw import Program
from tests.support.waiting import eventually


class NodeHost:
    """`openclaw node run ARGUMENTS` as an async context manager; HOME and state live as long as the object.

    A second `start` after `stop` is the same node coming back: same key, same stored tokens.
    """

    def __init__(self, *arguments: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self.arguments = arguments
        self._env = dict(env or {})
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="clawdis-node-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._program = Program(self.folder, "node.log")

    @property
    def state_dir(self) -> Path:
        """The node host's `OPENCLAW_STATE_DIR`."""
        return self.folder / "state"

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._program.running

    @property
    def returncode(self) -> int | None:
        """Exit status (negative: a signal), None while it runs."""
        return self._program.returncode

    def output(self) -> str:
        """Return its standard output and error so far, over all starts."""
        return self._program.log_text()

    def start(self, *arguments: str) -> None:
        """Start it with `arguments`, or with those of the constructor when none are given."""
        if arguments:
            self.arguments = arguments
        self._program.start(["node", "run", *self.arguments], extra_env=self._env)

    async def wait_for(self, text: str, *, timeout_s: float = 60.0) -> str:
        """Wait until `text` is in the output, and return the output.

        Raises:
            TimeoutError: it did not appear within `timeout_s` seconds.
        """
        try:
            return await eventually(lambda: self.output() if text in self.output() else "", timeout_s=timeout_s)
        except TimeoutError:
            raise TimeoutError(f"node host never said {text!r}:\n{self.output()[-4000:]}") from None

    async def wait_ended(self, *, timeout_s: float = 60.0) -> int:
        """Wait until the process ends by itself, and return its exit status."""
        await eventually(lambda: not self.running, timeout_s=timeout_s, what="end of the node host")
        return self.returncode or 0

    async def stop(self) -> None:
        """End it by SIGTERM, after 20 s by SIGKILL. May be called twice."""
        await self._program.stop()

    async def close(self) -> None:
        """Stop, and remove the folder if it is the object's own."""
        await self.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
