"""`clawdis-bridge run`: the daemon, in the foreground."""

from __future__ import annotations

import typer

from bridge.cli.invocation import invocation_of
from bridge.config_file import CONFIG_NAME, load_config


def run(ctx: typer.Context) -> None:
    """Run the bridge in the foreground until it is interrupted."""
    home = invocation_of(ctx).home
    config = load_config(home / CONFIG_NAME)

    from bridge import daemon  # after the configuration: a wrong one is told before anything heavy is loaded

    raise typer.Exit(daemon.run(home, config))
