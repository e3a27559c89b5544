"""Pure: reading `connect` (gateway-protocol §2.2): schema first, unknown members ignored, every length bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic.alias_generators import to_camel

from acl.aliases import in_force
from bridge.pairing.records import Labels, Role, Surface, clean_label
from gateway_client.frames import Json

NODE_CLIENTS = frozenset(
    {"openclaw-ios", "openclaw-android", "openclaw-watchos", "openclaw-macos", "openclaw-linux", "node-host"}
)
OPERATOR_CLIENTS = frozenset(
    {"openclaw-ios", "openclaw-android", "openclaw-watchos", "openclaw-macos", "openclaw-linux"}
)
MODES = {Role.NODE: "node", Role.OPERATOR: "ui"}

# Labels reach the gateway, logs and prompts: printable ASCII only, so that nothing looks like something else.
Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[ -~]+$")]
OptionalLabel = Annotated[str, Field(max_length=64, pattern=r"^[ -~]*$")]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Names = Annotated[list[Name], Field(max_length=256)]
Secret = Annotated[str, Field(max_length=512)]


class _Part(BaseModel):
    # Input is taken by its wire names only, so the aliases are all there is.
    model_config = ConfigDict(  # type: ignore[pydantic-alias]  # the plugin would have us take our own names as well
        frozen=True, extra="ignore", strict=True, alias_generator=to_camel, hide_input_in_errors=True
    )


class Client(_Part):
    """`connect.client`: what the peer says it is."""

    id: Label
    version: Label
    platform: Label
    mode: Label
    display_name: Annotated[str, Field(max_length=512)] = ""
    device_family: OptionalLabel = ""
    model_identifier: OptionalLabel = ""
    instance_id: Annotated[str, Field(max_length=128, pattern=r"^[ -~]*$")] = ""


class Device(_Part):
    """`connect.device`: the signed proof of a key."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    public_key: Annotated[str, Field(max_length=64)]
    signature: Annotated[str, Field(max_length=128)]
    signed_at: Annotated[int, Field(ge=0, le=2**53)]
    nonce: Annotated[str, Field(max_length=128)]


class Auth(_Part):
    """`connect.auth`: secrets, any of them."""

    token: Secret | None = Field(default=None, repr=False)
    device_token: Secret | None = Field(default=None, repr=False)
    bootstrap_token: Secret | None = Field(default=None, repr=False)
    password: Secret | None = Field(default=None, repr=False)

    @property
    def signed_token(self) -> str:
        """The token under the signature: the first present of three; an empty string is present (§2.3)."""
        for token in (self.token, self.device_token, self.bootstrap_token):
            if token is not None:
                return token
        return ""


class Connect(_Part):
    """The parameters of `connect`."""

    min_protocol: Annotated[int, Field(ge=1, le=10_000)]
    max_protocol: Annotated[int, Field(ge=1, le=10_000)]
    client: Client
    role: Role = Role.OPERATOR
    scopes: Annotated[list[Name], Field(max_length=32)] = Field(default_factory=list)
    caps: Names = Field(default_factory=list)
    commands: Names = Field(default_factory=list)
    permissions: Annotated[dict[Name, bool], Field(max_length=64)] = Field(default_factory=dict)
    device: Device | None = None
    auth: Auth = Field(default_factory=Auth)
    _aliases: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Commands of its surface that it does not know -> those that stand for them."""
        return self._aliases

    def with_aliases(self, aliases: Mapping[str, str]) -> Self:
        """Returns this with the owner's aliases in force: they belong to the surface that a person approves."""
        out = self.model_copy()
        out._aliases = in_force(self.commands, aliases)
        return out

    def labels(self) -> Labels:
        """Returns what it says about itself, the display name cleaned."""
        client = self.client
        return Labels(
            display_name=clean_label(client.display_name, fallback=client.device_family or client.id),
            client_id=client.id,
            client_version=client.version,
            platform=client.platform,
            device_family=client.device_family,
            model_identifier=client.model_identifier,
            instance_id=client.instance_id,
        )

    def surface(self) -> Surface:
        """Returns what it declares, sorted, so that the order of a list is never a change."""
        return Surface(
            commands=tuple(sorted({*self.commands, *self._aliases})),
            caps=tuple(sorted(set(self.caps))),
            permissions=dict(sorted(self.permissions.items())),
        )


class ConnectShapeError(ValueError):
    """`connect` breaks the schema; the message says where."""


def read_connect(params: Json) -> Connect:
    """Reads the parameters of `connect`.

    Raises:
        ConnectShapeError: the schema is broken, or role, mode and client do not belong together.
    """
    if not isinstance(params, dict):
        raise ConnectShapeError("at root: not an object")
    try:
        # Python's strictness would refuse a plain string for the enumeration; its members are checked all the same.
        connect = Connect.model_validate({**params, "role": _role(params.get("role", Role.OPERATOR.value))})
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        where = "/".join(str(part) for part in first["loc"]) or "root"
        raise ConnectShapeError(f"at {where}: {first['msg']}") from None
    known = NODE_CLIENTS if connect.role is Role.NODE else OPERATOR_CLIENTS
    if connect.client.id not in known or connect.client.mode != MODES[connect.role]:
        raise ConnectShapeError(f"at client: not a client that may be a {connect.role} here")
    return connect


def _role(value: Json) -> Role:
    for role in Role:
        if value == role.value:
            return role
    raise ConnectShapeError("invalid role")
