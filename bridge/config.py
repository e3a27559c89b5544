"""Pure: the configuration, what each key means and which values it takes.

One frozen model per table of `bridge.toml`; every key has a default, so an empty file is a valid one. The text
of the file comes from `bridge.config_file`.
"""

import difflib
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]
PromptSetting = Literal["auto", "macos", "terminal", "none"]
_MAX_NAME = 64  # characters of the bridge's name
_MAX_HOSTS = 64  # entries of listen.hosts
_MAX_LINGER_S = 86_400  # seconds; a phone that is away for a day is away
_MAX_PROMPT_S = 3600  # seconds; while one prompt is shown the next ones wait
_MAX_CEREMONIES = 100  # a stranger's chance to hit the six digits is this many in a million per 10 minutes


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong with the configuration."""

    key: str
    """The key with its table, e.g. `listen.app_port`; empty when it is the file as a whole."""
    why: str
    """What is wrong. Values are not repeated: one of them might be a secret in the wrong place."""
    mend: str
    """What to do."""


class ConfigError(Exception):
    """A configuration that cannot be used; nothing of it is.

    Attributes:
        file: the file's name, as the caller gave it.
        problems: everything that is wrong, at least one.
    """

    def __init__(self, file: str, problems: Sequence[ConfigProblem]) -> None:
        """Keep the parts; the message has one line per problem."""
        lines = [": ".join(part for part in (file, each.key, each.why) if part) + f". {each.mend}" for each in problems]
        super().__init__("\n".join(lines))
        self.file = file
        self.problems = tuple(problems)


class _Table(BaseModel):
    """One table of the file: typed strictly, unknown keys refused, unchangeable, described by its docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class BridgeTable(_Table):
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


class ListenTable(_Table):
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


class GatewayTable(_Table):
    """The gateway behind the bridge."""

    url: str = "ws://127.0.0.1:18789"
    """`ws://host:port` of the gateway; the host must resolve to a loopback address when it is used."""
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


class AuthTable(_Table):
    """How a device has to prove itself."""

    require_mtls: bool = False
    """Whether only native nodes, with client certificates, may come: the app port stays closed."""


class PairingTable(_Table):
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


class DiscoveryTable(_Table):
    """Whether phones find the bridge by themselves."""

    enabled: bool = True
    """Whether the bridge is advertised by Bonjour on the interfaces it listens on."""


class LimitsTable(_Table):
    """What one peer may use up."""

    handshakes_per_minute: Positive = 20
    """Connections of one address within 60 seconds that may come to nothing: refused TLS, time-outs, bad proofs."""
    pairings_per_minute: Positive = 3
    """Pairing requests of one address within 60 seconds; a retry of the open one does not count."""
    refusals_per_minute: Positive = 20
    """Refused calls of one socket within 60 seconds after which it is closed."""
    penalty_s: Positive = 60
    """Seconds for which the key of such a socket is not let in again."""
    sockets_per_address: Positive = 8
    """Sockets of one address that have not authenticated."""
    sockets_unauthenticated: Positive = 64
    """Sockets of all addresses together that have not authenticated; 32 of them, at most half, are for known ones."""
    frame_max_bytes: Positive = 26214400
    """Bytes of one message from a paired node."""


class LoggingTable(_Table):
    """What the bridge writes about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious events that are written."""
    format: Literal["auto", "console", "json"] = "auto"
    """Lines for people or for machines; `auto`: for people on a terminal."""


class Config(_Table):
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
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [ConfigProblem("", f"it is not TOML: {error}", "Correct that line.")]) from error
    except RecursionError:
        mend = "Take out the nested brackets."
        raise ConfigError(file, [ConfigProblem("", "it is nested too deeply", mend)]) from None
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        problems = [_problem(item["loc"], item["type"], item["msg"]) for item in error.errors(include_input=False)]
    raise ConfigError(file, problems)  # outside the except clause: pydantic's error would repeat the values


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> ConfigProblem:
    """One pydantic error in our words."""
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        return ConfigProblem(key, "there is no such key", _nearest(location))
    if kind == "model_type":
        return ConfigProblem(key, "it must be a table", f"Write [{key}] on a line of its own, its keys below.")
    why = _WORDS.get(kind) or message.removeprefix("Value error, ").replace("Input should", "it should")
    return ConfigProblem(key, why, "Change it, or remove the line to get the default.")


_WORDS = {
    "tuple_type": 'it must be a list, in brackets: ["..."]',
    "string_type": "it must be text, in quotes",
    "bool_type": "it must be true or false, without quotes",
    "int_type": "it must be a whole number, without quotes",
    "string_pattern_mismatch": "it has characters that such a name does not have",
}
"""What pydantic says in terms of Python, in terms of the file."""


def _nearest(location: tuple[int | str, ...]) -> str:
    """Advice for an unknown key: the nearest valid one of its table, or all of them."""
    *tables, unknown = [str(part) for part in location]
    model: type[BaseModel] = Config
    for table in tables:
        annotation = model.model_fields[table].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    valid = list(model.model_fields)
    near = difflib.get_close_matches(unknown, valid, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else f"Valid here: {', '.join(valid)}."


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
