"""`clawdis-bridge acl`: what the access policy says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.invocation import AsJson, invocation_of
from bridge.cli.output import advise, fields, page, print_json, safe
from bridge.cli.policy import check_file, print_check, print_policy
from bridge.errors import EXIT_FAILED

app = typer.Typer(help="What the access policy says.", no_args_is_help=True)


@app.command("show")
def show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the policy in force: every rule in the order in which it is asked, and what narrows them."""
    report = invocation_of(ctx).client().policy()
    if as_json:
        print_json(report)
    else:
        print_policy(page(), report, datetime.now(UTC))


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy.toml, in force or not.")],
    as_json: AsJson = False,
) -> None:
    """Tell whether a policy file is right; needs no daemon and changes nothing.

    Ends with status 1 when it is not.
    """
    outcome = check_file(file)
    if as_json:
        print_json(outcome)
    else:
        print_check(page(), outcome)
    if not outcome.ok:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def explain(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Id of the node, or its beginning.")],
    method: Annotated[str, typer.Argument(metavar="METHOD", help="For example node.invoke or screen.navigate.")],
    command: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help="Of node.invoke: the command; of node.event: the event.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NODE", help="Whom NODE would have do it. Without: the agent has NODE do it.")
    ] = None,
    session: Annotated[str | None, typer.Option(metavar="KEY", help="The session that the call is about.")] = None,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="What the node says to the agent.")] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Where a screen would be sent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the decision about a call, and the rule that makes it."""
    invocation = invocation_of(ctx)
    answer = invocation.client().explain(node, method, command, target=target, session=session, text=text, url=url)
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
