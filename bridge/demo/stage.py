"""Sets the demo up and takes it down: a temporary home, the bridge's process, the operator who talks to the agent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bridge.control.client import ControlClient
from bridge.control.documents import PendingRequest, Status
from bridge.demo.gateway import GatewaySetup
from bridge.errors import BridgeError
from gateway_client.connection import GatewayConnection
from gateway_client.protocol import ConnectProfile, Credentials

START_S = 15.0  # seconds for the bridge to answer after it was started
COMMAND_S = 15.0  # seconds for one command line
STOP_S = 5.0  # seconds for the bridge to end
STEP_S = 0.05  # seconds between two looks at a state
LOG_LINES = 3  # of the bridge's log that an error repeats

T = TypeVar("T")


class StageError(Exception):
    """The demo's own parts did not do as they should; the text says which and how."""


class BridgeProcess:
    """The real daemon in a folder of its own, and its command line.

    Args:
        home: an empty private folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.client = ControlClient(home / "bridge.sock", timeout_s=COMMAND_S)
        """Asks the daemon what the command line would."""
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, gateway_url: str, token: str) -> None:
        """Writes the configuration: loopback, any free ports, no announcements on the network."""
        secret = self.home / "gateway-token"
        _write(secret, token)
        lines = [
            "[listen]", 'hosts = ["127.0.0.1"]', "node_port = 0", "app_port = 0",
            "[gateway]", f"url = {json.dumps(gateway_url)}", 'token_source = "file"',
            f"token_file = {json.dumps(str(secret))}",
            "[discovery]", "enabled = false",
        ]  # fmt: skip
        _write(self.home / "bridge.toml", "\n".join(lines) + "\n")

    async def start(self) -> Status:
        """Starts the daemon and waits until it is connected to the gateway.

        Raises:
            StageError: it ended, or did not get there in time.
        """
        self._launch()
        status = await self.until(self._status, lambda found: found.gateway.state == "connected", START_S)
        if status is None:
            raise StageError(f"the bridge is not connected to the gateway after {START_S:g} s{self._last_words()}")
        return status

    def _launch(self) -> None:
        with (self.home / "bridge.log").open("ab") as log:
            self._process = subprocess.Popen(
                _command(self.home, "run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment()
            )

    def _status(self) -> Status | None:
        if self._process is not None and self._process.poll() is not None:
            raise StageError(f"the bridge ended with status {self._process.returncode}{self._last_words()}")
        try:
            return self.client.status()
        except BridgeError:
            return None

    def pending(self) -> PendingRequest | None:
        """Returns the pairing request that waits, if there is one."""
        found = self.client.pending()
        return found[0] if found else None

    async def until(
        self, look: Callable[[], T | None], fits: Callable[[T], bool] = lambda found: True, timeout_s: float = 5.0
    ) -> T | None:
        """Looks until something is there and fits; None when it never was."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while loop.time() < deadline:
            found = await asyncio.to_thread(look)
            if found is not None and fits(found):
                return found
            await asyncio.sleep(STEP_S)
        return None

    async def command(self, *arguments: str) -> str:
        """Runs `clawdis-bridge ARGUMENTS` as a person would, and returns what it printed.

        Raises:
            StageError: it failed, or took too long.
        """
        process = await asyncio.create_subprocess_exec(
            *_command(self.home, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise StageError(f"`{arguments[0]}` took more than {COMMAND_S:g} s") from None
        if process.returncode != 0:
            raise StageError(f"`{' '.join(arguments)}` failed: {err.decode(errors='replace').strip()}")
        return out.decode(errors="replace")

    async def stop(self) -> None:
        """Ends the daemon; harmless when it never ran."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    def _last_words(self) -> str:
        lines = (self.home / "bridge.log").read_text(errors="replace").splitlines()
        return "".join(f"\n             {line}" for line in lines[-LOG_LINES:])


async def tell_agent(gateway_url: str, setup: GatewaySetup, text: str, run_id: str) -> None:
    """Tells the agent something through the gateway's own protocol, and waits for the end of its turn.

    Raises:
        GatewayError: the gateway is not there or did not answer.
    """
    client = {"id": "gateway-client", "mode": "backend", "version": "0.1.0", "platform": sys.platform}
    profile = ConnectProfile(client=dict(client), role="operator", scopes=("operator.read", "operator.write"))
    connection = GatewayConnection(gateway_url, profile, Credentials("token", setup.token), None)
    async with connection as operator, asyncio.TaskGroup() as tasks:
        pump = tasks.create_task(operator.run(lambda event: None), name="demo-operator")
        message = {"message": text, "sessionKey": "main", "idempotencyKey": run_id}
        await operator.request("agent", dict(message), wait_s=COMMAND_S)
        pump.cancel()


def _command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "bridge", "--home", str(home), *arguments]


def _environment() -> dict[str, str]:
    """The environment without anything that points at the user's own bridge, gateway or keychain."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLAWDIS_", "OPENCLAW_"))}
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(item for item in (root, kept.get("PYTHONPATH", "")) if item)
    return {**kept, "PYTHONPATH": path, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
