"""Pure: setup codes: what they say, how they are written and kept (design §6, gateway-protocol §3.6)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import orjson

from acl.permissions import Permissions
from bridge.pairing.hosts import url_host
from gateway_client.identity import encode_base64url

CODE_BYTES = 32  # 256 random bits; 43 characters, as the gateway's own bootstrap tokens
LINK_SCHEME = "oc-pair://"
_DEFAULT_PORTS = {"wss": 443}


@dataclass(frozen=True, slots=True)
class SetupCode:
    """A code that was just made; its token exists only here and on the screen.

    Attributes:
        id: what lists and logs call it.
        token: the secret.
        url: where the phone connects, in the one normal form its decoder accepts.
        pin: SHA-256 of the bridge's certificate, hex.
        permissions: what it grants.
        expires_at: aware UTC.
    """

    id: str
    token: str = field(repr=False)
    url: str
    pin: str
    permissions: Permissions
    expires_at: datetime

    def text(self) -> str:
        """Returns the code: base64url of compact JSON, without padding."""
        document = {
            "url": self.url,
            "tlsFingerprint": self.pin,
            "expiresAtMs": int(self.expires_at.timestamp() * 1000),
            "bootstrapToken": self.token,
        }
        return encode_base64url(orjson.dumps(document))

    def link(self) -> str:
        """Returns the link form, which the QR code shows."""
        return LINK_SCHEME + self.text()


def code_hash(token: str) -> str:
    """Returns what is stored of a code's token: a hash under its own label, hex."""
    return hashlib.sha256(b"clawdis-bridge/1/setup-code\0" + token.encode("utf-8")).hexdigest()


def setup_url(host: str, port: int) -> str:
    """Returns `wss://host:port` in the decoder's normal form.

    The decoder compares a URL with its WHATWG form: lower-case host, no default port, no trailing slash (§3.6).

    Args:
        host: a name or an IP address; an IPv6 address without brackets and zone.
        port: 1 to 65535.

    Raises:
        ValueError: no such host or port; or the port is wss's default, which the decoder refuses to see written and
            phones to see absent.
    """
    if port == _DEFAULT_PORTS["wss"]:
        raise ValueError("a setup code cannot name port 443: choose another listen.app_port")
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no port")
    return f"wss://{url_host(host)}:{port}"


class CodeKind(StrEnum):
    """Who can use a code."""

    OPENCLAW = "openclaw"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class CodeState:
    """A stored code, of an OpenClaw app or a native node.

    Attributes:
        id: its id.
        digest: what is stored of its secret, hex: of a native link the key of its proofs, so not for the log.
        permissions: what it grants.
        expires_at: aware UTC.
        created_at: aware UTC.
        kind: who can use it.
        bound_to: the key that used it; None while it is unused.
        revoked: whether a person took it back.
    """

    id: str
    digest: str = field(repr=False)
    permissions: Permissions
    expires_at: datetime
    created_at: datetime
    kind: CodeKind = CodeKind.OPENCLAW
    bound_to: str | None = None
    revoked: bool = False


def may_bind(code: CodeState, now: datetime) -> bool:
    """Tells whether an unused code is still good."""
    return code.bound_to is None and not code.revoked and now < code.expires_at


def is_spent_by(code: CodeState, node_id: str) -> bool:
    """Tells whether this very key used the code: apps present a spent code again, and it grants nothing new."""
    return code.bound_to == node_id and not code.revoked


def may_finish(code: CodeState, node_id: str, now: datetime) -> bool:
    """Tells whether the key that used a code may use it again to finish: a crash came before its pairing."""
    return is_spent_by(code, node_id) and now < code.expires_at
