"""One-time codes of a fortress: setup codes, the phones that present them, codes whose time is over, and spellings."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from typing import Any

import orjson

from bridge.pairing.native_link import LINK_PREFIX, NativeLink
from gateway_client.identity import decode_base64url, encode_base64url
from tests.attacks.fortress import Fortress
from tests.support.iphone import IPhone, Refused


def expire(castle: Fortress, code_id: str) -> None:
    """Let a code's time be over."""
    with closing(sqlite3.connect(castle.bridge.home / "bridge.sqlite3")) as database, database:
        assert database.execute("UPDATE codes SET expires_at = 1 WHERE id = ?", (code_id,)).rowcount == 1


async def setup_code(castle: Fortress, *permissions: str) -> tuple[str, str]:
    """Make a setup code; return its id and its token."""
    words = list(permissions) or ["device"]
    made = await castle.bridge.ask(lambda: castle.bridge.client.mint_setup_code(words, None, 300, None))
    token = str(orjson.loads(decode_base64url(made.setup_code, len(made.setup_code) * 3 // 4))["bootstrapToken"])
    castle.secrets += [token, made.setup_code]
    return made.id, token


def phone_of(castle: Fortress) -> IPhone:
    """Return an OpenClaw phone that nobody knows."""
    return IPhone(castle.bridge.url, castle.bridge.pin)


async def redeemed(phone: IPhone, token: str) -> dict[str, Any] | None:
    """Present a setup code; return the error, None when the phone is in."""
    try:
        async with phone.socket("node", {"bootstrapToken": token}):
            return None
    except Refused as refused:
        return refused.error


def spellings(link: NativeLink) -> list[bytes]:
    """How a link's token could be written somewhere."""
    return [
        link.token,
        encode_base64url(link.token).encode(),
        base64.b64encode(link.token),
        link.token.hex().encode(),
        link.text().removeprefix(LINK_PREFIX).encode(),
    ]
