"""Pure: what the pairing routes answer, read strictly, and what a node checks before it believes a certificate.

Unknown members are ignored, so that a newer bridge may say more; the known ones have one type and bounded lengths.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bridge.node.pairing_errors import BadAnswer, Refused
from bridge.pairing.records import MAX_LABEL_CHARS
from bridge.pairing.transcript import NONCE_BYTES
from certs.keys import NodeKey, spki_der
from gateway_client.frames import Bounds, FrameError, Json, parse_json
from gateway_client.identity import BadKeyError, decode_base64url

MAX_ANSWER_BYTES = 65_536  # a certificate has some 1 KiB, everything else less
MAX_CERTIFICATE_CHARS = 8192  # of PEM; one that this project issues has some 1,000
MAX_PERMISSIONS = 64  # there are ten
MAX_MESSAGE_CHARS = 512
MAX_RETRY_MS = 86_400_000  # a day; a longer wait is said to nobody
ANSWER_BOUNDS = Bounds(max_bytes=MAX_ANSWER_BYTES, max_depth=8, max_items=512)

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
Nonce = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
Certificate = Annotated[str, Field(max_length=MAX_CERTIFICATE_CHARS)]
Permission = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{0,63}$")]
PermissionList = Annotated[list[Permission], Field(max_length=MAX_PERMISSIONS)]


class Answer(BaseModel):
    """Base of the answers; only the wire names are taken."""

    # Input is taken by its wire names only, so the aliases are all there is.
    model_config = ConfigDict(  # type: ignore[pydantic-alias]  # the plugin would have us take our own names as well
        frozen=True, extra="ignore", strict=True, alias_generator=to_camel, hide_input_in_errors=True
    )


M = TypeVar("M", bound=Answer)


class BridgeFacts(Answer):
    """`bridge` of an opened request."""

    spki: Hash
    name: Annotated[str, Field(max_length=512)] = ""


class CleanedDevice(Answer):
    """`device` of an opened request: the label as the bridge cleaned it."""

    display_name: Annotated[str, Field(max_length=MAX_LABEL_CHARS)]


class Opened(Answer):
    """The 201 to `enroll`: the request is frozen, and waits for the reveal."""

    id: RequestId
    nonce: Nonce
    bridge: BridgeFacts
    device: CleanedDevice
    permissions: PermissionList


class Standing(Answer):
    """How a request stands; an approved one has `node_id` and `certificate`."""

    status: Literal["pending", "approved", "denied", "expired"]
    node_id: Hash | None = None
    certificate: Certificate | None = None
    permissions: PermissionList | None = None
    next_spki: Hash | None = None


class Renewed(Answer):
    """The answer to `renew`."""

    certificate: Certificate
    node_id: Hash | None = None
    next_spki: Hash | None = None


class Challenge(Answer):
    """The answer to `renew/challenge`."""

    nonce: Nonce


class BridgeKeys(Answer):
    """The answer to `identity`: the bridge's key, and the one that it will have next."""

    spki: Hash
    next_spki: Hash | None = None


class _Error(Answer):
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    message: Annotated[str, Field(max_length=MAX_MESSAGE_CHARS)]
    retry_after_ms: Annotated[int, Field(ge=0, le=MAX_RETRY_MS)] | None = None


class _Refusal(Answer):
    error: _Error


def read_body(data: bytes) -> Json:
    """Reads the JSON of an answer.

    Raises:
        BadAnswer: it is no JSON within `ANSWER_BOUNDS`.
    """
    try:
        return parse_json(data, ANSWER_BOUNDS)
    except FrameError as exc:
        raise BadAnswer(f"no JSON ({exc.fault})") from None


def read_answer(kind: type[M], body: Json) -> M:
    """Reads one answer.

    Raises:
        BadAnswer: a member is missing, of another type or too long.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        where = "/".join(str(part) for part in first["loc"]) or "root"
        raise BadAnswer(f"at {where}: {first['msg']}") from None


def read_refusal(status: int, data: bytes) -> Refused:
    """Returns the error of an answer with a 4xx or 5xx status; one without readable reason is named by its status."""
    try:
        error = read_answer(_Refusal, read_body(data)).error
    except BadAnswer:
        return Refused(status, f"HTTP_{status}", "it gave no reason")
    after = error.retry_after_ms
    words = "".join(c if c.isprintable() else " " for c in error.message)  # a stranger's text may reach a terminal
    return Refused(status, error.code, words, after / 1000 if after is not None else None)


def read_nonce(text: str) -> bytes:
    """Reads a nonce of the bridge.

    Raises:
        BadAnswer: not 32 bytes of base64url, or all zero: no bridge draws that.
    """
    try:
        nonce = decode_base64url(text, NONCE_BYTES)
    except BadKeyError:
        raise BadAnswer("a nonce that is not 32 bytes of base64url") from None
    if not any(nonce):
        raise BadAnswer("a nonce of zeros")
    return nonce


def read_certificate(pem: str, key: NodeKey, now: datetime) -> str:
    """Returns a certificate that was issued to us, in normal form.

    What it says about us is the bridge's business; here only counts that it can be used: our own key, valid now.

    Args:
        pem: the bridge's text.
        key: our public key.
        now: aware UTC time.

    Raises:
        BadAnswer: not exactly one certificate, another key, not valid yet or any more.
    """
    try:
        (certificate,) = x509.load_pem_x509_certificates(pem.encode("utf-8"))
        theirs = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise BadAnswer("no single certificate") from None
    if theirs != spki_der(key):
        raise BadAnswer("a certificate for another key")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise BadAnswer("a certificate that is not valid now; see whether the clocks of both sides are right")
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def own_id(answered: str | None, ours: str) -> None:
    """Checks the node id that comes with a certificate.

    Raises:
        BadAnswer: it is another node's.
    """
    if answered is not None and answered != ours:
        raise BadAnswer("the node id of somebody else")


def next_of(next_spki: str | None, current: str) -> str | None:
    """Returns the announced next key of a bridge; its present one announces nothing."""
    return next_spki if next_spki != current else None
