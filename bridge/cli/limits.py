"""How busy the bridge is and what its limits have stopped, as rows of a page."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from bridge.cli.output import SHORT_ID, safe
from bridge.control.limit_documents import LimitsInUse, Load

_SHOWN = 3  # keys that are kept out, by name
_ORDINARY = frozenset({"scope"})  # kinds of refusals that apps bring about on their own after every connect
_MB = 1_000_000


def limit_rows(load: Load, limits: LimitsInUse) -> list[tuple[str, Text | str]]:
    """What is under way, what was stopped since the start, and who is kept out now."""
    rows: list[tuple[str, Text | str]] = [("Load", safe(_load(load)))]
    stopped = _stopped(limits)
    if stopped:
        rows.append(("Stopped", safe(f"since its start: {stopped}", "yellow")))
    kept_out = limits.penalties
    if kept_out:
        names = ", ".join(f"{each.node_id[:SHORT_ID]} ({each.seconds} s)" for each in kept_out[:_SHOWN])
        more = f" and {len(kept_out) - _SHOWN} more" if len(kept_out) > _SHOWN else ""
        rows.append(("Kept out", safe(f"{names}{more}: refused or limited too often", "red")))
    return rows


def _load(load: Load) -> str:
    parts = [f"{load.calls} call{'' if load.calls == 1 else 's'} under way"]
    if load.queued:
        parts.append(f"{load.queued} of them waiting for the gateway")
    if load.bytes_in_flight:
        parts.append(f"{load.bytes_in_flight / _MB:.1f} MB in large messages")
    if load.sockets_held:
        parts.append(f"{load.sockets_held} waiting to send theirs")
    if load.bytes_buffered:
        parts.append(f"{load.bytes_buffered / _MB:.1f} MB for phones that read slowly")
    return ", ".join(parts)


def _stopped(limits: LimitsInUse) -> str:
    groups = (("over a limit", limits.limited), ("refused", limits.refused), ("turned away", limits.turned_away))
    told = ((name, counts_text(counts)) for name, counts in groups)
    return "; ".join(f"{name} ({counts})" for name, counts in told if counts)


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts by kind, those that are not zero, without what is ordinary; empty: there are none."""
    return ", ".join(f"{kind} {count}" for kind, count in counts.items() if count and kind not in _ORDINARY)
