"""Invitations without a bridge: what `CodeOperations` promises, over a plain dictionary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from bridge.control.documents import NativeInvitation, SetupCode, TokenRow, Window
from bridge.control.operations import resolve_prefix

WINDOW = timedelta(minutes=5)
PHONE = ["screen", "voice", "device", "notify", "chat"]
PROFILES = {"voice": ["voice"], "phone": PHONE}
NATIVE_LINK = "clawdis-bridge://pair#" + "eyJ2IjoxLCJob3N0IjoiY2xhd2Rpcy1icmlkZ2UtMDEyM2FiY2QubG9jYWwi" * 4
SETUP_CODE = "eyJ1cmwiOiJ3c3M6Ly9jbGF3ZGlzLWJyaWRnZS0wMTIzYWJjZC5sb2NhbDoxODc5NCIs" + "A" * 240


class FakeCodes:
    """Keeps what it is told and answers as the daemon would.

    Args:
        called: told of every operation, and raises what it shall raise.
        clock: the time.
        pin: the bridge's pin.
        spki: its key.
    """

    def __init__(self, called: Callable[[str], None], clock: Callable[[], datetime], pin: str, spki: str) -> None:
        self.minted: list[tuple[list[str] | None, str | None, int, str | None]] = []
        self.minted_native: list[tuple[list[str] | None, str | None, int, str | None]] = []
        self.rows: dict[str, TokenRow] = {}
        self._called = called
        self._clock = clock
        self._pin = pin
        self._spki = spki

    def code_was_made(self, id: str = "51c0ffee", **changes: object) -> TokenRow:
        """A person made a code earlier."""
        now = self._clock()
        row = TokenRow(
            id=id,
            kind="openclaw",
            state="unused",
            permissions=PHONE,
            created_at=now,
            expires_at=now + timedelta(minutes=5),
        ).model_copy(update=changes)
        self.rows[id] = row
        return row

    async def open_window(self) -> Window:
        self._called("open_window")
        return Window(open_until=self._clock() + WINDOW)

    async def mint_setup_code(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> SetupCode:
        self._called("mint_setup_code")
        self.minted.append((permissions, profile, ttl_s, address))
        row = self._made("openclaw", permissions, profile, ttl_s)
        return SetupCode(
            id=row.id,
            setup_code=SETUP_CODE,
            link=f"oc-pair://{SETUP_CODE}",
            url="wss://clawdis-bridge-0123abcd.local:18794",
            permissions=row.permissions,
            expires_at=row.expires_at,
            pin=self._pin,
        )

    async def mint_native_link(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> NativeInvitation:
        self._called("mint_native_link")
        self.minted_native.append((permissions, profile, ttl_s, address))
        row = self._made("native", permissions, profile, ttl_s)
        return NativeInvitation(
            id=row.id,
            link=NATIVE_LINK,
            url="wss://clawdis-bridge-0123abcd.local:18790",
            permissions=row.permissions,
            expires_at=row.expires_at,
            pin=self._pin,
            spki=self._spki,
        )

    def _made(
        self, kind: Literal["native", "openclaw"], permissions: list[str] | None, profile: str | None, ttl_s: int
    ) -> TokenRow:
        granted = permissions if permissions is not None else PROFILES.get(profile or "phone", PHONE)
        expires = self._clock() + timedelta(seconds=ttl_s)
        return self.code_was_made(f"c0de{len(self.rows):04d}", kind=kind, permissions=granted, expires_at=expires)

    async def tokens(self) -> list[TokenRow]:
        self._called("tokens")
        return list(reversed(self.rows.values()))

    async def revoke_token(self, id: str) -> TokenRow:
        self._called("revoke_token")
        whole = resolve_prefix(id, self.rows)
        self.rows[whole] = self.rows[whole].model_copy(update={"state": "revoked"})
        return self.rows[whole]
