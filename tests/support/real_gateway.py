"""The real gateway, isolated: own HOME, state, configuration, log and process group, on a free loopback port."""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

from tests.support.openclaw import Program, free_port
from tests.support.waiting import eventually

READY_S = 120.0
MODEL_ID = "scripted"


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayOptions:
    """What a test may choose about the gateway.

    Attributes:
        auth: how clients prove themselves; `token` and `password` use `RealGateway.token` as the secret.
        auto_approve_local: whether a first device from loopback is paired silently.
        nodes_commands_allow: `gateway.nodes.commands.allow`.
        model_base_url: `http://127.0.0.1:<port>/v1` of a `ModelServer`; None: agent turns fail.
        reload: whether the running gateway follows changes of its configuration file.
        extra: merged deeply over the configuration that results from the rest.
    """

    auth: Literal["token", "password", "none"] = "token"
    auto_approve_local: bool = True
    nodes_commands_allow: tuple[str, ...] = ()
    model_base_url: str | None = None
    reload: bool = False
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class RealGateway:
    """`openclaw gateway` as an async context manager. Port, token and state live as long as the object.

    Belongs to no event loop. A folder that was not given is removed by `close`.
    """

    def __init__(self, options: GatewayOptions | None = None, *, folder: Path | None = None) -> None:
        self.options = options or GatewayOptions()
        self.token = secrets.token_urlsafe(24)
        self.port = free_port()
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="clawdis-gateway-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._program = Program(self.folder, "gateway.log")

    @property
    def url(self) -> str:
        """WebSocket address, `ws://127.0.0.1:<port>`."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def state_dir(self) -> Path:
        """The gateway's `OPENCLAW_STATE_DIR`."""
        return self.folder / "state"

    @property
    def config_path(self) -> Path:
        """The gateway's `OPENCLAW_CONFIG_PATH`."""
        return self.folder / "openclaw.json"

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._program.running

    def log_text(self) -> str:
        """Return everything the gateway wrote to its console so far, over all starts."""
        return self._program.log_text()

    def configure(self, **changes: Any) -> None:
        """Change `options` by field name and write the configuration file; effective at the next start.

        With `reload=True` a running gateway takes the change at once.
        """
        self.options = dataclasses.replace(self.options, **changes)
        self._write_config()

    async def start(self, *, ready: bool = True) -> None:
        """Start and wait until `/readyz` answers 200; with `ready=False` return at once.

        Raises:
            ProcessEndedError: it ended while starting; the text holds its log.
            TimeoutError: not ready within 120 s.
        """
        self._write_config()
        self._program.start(["gateway", "--port", str(self.port)])
        if ready:
            await self.wait_ready()

    async def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until `/readyz` answers 200, at most `timeout_s` seconds."""
        limit = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=limit) as session:

            async def ready() -> bool:
                self._program.raise_if_ended()
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        return answer.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await eventually(ready, timeout_s=timeout_s, step_s=0.1, what="gateway ready")

    async def stop(self) -> None:
        """End it in an orderly way (SIGTERM); clients get `shutdown` and close 1012."""
        await self._program.stop()

    async def kill(self) -> None:
        """End it at once (SIGKILL): clients see a broken connection."""
        await self._program.kill()

    async def restart(self) -> None:
        """Stop and start on the same port and state, with the configuration as it is now."""
        await self.stop()
        await self.start()

    async def close(self) -> None:
        """Stop, and remove the folder if it is the object's own. May be called twice."""
        await self.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def config(self) -> dict[str, Any]:
        """Return the configuration that the current options give."""
        config: dict[str, Any] = {
            "gateway": {
                "mode": "local",
                "bind": "loopback",
                "port": self.port,
                "auth": self._auth(),
                "controlUi": {"enabled": False},
                "reload": {"mode": "hybrid" if self.options.reload else "off"},
                "nodes": {
                    "pairing": {"autoApproveLocal": self.options.auto_approve_local},
                    "commands": {"allow": list(self.options.nodes_commands_allow)},
                },
            },
            "discovery": {"mdns": {"mode": "off"}},
            "update": {"checkOnStart": False},
            "telemetry": {"enabled": False},
            "logging": {"file": str(self.folder / "openclaw.log")},
            "models": {"catalogRefresh": {"enabled": False}},
        }
        if self.options.model_base_url is not None:
            _merge(config, _model(self.options.model_base_url))
        _merge(config, self.options.extra)
        return config

    def _auth(self) -> dict[str, str]:
        mode = self.options.auth
        return {"mode": mode} if mode == "none" else {"mode": mode, mode: self.token}

    def _write_config(self) -> None:
        temporary = self.config_path.with_suffix(".new")
        temporary.write_text(json.dumps(self.config(), indent=1))
        temporary.chmod(0o600)
        temporary.replace(self.config_path)


def _model(base_url: str) -> dict[str, Any]:
    """Return the part of the configuration that sends agent turns to a chat-completions endpoint."""
    model = {
        "id": MODEL_ID,
        "name": "Scripted",
        "contextWindow": 128_000,
        "maxTokens": 8_192,
        "input": ["text"],
        "reasoning": True,  # a voice transcript asks for thinking; a model without it fails the turn
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
    }
    provider = {"baseUrl": base_url, "apiKey": "unused", "api": "openai-completions", "models": [model]}
    return {
        "models": {"providers": {"stub": provider}},
        "agents": {"defaults": {"model": {"primary": f"stub/{MODEL_ID}"}, "skipBootstrap": True}},
    }


def _merge(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    """Merge `source` into `target`, dictionaries deeply, everything else by replacement."""
    for key, value in source.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
