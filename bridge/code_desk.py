"""What a person at this machine can ask of the daemon about invitations: `control.operations.CodeOperations`, done."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from acl.permissions import Permissions
from bridge import invitations
from bridge.addresses import machine_addresses, reachable_addresses
from bridge.audit.errors import AuditError
from bridge.certificates import Certificates
from bridge.control import documents
from bridge.control.operations import resolve_prefix
from bridge.discovery import DiscoveryState, DiscoveryStatus
from bridge.errors import BridgeError, NotAllowed, UnknownId
from bridge.lan.listener import Listener
from bridge.pairing.codes import CodeStore
from bridge.pairing.native_link import TOKEN_BYTES, NativeLink
from bridge.pairing.reception import Reception
from bridge.pairing.setup_code import CODE_BYTES, CodeState, SetupCode
from bridge.pairing.store import StoreError
from gateway_client.identity import encode_base64url

ID_BYTES = 4  # random bytes of a code's id: a name for lists, no secret

T = TypeVar("T")
TokenState = Literal["unused", "used", "expired", "revoked"]


class CodeDesk:
    """See the module's text.

    Args:
        reception: whose window is opened.
        codes: the codes that were made.
        certificates: whose pin and key a code carries.
        nodes: the port that a native link names.
        apps: the port that a setup code names; None: it is closed.
        discovery: tells whether the bridge can be found by name.
        host: that name.
        profiles: tells the profiles that a code may be made for.
    """

    def __init__(
        self,
        reception: Reception,
        codes: CodeStore,
        certificates: Certificates,
        *,
        nodes: Listener,
        apps: Listener | None,
        discovery: Callable[[], DiscoveryStatus],
        host: str,
        profiles: Callable[[], Mapping[str, Permissions]],
    ) -> None:
        self._reception = reception
        self._codes = codes
        self._certificates = certificates
        self._nodes = nodes
        self._apps = apps
        self._discovery = discovery
        self._host = host
        self._profiles = profiles

    async def open_window(self) -> documents.Window:
        """A person invites devices."""
        return documents.Window(open_until=self._reception.open_window())

    def _name(self) -> str | None:
        return self._host if self._discovery().state is DiscoveryState.ON else None

    async def mint_setup_code(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> documents.SetupCode:
        """Makes a one-time code for an OpenClaw app; a person invites devices with it."""
        apps = self._require_apps()
        now = datetime.now(UTC)
        code = SetupCode(
            secrets.token_hex(ID_BYTES),
            encode_base64url(secrets.token_bytes(CODE_BYTES)),
            invitations.url_for(_reachable(apps), apps.port, self._name(), address),
            self._certificates.identity.pin,
            invitations.granted(permissions, profile, self._profiles()),
            now + timedelta(seconds=ttl_s),
        )
        await self._record(code.id, "openclaw", code.permissions, code.expires_at)
        await self._written(lambda: self._codes.add(code, now))
        self._reception.open_window()
        return documents.SetupCode(
            id=code.id,
            setup_code=code.text(),
            link=code.link(),
            url=code.url,
            permissions=sorted(code.permissions),
            expires_at=code.expires_at,
            pin=code.pin,
        )

    def _require_apps(self) -> Listener:
        if self._apps is None:
            raise NotAllowed(
                "OpenClaw apps are not let in: auth.require_mtls keeps their port closed.",
                "For a native node: clawdis-bridge pair --qr --native\n"
                "For an app: set require_mtls = false under [auth] in bridge.toml, then restart clawdis-bridge.",
            )
        return self._apps

    async def mint_native_link(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> documents.NativeInvitation:
        """Makes a one-time link for a native node; a person invites devices with it."""
        now = datetime.now(UTC)
        granted = invitations.granted(permissions, profile, self._profiles())
        host = invitations.host_for(_reachable(self._nodes), self._name(), address)
        identity = self._certificates.identity
        expires = (now + timedelta(seconds=ttl_s)).replace(microsecond=0)
        token = secrets.token_bytes(TOKEN_BYTES)
        link = NativeLink(host, self._nodes.port, identity.spki, secrets.token_hex(ID_BYTES), token, expires)
        await self._record(link.token_id, "native", granted, link.expires_at)
        await self._written(lambda: self._codes.add_link(link, granted, now))
        self._reception.open_window()
        return documents.NativeInvitation(
            id=link.token_id,
            link=link.text(),
            url=invitations.url_of(host, link.port),
            permissions=sorted(granted),
            expires_at=link.expires_at,
            pin=identity.pin,
            spki=identity.spki,
        )

    async def tokens(self) -> list[documents.TokenRow]:
        """The codes that are remembered, newest first."""
        now = datetime.now(UTC)
        return [_row(code, now) for code in await self._written(self._codes.listed)]

    async def revoke_token(self, id: str) -> documents.TokenRow:
        """Takes a code back."""
        known = await self._written(self._codes.listed)
        whole = resolve_prefix(id, [code.id for code in known])
        revoked = await self._written(lambda: self._codes.revoke(whole))
        if revoked is None:
            raise UnknownId("This code is not remembered any more.", "See what there is: clawdis-bridge tokens")
        self._reception.note_code_revoked(whole)
        return _row(revoked, datetime.now(UTC))

    async def _record(self, code_id: str, kind: str, permissions: Permissions, expires: datetime) -> None:
        """What lets somebody in leaves a trace first; never the code itself."""
        fields = {"code_id": code_id, "for": kind, "permissions": sorted(permissions), "expires": str(expires)}
        try:
            await self._reception.trail.record("code-made", **fields)
        except AuditError as exc:
            raise BridgeError("AUDIT", f"No code was made, because {exc.why}.", exc.mend) from exc

    @staticmethod
    async def _written(work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except StoreError as exc:
            raise BridgeError("STORE", f"The codes cannot be read or written: {exc}") from exc


def _reachable(listener: Listener) -> list[str]:
    return reachable_addresses(listener.addresses, machine_addresses())


def _row(code: CodeState, now: datetime) -> documents.TokenRow:
    return documents.TokenRow(
        id=code.id,
        kind=code.kind.value,
        state=_state(code, now),
        permissions=sorted(code.permissions),
        created_at=code.created_at,
        expires_at=code.expires_at,
        used_by=code.bound_to,
    )


def _state(code: CodeState, now: datetime) -> TokenState:
    if code.revoked:
        return "revoked"
    if code.bound_to is not None:
        return "used"
    return "expired" if now >= code.expires_at else "unused"
