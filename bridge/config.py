"""Pure: the configuration, what each key means and which values it takes.

One frozen model per table of `bridge.toml`; every key has a default, so an empty file is a valid one. The text
of the file comes from `bridge.config_file`.
"""

import unicodedata
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from bridge.strict_toml import ConfigError, ConfigProblem, Table, parse_document

__all__ = ["Config", "ConfigError", "ConfigProblem", "LimitsTable", "parse_config"]

Port = Annotated[int, Field(ge=0, le=65535)]
PerSecond = Annotated[int, Field(gt=0, le=10_000)]
PerMinute = Annotated[int, Field(gt=0, le=100_000)]
Burst = Annotated[int, Field(gt=0, le=100_000)]
Sockets = Annotated[int, Field(gt=0, le=65_536)]
PromptSetting = Literal["auto", "macos", "terminal", "none"]
_MAX_NAME = 64  # characters of the bridge's name
_MAX_HOSTS = 64  # entries of listen.hosts
_MAX_LINGER_S = 86_400  # seconds; a phone that is away for a day is away
_MAX_PROMPT_S = 3600  # seconds; while one prompt is shown the next ones wait
_MAX_CEREMONIES = 100  # a stranger's chance to hit the six digits is this many in a million per 10 minutes
_MIN_FRAME = 65_536  # bytes; less would not hold what every node sends
_MAX_FRAME = 26_214_400  # bytes: `maxPayload` of the gateway
_MAX_BUDGET = 4_294_967_296  # bytes


class BridgeTable(Table):
    """What the bridge is called."""

    name: str = "Clawdis"
    """Shown to phones before " (Clawdis Bridge)"; 1 to 64 characters, chosen once: phones know the bridge by it."""

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        if not name.strip() or len(name) > _MAX_NAME:
            raise ValueError(f"it must have 1 to {_MAX_NAME} characters")
        if any(unicodedata.category(character).startswith("C") for character in name):
            raise ValueError("it must not contain control or invisible characters")
        return name


class ListenTable(Table):
    """Where phones reach the bridge."""

    # A TOML array is a list; in this one place the strict mode would want a tuple.
    hosts: Annotated[tuple[str, ...], Field(strict=False)] = ("auto",)
    """IP addresses, `localhost`, or `auto`: every private, link-local and loopback address of this machine."""
    node_port: Port = 18790
    """TCP port for native nodes, 0 to 65535; 0 takes any free one."""
    app_port: Port = 18794
    """TCP port for OpenClaw apps, 0 to 65535; 0 takes any free one."""
    allow_public: bool = False
    """Whether an address that is reachable from outside the LAN may be listened on."""

    @field_validator("hosts")
    @classmethod
    def _some(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(hosts) <= _MAX_HOSTS:
            raise ValueError(f"it must have 1 to {_MAX_HOSTS} entries")
        return hosts

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.node_port == self.app_port != 0:
            raise ValueError("node_port and app_port must differ")
        return self


class GatewayTable(Table):
    """The gateway behind the bridge."""

    url: str = "ws://127.0.0.1:18789"
    """`ws://host:port` of the gateway; the host must resolve to a loopback address when it is used."""
    user: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The user that the gateway runs as, when it is not the bridge's own; its token goes to nobody else (Linux)."""
    token_source: Literal["auto", "keyring", "file", "env", "openclaw", "none"] = "auto"  # noqa: S105 - a place, no secret
    """Where the gateway's secret is read; `auto` tries the places in turn."""
    token_file: str | None = None
    """Absolute path (or `~/...`) of a 0600 file that holds the secret; None: no file."""
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "OPENCLAW_GATEWAY_TOKEN"  # noqa: S105 - a name
    """Name of the environment variable that holds the secret."""
    linger_s: Annotated[int, Field(ge=0, le=_MAX_LINGER_S)] = 600
    """Seconds for which the gateway goes on to count a phone as connected that is away, 0 to 86400; 0: not at all."""

    @field_validator("url")
    @classmethod
    def _websocket(cls, url: str) -> str:
        _require_gateway_url(url)
        return url

    @field_validator("token_file")
    @classmethod
    def _absolute(cls, token_file: str | None) -> str | None:
        if token_file is not None and not token_file.startswith(("/", "~/")):
            raise ValueError("it must be an absolute path or begin with '~/'")
        return token_file

    @model_validator(mode="after")
    def _file_is_named(self) -> Self:
        if self.token_file is None and self.token_source == "file":  # noqa: S105 - a place
            raise ValueError("token_source = 'file' needs token_file")
        return self


class AuthTable(Table):
    """How a device has to prove itself."""

    require_mtls: bool = False
    """Whether only native nodes, with client certificates, may come: the app port stays closed."""


class PairingTable(Table):
    """How a phone gets in, and what it is granted."""

    always_open: bool = True
    """Whether devices may ask at any time, so that the prompt is the gate; else for 5 minutes after `pair`."""
    prompt: PromptSetting = "auto"
    """How a person is asked; `auto`: by a dialog on a Mac, and on the terminal when the bridge runs in one."""
    prompt_timeout_s: Annotated[int, Field(gt=0, le=_MAX_PROMPT_S)] = 120
    """Seconds for which one prompt is shown, 1 to 3600; the request outlives it."""
    ceremonies_per_window: Annotated[int, Field(gt=0, le=_MAX_CEREMONIES)] = 10
    """Native devices that may show a code within 10 minutes without being approved, 1 to 100."""

    default_profile: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+_-]{0,63}$")] = "voice+screen"
    """The profile that an approval grants unless it names another; it must be one that the policy knows."""


class DiscoveryTable(Table):
    """Whether phones find the bridge by themselves."""

    enabled: bool = True
    """Whether the bridge is advertised by Bonjour on the interfaces it listens on."""


class LimitsTable(Table):
    """What one peer may use up. Rates belong to a node's key, over all of its sockets and reconnects."""

    handshakes_per_minute: PerMinute = 20
    """Connections of one address within 60 seconds that may come to nothing: refused TLS, time-outs, bad proofs."""
    pairings_per_minute: PerMinute = 3
    """Pairing requests of one address within 60 seconds; a retry of the open one does not count."""
    calls_per_second: PerSecond = 20
    """Calls of one node per second in the long run; results, `node.event`, `node.pending.*`, what a node host publishes
    and `health` are no calls in this sense."""
    calls_burst: Burst = 40
    """Calls of one node that may come at once."""
    invokes_per_second: PerSecond = 50
    """Commands that the agent sends to one node, per second in the long run."""
    invokes_burst: Burst = 100
    """Commands that the agent may send to one node at once."""
    events_per_minute: PerMinute = 300
    """`node.event` of one node per minute in the long run; a whole minute's worth may come at once."""
    voice_per_minute: PerMinute = 30
    """Transcripts of one node that are forwarded to the agent, per minute."""
    agent_per_minute: PerMinute = 20
    """Turns of the agent that one node may begin per minute, by `agent` or `agent.request`."""
    snapshots_per_minute: PerMinute = 30
    """Snapshots that the agent may take of one node's screen per minute."""
    snapshot_max_bytes: Annotated[int, Field(ge=_MIN_FRAME, le=_MAX_FRAME * 3 // 4)] = 10_485_760
    """Bytes of one snapshot, decoded."""
    snapshot_bytes_per_minute: Annotated[int, Field(ge=_MIN_FRAME, le=_MAX_BUDGET)] = 52_428_800
    """Bytes of all snapshots of one node per minute, decoded."""
    eval_max_bytes: Annotated[int, Field(ge=1, le=_MAX_FRAME)] = 65_536
    """Bytes of the source of one `screen.eval`."""
    frame_max_bytes: Annotated[int, Field(ge=_MIN_FRAME, le=_MAX_FRAME)] = _MAX_FRAME
    """Bytes of one message from a paired node, at most what the gateway takes; most methods have a smaller cap."""
    in_flight: Annotated[int, Field(gt=0, le=480)] = 32
    """Requests of all nodes together that the gateway is answering at a time, 1 to 480."""
    in_flight_bytes: Annotated[int, Field(ge=_MAX_FRAME, le=_MAX_BUDGET)] = 134_217_728
    """Bytes of all messages together that the bridge holds on their way: five of the largest."""
    refusals_per_minute: PerMinute = 20
    """Refused calls of one node within 60 seconds after which its socket is closed; so do 11 in a row."""
    penalty_s: Annotated[int, Field(gt=0, le=3_600)] = 60
    """Seconds for which the key of such a socket is not let in again."""
    sockets_per_address: Sockets = 8
    """Sockets of one address that have not authenticated."""
    sockets_unauthenticated: Sockets = 64
    """Sockets of all addresses together that have not authenticated; 32 of them, at most half, are for known ones."""

    @model_validator(mode="after")
    def _room_for_one(self) -> Self:
        if self.snapshot_bytes_per_minute < self.snapshot_max_bytes:
            raise ValueError("snapshot_bytes_per_minute must not be less than snapshot_max_bytes")
        return self


class LoggingTable(Table):
    """What the bridge writes about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious events that are written."""
    format: Literal["auto", "console", "json"] = "auto"
    """Lines for people or for machines; `auto`: for people on a terminal."""


class Config(Table):
    """The whole of `bridge.toml`, checked."""

    bridge: BridgeTable = BridgeTable()
    """What the bridge is called."""
    listen: ListenTable = ListenTable()
    """Where phones reach the bridge."""
    gateway: GatewayTable = GatewayTable()
    """The gateway behind the bridge."""
    auth: AuthTable = AuthTable()
    """How a device has to prove itself."""
    pairing: PairingTable = PairingTable()
    """How a phone gets in, and what it is granted."""
    discovery: DiscoveryTable = DiscoveryTable()
    """Whether phones find the bridge by themselves."""
    limits: LimitsTable = LimitsTable()
    """What one peer may use up."""
    logging: LoggingTable = LoggingTable()
    """What the bridge writes about itself."""


def parse_config(text: str, *, file: str) -> Config:
    """The configuration in the text of a `bridge.toml`.

    Args:
        text: TOML.
        file: the file's name, for messages only.

    Raises:
        ConfigError: no TOML, an unknown key or table, a value of the wrong type or outside its range.
    """
    return parse_document(text, Config, file=file)


def _require_gateway_url(url: str) -> None:
    """Raise ValueError unless `url` is `ws://host[:port]` and nothing more (RFC 6455 section 3)."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is no URL") from None
    if parts.scheme != "ws" or not parts.hostname:
        raise ValueError("it must be ws://host:port")
    if port == 0:
        raise ValueError("its port must be 1 to 65535")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must not hold a user or password; the secret belongs to token_source")
    if parts.path not in ("", "/") or "?" in url or "#" in url:
        raise ValueError("it must not have a path, query or fragment")
