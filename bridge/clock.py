"""The two clocks of the daemon: the loop's monotonic one for deadlines, the wall clock for stamps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from bridge.lan.events import Instant


def now() -> Instant:
    """Returns this moment on both clocks; only inside a running loop."""
    return Instant(asyncio.get_running_loop().time(), datetime.now(UTC))
