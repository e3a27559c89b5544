"""Pure: what of all that the daemon says is kept in the audit log: one table from names of events to their kinds.

The log is the one stream of what happens (`bridge.log`): a session says a `Note`, a shell logs a line, and both have a
name. A name in `FROM_LOG` is audited, with the fields listed here and no others. What has to be on disk before somebody
is answered is in `DIRECT` and goes through `Trail.record`. Every other name has to be in `NOT_AUDITED`: a test reads
the source and fails when one is in none of the three.
"""

from __future__ import annotations

from dataclasses import dataclass

NEVER = None  # repeats stay lines of their own
ONE = 1  # the first in a window is a line, the others are counted
SOME = 20  # so many are lines: enough to read what an agent did, and a loop fills no disk
GAP = ("audit", "gap")


@dataclass(frozen=True, slots=True)
class Kept:
    """How an event is kept.

    Attributes:
        kind: its family, as `audit tail --kind` takes it.
        fields: which of its fields are written.
        free: repeats that are lines of their own in a window; None: all.
    """

    kind: str
    fields: tuple[str, ...] = ()
    free: int | None = ONE


KINDS = (
    "listener", "tls", "pairing", "token", "approval", "connect", "deny", "limit", "invoke", "revoke", "config", "key",
    "policy", "audit",
)  # fmt: skip
"""All families; `audit` is what the log says about itself."""

DIRECT: dict[str, Kept] = {
    "started": Kept("config", ("version", "pid", "config", "require_mtls", "always_open"), NEVER),
    "stopped": Kept("config", (), NEVER),
    "approved": Kept("approval", ("node", "name", "request", "by", "permissions", "commands", "why"), NEVER),
    "approval-undone": Kept("approval", ("node", "request", "why"), NEVER),
    "permissions-widened": Kept("approval", ("node", "permissions", "before"), NEVER),
    "token-issued": Kept("token", ("node", "roles"), NEVER),
    "code-made": Kept("token", ("code_id", "for", "permissions", "expires"), NEVER),
    "certificate-given": Kept("key", ("node", "serial", "until"), NEVER),
    "key-change": Kept("key", ("what",), NEVER),
    "policy-in-force": Kept("policy", ("file", "rules", "sha256"), NEVER),
}
"""Written, flushed to disk, and only then carried out."""

FROM_LOG: dict[str, Kept] = {
    # Ports, and what happens before anybody is known.
    "listening": Kept("listener", ("listener", "addresses", "port"), NEVER),
    "stopping": Kept("listener", (), NEVER),
    "accept-failed": Kept("listener", ("listener", "error")),
    "discovery": Kept("listener", ("state",)),
    "tls-refused": Kept("tls", ("listener", "address", "reason")),
    "certificate-refused": Kept("tls", ("listener", "address", "why")),
    "frames-refused": Kept("tls", ("listener", "address", "why")),
    "turned-away": Kept("limit", ("listener", "address", "why")),
    "pairing-throttled": Kept("limit", ("address", "seconds")),
    "penalised": Kept("limit", ("node", "seconds")),
    "slow-peer": Kept("limit", ("node", "role", "address", "waiting")),
    "enrolment-closed": Kept("limit", ("reason",)),
    "prompts-stopped": Kept("limit"),
    # Pairing.
    "pairing-requested": Kept("pairing", ("request", "node", "why", "address", "name"), NEVER),
    "pairing-expired": Kept("pairing", ("request",), NEVER),
    "pairing-code-wrong": Kept("pairing", ("request", "tries_left"), NEVER),
    "pairing-denied": Kept("pairing", ("request", "node"), NEVER),
    "pairing-opened": Kept("pairing", (), NEVER),
    "enrolment-begun": Kept("pairing", ("request", "address", "name"), SOME),
    "enrolment-reveal-refused": Kept("pairing", ("request", "why"), SOME),
    "pair-refused": Kept("pairing", ("address", "code")),
    "prompt-shown": Kept("pairing", ("request",), NEVER),
    "prompt-put-off": Kept("pairing", ("request",), NEVER),
    "paired": Kept("approval", ("node", "request", "permissions"), NEVER),
    "paired-by-code": Kept("approval", ("node", "name"), NEVER),
    "permissions-narrowed": Kept("approval", ("node", "permissions", "before"), NEVER),
    "surface-approved": Kept("approval", ("node", "commands"), SOME),
    "surface-surplus": Kept("approval", ("gateway_node", "commands"), NEVER),
    "device-approval-failed": Kept("approval", ("node", "error")),
    "setup-code-refused": Kept("token", ("address",)),
    "link-refused": Kept("token", ("address", "code")),
    "code-revoked": Kept("token", ("code_id",), NEVER),
    "revoked": Kept("revoke", ("node",), NEVER),
    "revoked-again": Kept("revoke", ("node", "why"), NEVER),
    "upstream-removal-failed": Kept("revoke", ("node",)),
    "identity-created": Kept("key", ("pin",), NEVER),
    "identity-changed": Kept("key", ("pin", "spki"), NEVER),
    "identity-refused": Kept("key", ("why",), NEVER),
    "upstream-key-unusable": Kept("key", ("node",)),
    "renamed": Kept("config", ("node", "name", "before"), NEVER),
    "policy-loaded": Kept("policy", ("rules", "reconnecting"), NEVER),
    "policy-refused": Kept("policy", ("problems",), NEVER),
    # Connections.
    "joined": Kept("connect", ("node", "role", "address"), SOME),
    "left": Kept("connect", ("node", "role", "address"), SOME),
    "connect-refused": Kept("connect", ("node", "address", "code")),
    "frame-refused": Kept("connect", ("node", "address", "what")),
    "deadline": Kept("connect", ("node", "address", "phase")),
    "gateway-connected": Kept("connect", ("version",)),
    "gateway-not-connected": Kept("connect", ("state",)),
    "node-link-refused": Kept("connect", ("node", "code")),
    # Calls.
    "refused": Kept("deny", ("node", "role", "address", "what", "code", "rule")),
    "scope-refused": Kept("deny", ("node", "role", "address", "what", "code", "rule")),
    "event-refused": Kept("deny", ("node", "role", "address", "what")),
    "invoke-refused": Kept("deny", ("node", "command", "code", "rule")),
    "pending-refused": Kept("deny", ("node", "count", "commands")),
    "invoke-malformed": Kept("deny", ("node",)),
    "invoke-result-invalid": Kept("deny", ("node", "command")),
    "navigation-violation": Kept("deny", ("node", "command", "why", "host"), SOME),
    "limited": Kept("limit", ("node", "role", "address", "limit")),
    "too-large": Kept("limit", ("node", "role", "address", "bytes", "most")),
    "event-too-large": Kept("limit", ("node", "role", "bytes")),
    "invoke": Kept("invoke", ("node", "command", "ok", "code", "bytes", "ms", "rule", "callers"), SOME),
    "order": Kept("invoke", ("node", "role", "what", "rule"), SOME),
    "invoke-asked": Kept("invoke", ("node", "command", "target"), SOME),
    "pending-fetched": Kept("invoke", ("node", "command", "count"), SOME),
    "invoke-shared": Kept("invoke", ("node", "command"), SOME),
    "invoke-replayed": Kept("invoke", ("node", "command"), SOME),
    "invoke-ended": Kept("invoke", ("node", "command", "code"), SOME),
    "invokes-lost": Kept("invoke", ("node", "count")),
    "large-answers-stopped": Kept("limit", ("node",)),
    "result-lost": Kept("invoke", ("node", "command", "why")),
}
"""Taken from the daemon's own log as it is written."""

NOT_AUDITED = frozenset({
    # Of the log's own making, or said again elsewhere in the trail.
    "audit-failed", "certificate-issued", "keys-folder", "no-prompts", "notice-failed",
    # Faults of this machine, for its owner's log.
    "store-failed", "task-failed", "task-stuck", "approver-failed", "decision-failed", "control.failed", "library",
    # What an honest peer does, and what the gateway's side does by itself.
    "tls-aborted", "late-answer", "late-result", "invoke-repeated", "calls-not-kept", "policy-unchanged",
    "frame-dropped", "report-lost", "rename-failed", "node-linked",
    "node-unlinked", "surface-not-settled", "commands-withheld", "operator-link-failed",
    "node-link-failed",
})  # fmt: skip
"""Names that leave no trace, on purpose."""
