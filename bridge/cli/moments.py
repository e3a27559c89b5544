"""Points in time, said as a person at this machine says them."""

from __future__ import annotations

from datetime import datetime, timedelta

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_SLACK = timedelta(seconds=2)  # on the way here; and links end on whole seconds: five minutes stay five minutes


def span(length: timedelta) -> str:
    """A length of time in its largest unit, rounded down: "5 minutes"."""
    seconds = max(0, int(length.total_seconds()))
    for size, name in _UNITS:
        count = seconds // size
        if count:
            return f"{count} {name}" + ("" if count == 1 else "s")
    return "0 seconds"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago something was: "5 minutes ago"; "just now" for what is still to come."""
    return "just now" if now - moment < timedelta(seconds=1) else f"{span(now - moment)} ago"


def until(moment: datetime, now: datetime) -> str:
    """When something will be, counted and on the local clock: "in 5 minutes, at 14:32"."""
    if moment <= now:
        return f"has passed, at {clock(moment, now)}"
    return f"in {span(moment - now + _SLACK)}, at {clock(moment, now)}"


def clock(moment: datetime, now: datetime) -> str:
    """Local time of day, with the date unless it is today's."""
    local = moment.astimezone()
    today = local.date() == now.astimezone().date()
    return local.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")
