"""How much a test does and from which seed, read from the environment.

`CLAWDIS_TEST_SCALE=full` asks for full counts (`make soak`, `make fuzz`); without it a tenth is done.
`CLAWDIS_TEST_SEED=<int>` repeats a run; without it a seed is drawn once and shown in pytest's header.
"""

from __future__ import annotations

import functools
import os
import secrets


def is_full() -> bool:
    """Return whether full counts were asked for."""
    return os.environ.get("CLAWDIS_TEST_SCALE") == "full"


def scale(full: int) -> int:
    """Return `full` when full counts were asked for, else a tenth of it, at least 1."""
    return full if is_full() else max(1, full // 10)


@functools.cache
def seed() -> int:
    """Return the seed of this run; the same value at every call."""
    given = os.environ.get("CLAWDIS_TEST_SEED")
    return int(given) if given else secrets.randbelow(2**32)
