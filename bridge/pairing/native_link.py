"""Pure: native links: `clawdis-bridge://pair#...`, what a QR code for a native node says (design §6).

The link carries the bridge's key, so nothing has to be compared, and a token that never travels: the node proves that
it holds it. Everything stands behind `#`, which no browser sends to a server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.pairing.hosts import normal_host
from gateway_client.frames import Bounds, FrameError, Json, parse_json
from gateway_client.identity import BadKeyError, decode_base64url, encode_base64url

LINK_PREFIX = "clawdis-bridge://pair#"
VERSION = 1
TOKEN_BYTES = 32  # 256 random bits, 43 characters of base64url
# Characters. The longest one made here: 22 of prefix, and 4/3 of 43 + 253 + 64 + 128 + 71 bytes, some 770.
MAX_LINK_CHARS = 2048
_BOUNDS = Bounds(max_bytes=MAX_LINK_CHARS, max_depth=1, max_items=32)  # seven members
_UNPADDED = re.compile(r"[A-Za-z0-9_-]+")
_SPKI = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z: the end of what datetime can say

_AGAIN = "Make a new one at the Mac: clawdis-bridge pair --qr --native"


class LinkRefused(ValueError):
    """A text that is no native link, or no longer one. The text itself is not repeated: it holds a secret."""

    def __init__(self, why: str) -> None:
        super().__init__(f"this pairing link cannot be used: {why}. {_AGAIN}")
        self.why = why


@dataclass(frozen=True, slots=True)
class NativeLink:
    """An invitation for one native node.

    Attributes:
        host: the bridge's name or address, in normal form; IPv6 without brackets.
        port: its node port.
        spki: SHA-256 of the bridge's SubjectPublicKeyInfo, 64 lower-case hexadecimal digits.
        token_id: what the bridge calls the token.
        token: the secret, 32 bytes.
        expires_at: aware UTC, whole seconds.

    Raises:
        LinkRefused: a member that no link may hold.
    """

    host: str
    port: int
    spki: str
    token_id: str
    token: bytes = field(repr=False)
    expires_at: datetime

    def __post_init__(self) -> None:
        _require(_host(self.host) == self.host, "its host is not in normal form")
        _require(1 <= self.port <= 65535, "it names no port")
        _require(_SPKI.fullmatch(self.spki) is not None, "its key fingerprint is not 64 lower-case hexadecimal digits")
        _require(_ID.fullmatch(self.token_id) is not None, "it names no token")
        _require(len(self.token) == TOKEN_BYTES, f"its token is not {TOKEN_BYTES} bytes")

    def text(self) -> str:
        """Returns the link."""
        document = {
            "v": VERSION,
            "host": self.host,
            "port": self.port,
            "spki": self.spki,
            "tokenId": self.token_id,
            "token": encode_base64url(self.token),
            "exp": int(self.expires_at.timestamp()),
        }
        return LINK_PREFIX + encode_base64url(orjson.dumps(document))


class _Document(BaseModel):
    """The members of a link. `v` is no Literal: pydantic takes `true` and 1.0 for a literal 1."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    v: int
    host: str
    port: int
    spki: str
    tokenId: str  # noqa: N815 - its name on the wire
    token: str
    exp: int  # seconds since 1970, as in RFC 7519 section 4.1.4


def read_link(text: str, now: datetime) -> NativeLink:
    """Reads a link that is still good.

    Args:
        text: the link, exactly: nothing around it is removed.
        now: aware UTC time.

    Raises:
        LinkRefused: anything else.
    """
    _require(len(text) <= MAX_LINK_CHARS, f"it is longer than {MAX_LINK_CHARS} characters")
    _require(text.startswith(LINK_PREFIX), f"it does not begin with {LINK_PREFIX}")
    document = _document(_json(text.removeprefix(LINK_PREFIX)))
    _require(document.v == VERSION, "it was made for another version")
    _require(0 < document.exp <= _LAST_SECOND, "its time is no time")
    link = NativeLink(
        host=_host(document.host),
        port=document.port,
        spki=document.spki,
        token_id=document.tokenId,
        token=_token(document.token),
        expires_at=datetime.fromtimestamp(document.exp, UTC),
    )
    _require(now < link.expires_at, "it has expired")
    return link


def _json(body: str) -> Json:
    try:
        return parse_json(decode_base64url(body, len(body) * 3 // 4), _BOUNDS)
    except (BadKeyError, FrameError):
        raise LinkRefused("it is damaged") from None


def _document(value: Json) -> _Document:
    try:
        return _Document.model_validate(value)
    except ValidationError as exc:
        named = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
        known = ", ".join(sorted(named & _Document.model_fields.keys()))  # any other name is the text of a stranger
        raise LinkRefused(f"it says what no link says, or too little ({known or 'other members'})") from None


def _token(text: str) -> bytes:
    _require(_UNPADDED.fullmatch(text) is not None, "its token is damaged")
    try:
        return decode_base64url(text, TOKEN_BYTES)
    except BadKeyError:
        raise LinkRefused("its token is damaged") from None


def _host(text: str) -> str:
    try:
        return normal_host(text)
    except ValueError:
        raise LinkRefused("it names no host") from None


def _require(fact: bool, why: str) -> None:
    if not fact:
        raise LinkRefused(why)
