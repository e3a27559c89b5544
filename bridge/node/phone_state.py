"""Pure: what the simulated phone is, what it holds, and how it answers commands (mobile-clients §§3.5, 6, 7)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from bridge.node.simulated_screen import ScriptError, SimulatedScreen
from gateway_client.frames import Json, JsonObject, object_of, text_of
from gateway_client.protocol import ConnectProfile, Credentials

CommandHandler = Callable[[JsonObject], JsonObject]
"""From parameters to the result; raising `CommandError` fails the command."""

SCREEN_COMMANDS = (
    "screen.show", "screen.hide", "screen.navigate", "screen.eval", "screen.snapshot", "screen.setMode",
)  # fmt: skip
FOREGROUND_PREFIXES = ("camera.", "screen.", "talk.")
OPERATOR_SCOPES = ("operator.read", "operator.write", "operator.talk.secrets")


class CommandError(Exception):
    """A command failed on the phone.

    Attributes:
        code: the code that goes over the wire.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class PhoneSetup:
    """Which phone, and where its bridge is."""

    host: str
    port: int
    pin: str
    """SHA-256 hex of the bridge's certificate: what the user trusted, or the setup code said."""
    kind: Literal["ios", "android"] = "ios"
    """How it speaks: iOS sends binary frames and signs version 2, Android text and version 3."""
    name: str = "Anna's iPhone"
    commands: tuple[str, ...] = (*SCREEN_COMMANDS, "device.info", "device.status", "camera.snap", "location.get")
    caps: tuple[str, ...] = ("screen", "camera", "voiceWake", "location", "device", "talk")
    permissions: Mapping[str, bool] = field(default_factory=lambda: {"camera": True, "microphone": True})
    bootstrap_token: str | None = field(default=None, repr=False)
    """From a scanned setup code."""
    pairing_retry_s: float = 6.0
    """Seconds between two tries while an approval is awaited; the app's own pace is 6."""
    retry_unit_s: float = 0.5
    """Seconds before the first reconnect; each further one waits 1.7 times as long, up to 8."""
    background_grace_s: float = 25.0
    """Seconds in the background after which the app drops its sockets."""
    health_s: float = 15.0
    """Seconds between two health checks on the operator socket; three failures end both sockets."""

    @property
    def url(self) -> str:
        """Where the WebSockets are opened."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"wss://{host}:{self.port}"

    @property
    def payload_version(self) -> int:
        """Version of the signed payload."""
        return 2 if self.kind == "ios" else 3


@dataclass(slots=True)
class Tokens:
    """What the bridge issued; kept by the phone between connects."""

    node: str | None = field(default=None, repr=False)
    operator: str | None = field(default=None, repr=False)
    operator_scopes: tuple[str, ...] = OPERATOR_SCOPES
    bootstrap: str | None = field(default=None, repr=False)

    def node_credentials(self) -> Credentials:
        """Returns what the node socket presents: the setup code first, else its token, else nothing."""
        if self.bootstrap is not None:
            return Credentials("bootstrapToken", self.bootstrap)
        return Credentials("token", self.node) if self.node is not None else Credentials()

    def take_node_hello(self, hello: JsonObject) -> None:
        """Stores the tokens of a node's hello-ok; the operator's only come with a setup code."""
        auth = object_of(hello.get("auth"))
        self.node = text_of(auth, "deviceToken") or self.node
        if self.bootstrap is None:
            return
        listed = auth.get("deviceTokens")
        for entry in listed if isinstance(listed, list) else []:
            if object_of(entry).get("role") == "operator":
                self.operator = text_of(entry, "deviceToken")
                scopes = object_of(entry).get("scopes")
                self.operator_scopes = tuple(map(str, scopes)) if isinstance(scopes, list) else ()
        if self.node is not None and self.operator is not None:
            self.bootstrap = None


def node_profile(setup: PhoneSetup, instance_id: str) -> ConnectProfile:
    """Returns what the node socket says about the phone."""
    return ConnectProfile(
        client=_client(setup, instance_id, "node"),
        role="node",
        caps=setup.caps,
        commands=setup.commands,
        permissions=dict(setup.permissions),
        extra=_extra(setup),
        min_protocol=3,
    )


def operator_profile(setup: PhoneSetup, instance_id: str, scopes: tuple[str, ...]) -> ConnectProfile:
    """Returns what the operator socket says about the phone."""
    client = _client(setup, instance_id, "ui")
    caps: list[Json] = ["agent-kind", "inline-widgets"]
    return ConnectProfile(client=client, role="operator", scopes=scopes, extra={**_extra(setup), "caps": caps})


def _client(setup: PhoneSetup, instance_id: str, mode: str) -> JsonObject:
    ios = setup.kind == "ios"
    return {
        "id": "openclaw-ios" if ios else "openclaw-android",
        "displayName": setup.name,
        "version": "2026.9.6",
        "platform": "iOS 26.1" if ios else "Android 15",
        "mode": mode,
        "instanceId": instance_id,
        "deviceFamily": "iPhone" if ios else "Android",
        "modelIdentifier": "iPhone17,1" if ios else "Pixel 9",
    }


def _extra(setup: PhoneSetup) -> JsonObject:
    return {"locale": "en_US", "userAgent": "iOS 26.1" if setup.kind == "ios" else "Android 15"}


def handlers_of(setup: PhoneSetup, screen: SimulatedScreen) -> dict[str, CommandHandler]:
    """Returns the commands that the phone can run, among those it declares."""
    info: JsonObject = {"name": setup.name, "model": "simulated", "platform": setup.kind}
    status: JsonObject = {"battery": 0.87, "charging": False, "network": "wifi"}
    table: dict[str, CommandHandler] = {
        "device.info": lambda params: info,
        "device.status": lambda params: status,
        "location.get": lambda params: {"latitude": 52.52, "longitude": 13.405, "accuracy": 25},
        "camera.snap": lambda params: {"format": "png", "base64": "", "width": 0, "height": 0},
    }
    table |= {name: functools.partial(_on_screen, screen, name) for name in SCREEN_COMMANDS}
    return {name: handler for name, handler in table.items() if name in setup.commands}


def _on_screen(screen: SimulatedScreen, command: str, params: JsonObject) -> JsonObject:
    try:
        return screen.run(command, params)
    except ScriptError as exc:
        raise CommandError("UNAVAILABLE", str(exc)) from exc
    except ValueError as exc:
        raise CommandError("INVALID_REQUEST", f"INVALID_REQUEST: {exc}") from exc


def run_command(
    handlers: Mapping[str, CommandHandler], command: str, params_json: Json, *, background: bool
) -> JsonObject:
    """Runs a command as an app does.

    Raises:
        CommandError: it is unknown, fails, or needs the foreground.
    """
    if background and command.startswith(FOREGROUND_PREFIXES):
        message = "NODE_BACKGROUND_UNAVAILABLE: camera/screen/talk commands require foreground"
        raise CommandError("NODE_BACKGROUND_UNAVAILABLE", message)
    handler = handlers.get(command)
    if handler is None:
        raise CommandError("INVALID_REQUEST", "INVALID_REQUEST: unknown command")
    try:
        params: Json = orjson.loads(params_json) if isinstance(params_json, str) else None
    except orjson.JSONDecodeError:
        raise CommandError("INVALID_REQUEST", "INVALID_REQUEST: paramsJSON is no JSON") from None
    return handler(object_of(params))


def result_params(request: JsonObject, setup: PhoneSetup, outcome: JsonObject | CommandError) -> JsonObject:
    """Returns the parameters of `node.invoke.result`: iOS answers with text, Android with an object."""
    out: JsonObject = {"id": request.get("id"), "nodeId": request.get("nodeId")}
    if isinstance(outcome, CommandError):
        return {**out, "ok": False, "error": {"code": outcome.code, "message": str(outcome)}}
    if setup.kind == "ios":
        return {**out, "ok": True, "payloadJSON": orjson.dumps(outcome).decode()}
    return {**out, "ok": True, "payload": outcome}
