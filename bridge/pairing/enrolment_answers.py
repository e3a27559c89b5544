"""Pure: what `/pair/v1` answers a native node (design §6)."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.pairing.ceremony import Ceremony, Fault
from bridge.pairing.desk import KEPT_S
from bridge.pairing.records import Labels
from gateway_client.frames import Json, JsonObject
from gateway_client.identity import encode_base64url


class EnrolmentRefused(Exception):
    """A request that is not granted.

    Attributes:
        status: HTTP status.
        code: stable name, upper case.
        retry_after_ms: when another try may be worth it; None: not by itself.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_ms = retry_after_ms

    def document(self) -> JsonObject:
        """Returns the body of the answer."""
        error: JsonObject = {"code": self.code, "message": str(self)}
        return {"error": error if self.retry_after_ms is None else {**error, "retryAfterMs": self.retry_after_ms}}


@dataclass(frozen=True, slots=True)
class BridgeFacts:
    """What a ceremony says about the bridge.

    Attributes:
        spki: its SPKI hash, hex.
        name: what a person calls it.
    """

    spki: str
    name: str


def begun(ceremony: Ceremony, bridge: BridgeFacts) -> JsonObject:
    """Returns the 201 of a ceremony: what was understood, and the bridge's nonce."""
    return {
        "id": ceremony.id,
        "nonce": encode_base64url(ceremony.nonce),
        "expiresInMs": int(KEPT_S * 1000),
        "bridge": {"spki": bridge.spki, "name": bridge.name},
        "device": _device(ceremony.draft.labels),
        "permissions": list[Json](ceremony.permissions),
    }


def _device(labels: Labels) -> JsonObject:
    optional = {"deviceFamily": labels.device_family, "modelIdentifier": labels.model_identifier}
    return {
        "displayName": labels.display_name,
        "platform": labels.platform,
        "version": labels.client_version,
        **{name: value for name, value in optional.items() if value},
    }


def not_found() -> EnrolmentRefused:
    """The answer to an unknown id, and to a proof that does not fit a known one."""
    return EnrolmentRefused(404, "NOT_FOUND", "there is no such request")


def reveal_refused(fault: Fault) -> EnrolmentRefused:
    """The answer to a reveal that opens nothing."""
    match fault:
        case Fault.UNKNOWN:
            return not_found()
        case Fault.AGAIN:
            return EnrolmentRefused(409, "REVEALED", "this request was revealed already")
        case Fault.WRONG:
            return EnrolmentRefused(403, "BAD_REVEAL", "the reveal does not open the commitment; the request has ended")


def bad_csr(why: str) -> EnrolmentRefused:
    """The signing request cannot be used."""
    return EnrolmentRefused(400, "BAD_CSR", f"the signing request is refused: {why}")


def closed() -> EnrolmentRefused:
    """Nobody invites devices now."""
    return EnrolmentRefused(403, "PAIRING_CLOSED", "pairing is closed: run clawdis-bridge pair on the Mac")


def capped() -> EnrolmentRefused:
    """Too many ceremonies ended without an approval."""
    words = "too many tries to pair: run clawdis-bridge pair on the Mac to go on"
    return EnrolmentRefused(429, "TOO_MANY_CEREMONIES", words)


def denied(seconds_left: float) -> EnrolmentRefused:
    """A person said no a short while ago."""
    words = "this device was turned down; run clawdis-bridge pair on the Mac to let it ask again"
    return EnrolmentRefused(403, "DENIED", words, int(seconds_left * 1000))


def busy(retry_after_ms: int) -> EnrolmentRefused:
    """No place now."""
    return EnrolmentRefused(429, "BUSY", "other devices wait for an answer", retry_after_ms)


def too_often(retry_after_ms: int) -> EnrolmentRefused:
    """The address has begun enough ceremonies within a minute."""
    return EnrolmentRefused(429, "RATE_LIMITED", "this address asks too often", retry_after_ms)


def served_often(retry_after_ms: int) -> EnrolmentRefused:
    """The key was given enough certificates within a minute, or has changed its word about the next key as often."""
    return EnrolmentRefused(429, "RATE_LIMITED", "this key was served a moment ago", retry_after_ms)


def token_refused() -> EnrolmentRefused:
    """The link's token is unknown, used, expired, revoked, or not proven: one answer for all."""
    return EnrolmentRefused(403, "TOKEN_REFUSED", "this link is not valid: make a new one with clawdis-bridge pair")


def unavailable() -> EnrolmentRefused:
    """The disk refused; nothing was promised."""
    return EnrolmentRefused(503, "UNAVAILABLE", "the bridge cannot write this down now", 5_000)


def not_paired() -> EnrolmentRefused:
    """The key is not paired, or not any more."""
    return EnrolmentRefused(403, "NOT_PAIRED", "this key is not paired with this bridge")


def too_early(ms: int) -> EnrolmentRefused:
    """The certificate is still young."""
    return EnrolmentRefused(409, "TOO_EARLY", "the certificate is renewed in its last 30 days", ms)
