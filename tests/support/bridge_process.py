"""The real bridge as a subprocess on loopback, with a home of its own; asked over its control socket."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from bridge.control.client import ControlClient
from bridge.control.documents import NodeDetail, NodeRow, PendingRequest, Status
from bridge.errors import BridgeError, UnknownId
from tests.support.waiting import eventually

T = TypeVar("T")
START_S = 20.0
WIDE_LIMITS = {
    "handshakes_per_minute": 10_000,
    "pairings_per_minute": 10_000,
    "sockets_per_address": 64,
    "sockets_unauthenticated": 128,
}
"""For tests in which all devices have one address."""
CONFIG = """
[bridge]
name = "Test Bridge"
[listen]
hosts = {hosts}
allow_public = {allow_public}
node_port = {node_port}
app_port = {app_port}
[gateway]
url = "{url}"
token_source = "{source}"
[auth]
require_mtls = {require_mtls}
[discovery]
enabled = {discovery}
[limits]
{limits}
[pairing]
{pairing}
[logging]
level = "{log_level}"
format = "json"
"""


@contextmanager
def _hearing_hangups() -> Iterator[None]:
    """A process started in the block hears SIGHUP as one of a service does, also when the tests run under nohup."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, former)


class BridgeProcess:
    """`python -m bridge run`. Home, ports and log live as long as the object, over restarts.

    Args:
        gateway_url: `ws://127.0.0.1:<port>`.
        token: the gateway's token; None: mode none.
        hosts: `listen.hosts`.
        discovery: whether it advertises itself.
        require_mtls: `auth.require_mtls`: there is no app port then.
        openclaw_config: OpenClaw's configuration, from which it then reads the gateway's secret.
        limits: keys of the table `limits`.
        pairing: keys of the table `pairing`, with values as TOML.
        ports: `listen.node_port` and `listen.app_port`; 0: a free one.
        log_level: `logging.level`.
    """

    def __init__(
        self,
        gateway_url: str,
        token: str | None,
        *,
        hosts: Sequence[str] = ("127.0.0.1",),
        discovery: bool = False,
        require_mtls: bool = False,
        openclaw_config: Path | None = None,
        limits: Mapping[str, int] = WIDE_LIMITS,
        pairing: Mapping[str, str] | None = None,
        ports: tuple[int, int] = (0, 0),
        log_level: str = "debug",
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="clawdis-bridge-"))  # short: a socket path has 104 bytes at most
        self.home = self._folder / "home"
        self._token = token
        self._openclaw_config = openclaw_config
        self._settings = {
            "url": gateway_url,
            "source": "openclaw" if openclaw_config else "none" if token is None else "env",
            "hosts": json.dumps(list(hosts)),
            "allow_public": str(bool({"0.0.0.0", "::"} & set(hosts))).lower(),
            "discovery": str(discovery).lower(),
            "require_mtls": str(require_mtls).lower(),
            "node_port": ports[0],
            "app_port": ports[1],
            "log_level": log_level,
            "limits": "\n".join(f"{name} = {value}" for name, value in limits.items()),
            "pairing": "\n".join(f"{name} = {value}" for name, value in (pairing or {}).items()),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.client = ControlClient(self.home / "bridge.sock", timeout_s=30.0)
        self.app_port = 0
        self.node_port = 0
        self.pin = ""

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    @property
    def url(self) -> str:
        """Where an app connects."""
        return f"wss://127.0.0.1:{self.app_port}"

    @property
    def log_path(self) -> Path:
        """What the daemon wrote, over all its starts."""
        return self._folder / "bridge.log"

    def log_lines(self) -> list[dict[str, Any]]:
        """The daemon's log, parsed; lines that are no JSON are left out."""
        lines = self.log_path.read_text().splitlines() if self.log_path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def start(self) -> Status:
        """Starts and waits until it answers; the ports stay the same at the next start."""
        self._spawn()
        status = await eventually(self._answers, timeout_s=START_S, what="bridge answers")
        self.app_port = next((one.port for one in status.listeners if one.name == "apps"), 0)
        self.node_port = next(one.port for one in status.listeners if one.name == "nodes")
        self._settings |= {one.name.removesuffix("s") + "_port": one.port for one in status.listeners}
        self.pin = status.pin
        return status

    def _spawn(self) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        (self.home / "bridge.toml").write_text(CONFIG.format(**self._settings))
        (self.home / "bridge.toml").chmod(0o600)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        if self._token is not None:
            environment["OPENCLAW_GATEWAY_TOKEN"] = self._token
        if self._openclaw_config is not None:
            environment["OPENCLAW_CONFIG_PATH"] = str(self._openclaw_config)
        with self.log_path.open("ab") as log, _hearing_hangups():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bridge", "run", "--home", str(self.home)],
                cwd=Path(__file__).parents[2],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def _answers(self) -> Status | None:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the bridge ended:\n{self.log_path.read_text()[-4000:]}")
        try:
            return await self.ask(self.client.status)
        except BridgeError:
            return None

    async def ask(self, question: Callable[[], T]) -> T:
        """Asks over the control socket, off the loop."""
        return await asyncio.to_thread(question)

    async def connected(self, timeout_s: float = 60.0) -> Status:
        """Waits until the bridge is connected to the gateway."""

        async def look() -> Status | None:
            status = await self.ask(self.client.status)
            return status if status.gateway.state == "connected" else None

        return await eventually(look, timeout_s=timeout_s, what="gateway connected")

    async def pending(self, count: int = 1) -> list[PendingRequest]:
        """Waits until so many pairing requests are pending."""

        async def look() -> list[PendingRequest] | None:
            found = await self.ask(self.client.pending)
            return found if len(found) >= count else None

        return await eventually(look, timeout_s=60.0, what=f"{count} pending")

    async def node_in(self, node_id: str, *states: str, timeout_s: float = 30.0) -> NodeRow:
        """Waits until a node is in one of these states."""

        async def look() -> NodeRow | None:
            rows = await self.ask(self.client.nodes)
            return next((row for row in rows if row.node_id == node_id and row.state in states), None)

        return await eventually(look, timeout_s=timeout_s, what=f"node {states}")

    async def settled(self, node_id: str, *commands: str, timeout_s: float = 30.0) -> NodeDetail:
        """Waits until the gateway lets these commands through to a node."""

        async def look() -> NodeDetail | None:
            try:
                detail = await self.ask(lambda: self.client.node(node_id))
            except UnknownId:
                return None
            return detail if detail.state != "offline" and set(commands) <= set(detail.effective_commands) else None

        return await eventually(look, timeout_s=timeout_s, what=f"{commands} effective")

    async def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the command line against this daemon."""
        return await asyncio.to_thread(self._run_cli, arguments)

    def _run_cli(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge", *arguments, "--home", str(self.home)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
        )

    async def stop(self) -> int:
        """Ends it in an orderly way; returns its exit status."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """Ends it as a crash would."""
        return await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, 20)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
