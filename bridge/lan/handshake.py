"""How a TLS handshake failed: whether the peer went away or the bridge refused it, and in OpenSSL's words why.

An app that sees a certificate for the first time aborts the handshake on purpose. What the exceptions look like was
measured with Python's, OpenSSL's and pyOpenSSL's clients, on asyncio and uvloop alike.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

# OpenSSL names an alert that it received after the protocol that defined it; what it refuses by itself has no prefix.
_ALERT_RECEIVED = re.compile(r"(SSLV3|TLSV1|TLSV13)_ALERT_")
# Alerts of RFC 6066 section 9 and of RFC 8446 section 6.2 that OpenSSL writes without that word.
_ALERTS_BY_NAME = frozenset({
    "TLSV1_BAD_CERTIFICATE_HASH_VALUE", "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE", "TLSV1_CERTIFICATE_UNOBTAINABLE",
    "TLSV1_UNRECOGNIZED_NAME", "TLSV1_UNSUPPORTED_EXTENSION",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """A handshake that failed.

    Attributes:
        by_peer: the peer ended it: it closed, was reset, or sent an alert. Else the bridge refused or lost patience.
        reason: OpenSSL's reason, or what happened; nothing that the peer chose.
    """

    by_peer: bool
    reason: str


def read_failure(exc: OSError) -> Failure:
    """Returns what an exception of `connect_accepted_socket` means."""
    match exc:
        case ssl.SSLCertVerificationError(verify_message=message):
            return Failure(by_peer=False, reason=message)
        case ssl.SSLZeroReturnError() | ssl.SSLEOFError():
            return Failure(by_peer=True, reason="closed")
        case ssl.SSLError(reason=str(reason)):
            return Failure(bool(_ALERT_RECEIVED.match(reason)) or reason in _ALERTS_BY_NAME, reason)
        case ssl.SSLError():
            return Failure(by_peer=False, reason="unknown")
        case ConnectionAbortedError() | TimeoutError():  # both loops abort a handshake that takes too long
            return Failure(by_peer=False, reason="timeout")
        case _:
            return Failure(by_peer=True, reason="closed")
