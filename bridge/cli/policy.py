"""`clawdis-bridge policy`, and the pages of the policy that `acl` shows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from bridge.cli.invocation import AsJson, invocation_of
from bridge.cli.moments import ago
from bridge.cli.output import SHORT_ID, fields, page, print_json, safe, table
from bridge.control.documents import PolicySource
from bridge.control.policy_documents import PolicyCheck, PolicyProblem, PolicyReport, RuleRow
from bridge.policy_file import check_policy
from bridge.strict_toml import ConfigError

app = typer.Typer(help="The owner's policy.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `reload` a subcommand while it is the only one."""


@app.command("reload")
def reload(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Read policy.toml again.

    It is put into force as a whole, or changes nothing when something in it is wrong. Nodes whose methods or commands
    it changes come again by themselves; all others stay connected.
    """
    outcome = invocation_of(ctx).client().reload_policy()
    if as_json:
        print_json(outcome)
        return
    console = page()
    console.print(Text("In force now:", style="bold"))
    console.print(fields([("Policy", source_text(outcome.policy, datetime.now(UTC)))]))
    if outcome.reconnecting:
        console.print(f"{_count(outcome.reconnecting, 'connection')} will come again, because it changed for them.")


def source_text(source: PolicySource, now: datetime) -> Text:
    """Says in a line which policy is in force."""
    if source.file is None:
        return safe("built-in (there is no policy.toml)")
    return safe(f"{source.file}, {_count(source.rules, 'rule')}, read {ago(source.loaded_at, now)}")


def print_policy(console: Console, report: PolicyReport, now: datetime) -> None:
    """Prints the rules in their order, and what narrows them."""
    agent, nodes, navigate = report.agent, report.nodes, report.screen.navigate
    hosts = ", ".join(navigate.hosts) or "any"
    console.print(
        fields(
            [
                ("Policy", source_text(report.source, now)),
                ("Sessions", safe(", ".join(agent.sessions) or "none")),
                ("Orders", "pass to the agent" if agent.commands else "refused (/new, !ls)"),
                ("Targets", safe(", ".join(each[:SHORT_ID] for each in nodes.targets) or "none but the node itself")),
                ("Invokes", safe(", ".join(nodes.commands) or "none")),
                (
                    "Navigate",
                    safe(f"hosts: {hosts}; http: {_yes(navigate.allow_http)}; private: {_yes(navigate.allow_private)}"),
                ),
                ("Snapshots", f"at most {report.screen.snapshot.max_width} pixels wide"),
                ("Aliases", safe(", ".join(f"{left} = {right}" for left, right in report.aliases.items()) or "none")),
            ]
        )
    )
    console.print()
    profiles = [
        [safe(name, "bold"), safe(", ".join(words) or "nothing"), "policy.toml" if name in report.own_profiles else ""]
        for name, words in report.profiles.items()
    ]
    console.print(table(("PROFILE", "PERMISSIONS", "FROM"), profiles))
    console.print()
    console.print(table(("RULE", "FROM", "DIRECTION", "DECISION", "NAMES"), [_row(each) for each in report.rules]))
    console.print()
    console.print("The first rule that names a call decides; what none names is denied (default-deny).")


def _row(rule: RuleRow) -> list[Text | str]:
    own = rule.origin == "owner"
    origin = "policy.toml" if own else "built in"
    return [safe(rule.id, "bold"), origin, safe(rule.direction), _decision(rule), safe(", ".join(rule.names))]


def _decision(rule: RuleRow) -> Text:
    if rule.origin == "owner":
        colour = "green" if rule.decision == "allow" else "red"
        return safe(f"{rule.decision} {rule.node[:SHORT_ID] if rule.node else 'every node'}", colour)
    words = f"allow with {' or '.join(rule.permissions)}" if rule.permissions else "allow every paired node"
    return safe(words if rule.scope is None else f"{words}, and {rule.scope}")


def check_file(file: Path) -> PolicyCheck:
    """Says whether a file is a policy."""
    try:
        policy = check_policy(file)
    except ConfigError as exc:
        problems = [PolicyProblem(key=each.key, why=each.why, mend=each.mend) for each in exc.problems]
        return PolicyCheck(ok=False, file=str(file), problems=problems)
    return PolicyCheck(ok=True, file=str(file), rules=len(policy.rules), profiles=list(policy.profiles))


def print_check(console: Console, outcome: PolicyCheck) -> None:
    """Prints what is wrong, one thing a paragraph, or that nothing is."""
    if outcome.ok:
        console.print(Text.assemble(("Right: ", "bold green"), safe(outcome.file)))
        own = f", profiles: {', '.join(outcome.profiles)}" if outcome.profiles else ""
        console.print(safe(f"  {_count(outcome.rules, 'rule')}{own}"))
        return
    console.print(Text.assemble(("Wrong: ", "bold red"), safe(outcome.file)))
    for each in outcome.problems:
        console.print(
            Text("  ").append_text(safe(f"{each.key}: " if each.key else "", "bold")).append_text(safe(f"{each.why}."))
        )
        console.print(safe(f"    {each.mend}"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _yes(on: bool) -> str:
    return "yes" if on else "no"
