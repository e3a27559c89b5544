"""Pure: what a native node sends to `/pair/v1`: strict JSON, every length bounded (design §6)."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from acl.permissions import Permission, read_permissions
from bridge.pairing.records import Labels, Surface, clean_label
from bridge.pairing.transcript import DIGEST_BYTES, NONCE_BYTES
from certs.csr import MAX_CSR_BYTES
from gateway_client.frames import Bounds, FrameError, parse_json
from gateway_client.identity import BadKeyError, decode_base64url

MAX_BODY_BYTES = 16_384  # a signing request of 4 KiB in base64url, and some 300 names of commands and capabilities
_BOUNDS = Bounds(max_bytes=MAX_BODY_BYTES, max_depth=3, max_items=600)
_MAX_PERMISSIONS = 32  # three times as many as there are

Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^ *[!-~][ -~]*$")]
OptionalLabel = Annotated[str, Field(max_length=64, pattern=r"^[ -~]*$")]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Names = Annotated[list[Name], Field(max_length=256)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]


class BodyError(ValueError):
    """A body that breaks its schema; the message says where, and repeats no value."""


def _bytes_of(length: int) -> BeforeValidator:
    def read(value: object) -> bytes:
        """Base64url without padding, of exactly so many bytes."""
        if not isinstance(value, str) or value.endswith("="):
            raise ValueError("it must be base64url without padding")
        try:
            return decode_base64url(value, length)
        except BadKeyError as exc:
            raise ValueError(f"it must be {length} bytes of base64url") from exc

    return BeforeValidator(read)


def _some_bytes(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > (MAX_CSR_BYTES + 2) // 3 * 4:
        raise ValueError(f"it must be base64url of at most {MAX_CSR_BYTES} bytes")
    size = len(value) * 3 // 4
    try:
        return decode_base64url(value, size)
    except BadKeyError as exc:
        raise ValueError("it must be base64url without padding") from exc


def _permissions(words: list[str]) -> list[str]:
    # Running commands on the node's own machine is never asked for; a person may add it (design §9).
    return sorted(read_permissions(words) - {Permission.SYSTEM})


Nonce = Annotated[bytes, _bytes_of(NONCE_BYTES)]
Digest = Annotated[bytes, _bytes_of(DIGEST_BYTES)]
Der = Annotated[bytes, BeforeValidator(_some_bytes)]


class _Body(BaseModel):
    # Input is taken by its wire names only, so the aliases are all there is.
    model_config = ConfigDict(  # type: ignore[pydantic-alias]  # the plugin would have us take our own names as well
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, hide_input_in_errors=True
    )


class DeviceFacts(_Body):
    """What the node says about itself."""

    display_name: Annotated[str, Field(max_length=512)]
    platform: Label
    device_family: OptionalLabel = ""
    model_identifier: OptionalLabel = ""
    instance_id: Annotated[str, Field(max_length=128, pattern=r"^[ -~]*$")] = ""
    version: Label = "0"

    def labels(self) -> Labels:
        """Returns the labels as they are shown and stored, the display name cleaned."""
        return Labels(
            display_name=clean_label(self.display_name, fallback=self.device_family.strip() or self.platform.strip()),
            client_id=gateway_client_id(self.platform),
            client_version=self.version,
            platform=self.platform,
            device_family=self.device_family,
            model_identifier=self.model_identifier,
            instance_id=self.instance_id,
        )


class EnrolBody(_Body):
    """`POST /pair/v1/enroll`."""

    v: Annotated[int, Field(ge=1, le=1)]  # no Literal: pydantic takes `true` and 1.0 for one
    csr: Der
    commit: Digest
    device: DeviceFacts
    caps: Names = Field(default_factory=list)
    commands: Names = Field(default_factory=list)
    permissions: Annotated[list[str], Field(max_length=_MAX_PERMISSIONS), AfterValidator(_permissions)] | None = None
    token_id: Id | None = None

    def surface(self) -> Surface:
        """Returns what the node declares, sorted, so that the order of a list is never a change."""
        return Surface(commands=tuple(sorted(set(self.commands))), caps=tuple(sorted(set(self.caps))))


class RevealBody(_Body):
    """`POST /pair/v1/enroll/{id}/reveal`."""

    nonce: Nonce = Field(repr=False)
    token_proof: Digest | None = Field(default=None, repr=False)


class ChallengeBody(_Body):
    """`POST /pair/v1/renew/challenge`."""

    node_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RenewBody(_Body):
    """`POST /pair/v1/renew`: over mutual TLS the request alone; without a certificate, with a proof of the key."""

    csr: Der
    knows_next: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """The bridge's next key that the node holds, SPKI hash; None: it holds none."""
    node_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    nonce: Nonce | None = Field(default=None, repr=False)
    proof: Annotated[str, Field(max_length=128)] | None = None


B = TypeVar("B", bound=_Body)


def read_body(kind: type[B], data: bytes) -> B:
    """Reads the body of a request.

    Raises:
        BodyError: no strict JSON, or not of this form.
    """
    try:
        return kind.model_validate(parse_json(data, _BOUNDS))
    except FrameError as exc:
        raise BodyError(str(exc)) from None
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    raise BodyError(f"{where}: {first['msg'].removeprefix('Value error, ')}")


def gateway_client_id(platform: str) -> str:
    """Returns what a native node is called at the gateway, which takes only names of its own list (design §14)."""
    first = platform.split(" ", 1)[0].lower()
    if first in {"ios", "ipados"}:
        return "openclaw-ios"
    return "openclaw-android" if first == "android" else "node-host"
