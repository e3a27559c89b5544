"""The bridge's certificates without keys: what `CertificateOperations` promises, over one document."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from bridge.control.documents import AuthorityReport, Certificates, NodeCertificateRow
from bridge.errors import RefusedError

HOST = "clawdis-bridge-0123abcd.local"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class FakeCertificates:
    """Keeps what it is told and answers as the daemon would.

    Args:
        called: told of every operation, and raises what it shall raise.
        clock: the time.
        pin: the bridge's pin.
        spki: its key.
    """

    def __init__(self, called: Callable[[str], None], clock: Callable[[], datetime], pin: str, spki: str) -> None:
        now = clock()
        self._called = called
        self.report = Certificates(
            pin=pin,
            spki=spki,
            host=HOST,
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=3650),
            authority=AuthorityReport(spki=_hash("authority"), not_after=now + timedelta(days=7300)),
            passphrase_place="keyring",
        )

    def holds(self, *nodes: NodeCertificateRow, apps: int = 0) -> None:
        """These native nodes are paired, and so many OpenClaw clients."""
        self.report = self.report.model_copy(update={"nodes": list(nodes), "apps": apps})

    def next_is_prepared(self) -> str:
        """The next key is there; returns its hash."""
        following = _hash("next")
        self.report = self.report.model_copy(update={"next_spki": following})
        return following

    async def show(self) -> Certificates:
        self._called("certs.show")
        return self.report

    async def renew(self) -> Certificates:
        self._called("certs.renew")
        self.report = self.report.model_copy(update={"pin": _hash("renewed")})
        return self.report

    async def rotate(self, commit: bool) -> Certificates:
        self._called("certs.commit" if commit else "certs.prepare")
        if not commit:
            self.next_is_prepared()
            return self.report
        if self.report.next_spki is None:
            raise RefusedError("No next key is prepared.", "Run first: clawdis-bridge certs rotate")
        changes = {"pin": _hash("rotated"), "spki": self.report.next_spki, "next_spki": None}
        self.report = self.report.model_copy(update=changes)
        return self.report

    async def reload(self) -> Certificates:
        self._called("certs.reload")
        return self.report
