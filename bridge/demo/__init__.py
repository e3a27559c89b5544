"""`clawdis-bridge demo`: the whole chain on this machine: a gateway, the real bridge, a simulated phone.

`story` tells it step by step, `stage` sets it up, `agent` plays the gateway's agent, `view` prints it.
"""

from __future__ import annotations


def main() -> int:
    """Plays the demo; returns 0 when every step proved what it should, else 1."""
    from bridge.demo.story import play

    return play()
