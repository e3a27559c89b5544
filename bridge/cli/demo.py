"""`clawdis-bridge demo`: the whole chain on this machine, with a made-up phone."""

from __future__ import annotations

import typer


def demo() -> None:
    """Show the whole chain at work, without a phone.

    Everything runs on this machine, and your gateway is not touched.
    """
    from bridge import demo as chain

    raise typer.Exit(chain.main())
