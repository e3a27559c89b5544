"""`clawdis-bridge status`: the state of the bridge, readable in five seconds."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.text import Text

from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.limits import limit_rows
from bridge.cli.moments import ago, until
from bridge.cli.output import SHORT_ID, advise, fields, page, print_json, safe
from bridge.cli.policy import source_text
from bridge.control.documents import GatewayStatus, PendingRequest, Status
from bridge.errors import EXIT_NO_GATEWAY

_COLOURS = {"connected": "green", "connecting": "yellow", "refused": "red", "down": "red"}
_SHOWN_REQUESTS = 3


def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the state of the bridge at a glance.

    Ends with status 4 when the gateway is not connected.
    """
    invocation = invocation_of(ctx)
    client = invocation.client()
    answer = client.status()
    if as_json:
        print_json(answer)
    else:
        print_page(page(), answer, client.pending() if answer.pending else [], invocation, datetime.now(UTC))
    if answer.gateway.state != "connected":
        raise typer.Exit(EXIT_NO_GATEWAY)


def print_page(
    console: Console, answer: Status, requests: list[PendingRequest], invocation: Invocation, now: datetime
) -> None:
    """Prints the page."""
    console.print(
        Text.assemble(("Clawdis Bridge ", "bold"), f"{answer.version}, started {ago(answer.started_at, now)}")
    )
    console.print()
    rows: list[tuple[str, Text | str]] = [("Gateway", _gateway(answer.gateway))]
    rows += [("", safe(line)) for line in (answer.gateway.detail or "").splitlines()]
    rows.append(("Nodes", f"{answer.nodes.connected} connected of {answer.nodes.paired} paired"))
    rows += limit_rows(answer.load, answer.limits_in_use)
    for each in answer.listeners:
        label = "For nodes" if each.name == "nodes" else "For apps"
        rows.append((label, safe(f"port {each.port} on {', '.join(each.addresses) or 'no address'}")))
    discovery = answer.discovery
    detail = invocation.aimed(discovery.detail or "")
    rows.append(("Discovery", safe(f"{discovery.state}: {detail}" if detail else discovery.state)))
    if answer.policy is not None:
        rows.append(("Policy", source_text(answer.policy, now)))
    rows.append(("Console", safe(answer.console.url or "off")))
    if answer.audit is not None and answer.audit.problem is not None:
        rows.append(("Audit log", safe(answer.audit.problem, "bold red")))
    rows.append(("Pin", safe(answer.pin)))
    console.print(fields(rows))
    _print_requests(console, answer.pending, requests, invocation, now)


def _gateway(gateway: GatewayStatus) -> Text:
    state = safe(gateway.state, f"bold {_COLOURS[gateway.state]}")
    version = f"  version {gateway.version}" if gateway.version else ""
    return Text.assemble(state, safe(f"  {gateway.url}{version}"))


def _print_requests(
    console: Console, count: int, requests: list[PendingRequest], invocation: Invocation, now: datetime
) -> None:
    """The waiting requests, each with the command that lets it in."""
    console.print()
    if not count:
        console.print("No pairing request waits.")
        return
    console.print(Text(f"{count} pairing request{'' if count == 1 else 's'} waiting for you:", style="bold yellow"))
    for each in requests[:_SHOWN_REQUESTS]:
        line = Text("  ").append_text(safe(each.display_name, "bold"))
        line.append_text(safe(_what_it_asks(each, now)))
        console.print(line, soft_wrap=True)
        advise(console, "  " + invocation.command("approve", each.id[:SHORT_ID]))
    if count > _SHOWN_REQUESTS:
        advise(console, invocation.command("pending"))


def _what_it_asks(request: PendingRequest, now: datetime) -> str:
    if request.reason == "wider":
        return f" is paired, and offers more: {', '.join(request.adds)}"
    return f" ({request.platform}) from {request.address}, expires {until(request.expires_at, now)}"
