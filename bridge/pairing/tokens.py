"""Pure: device tokens: made from given randomness, kept as hashes, compared in constant time (design §5)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bridge.pairing.records import NodeRecord, Role, TokenEntry
from gateway_client.identity import encode_base64url

TOKEN_BYTES = 32  # 43 characters of base64url, the length that gateway and apps use


class TokenEndedError(Exception):
    """A token that was good a moment ago has ended: a newer one was used."""


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A token on its way to its owner; after that only its hash exists.

    Attributes:
        text: what the node presents, 43 characters.
        entry: what the store keeps.
    """

    text: str = field(repr=False)
    entry: TokenEntry


def token_hash(text: str) -> str:
    """Returns the SHA-256 of a token in hex. A token has 256 random bits, so no slower hash is needed."""
    return hashlib.sha256(b"clawdis-bridge/1/device-token\0" + text.encode("utf-8")).hexdigest()


def mint(random: bytes, now: datetime) -> MintedToken:
    """Makes a token from 32 random bytes.

    Raises:
        ValueError: another number of bytes.
    """
    if len(random) != TOKEN_BYTES:
        raise ValueError(f"a token takes {TOKEN_BYTES} random bytes")
    text = encode_base64url(random)
    return MintedToken(text, TokenEntry(hash=token_hash(text), issued_at=now))


def find(tokens: Sequence[TokenEntry], presented: str) -> TokenEntry | None:
    """Returns the entry of a presented token, or None; every entry is compared, in constant time."""
    digest = token_hash(presented)
    found: TokenEntry | None = None
    for entry in tokens:
        if hmac.compare_digest(entry.hash, digest):
            found = entry
    return found


def first_use(record: NodeRecord, role: Role, entry: TokenEntry) -> NodeRecord:
    """Returns the record after `entry` was presented: on its first use every older token of the role ends.

    A node that uses a token has it, so none is due to it any more.

    What counts is the entry of that hash as the record has it now: two sockets may present one token at once.

    Raises:
        TokenEndedError: the record does not have the token any more.
    """
    tokens = record.tokens(role)
    place = next((at for at, one in enumerate(tokens) if one.hash == entry.hash), None)
    if place is None:
        raise TokenEndedError
    used = record.with_tokens(role, (tokens[place].model_copy(update={"used": True}), *tokens[place + 1 :]))
    return used.model_copy(update={"token_due": False}) if role is Role.NODE else used


def issue(record: NodeRecord, role: Role, token: MintedToken) -> NodeRecord:
    """Returns the record with one more token; the former ones stay until the new one is used."""
    return record.with_tokens(role, (*record.tokens(role), token.entry))
