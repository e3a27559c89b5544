"""`clawdis-bridge acl`: what the access policy says."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.cli.invocation import AsJson, invocation_of
from bridge.cli.output import advise, fields, page, print_json, safe

app = typer.Typer(help="What the access policy says.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `explain` a subcommand while it is the only one."""


@app.command()
def explain(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Id of the node, or its beginning.")],
    method: Annotated[str, typer.Argument(metavar="METHOD", help="For example node.invoke or screen.navigate.")],
    command: Annotated[str | None, typer.Argument(metavar="COMMAND", help="Of node.invoke: the command.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the decision about a call, and the rule that makes it."""
    invocation = invocation_of(ctx)
    answer = invocation.client().explain(node, method, command)
    if as_json:
        print_json(answer)
        return
    colour = "green" if answer.decision == "allow" else "red"
    console = page()
    console.print(
        fields(
            [
                ("Decision", safe(answer.decision, f"bold {colour}")),
                ("Rule", safe(answer.rule)),
                ("Reason", safe(answer.reason)),
            ]
        )
    )
    if answer.fix is not None:
        console.print("To grant it:")
        advise(console, invocation.aimed(answer.fix))
