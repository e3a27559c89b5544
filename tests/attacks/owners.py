"""An owner's policy at a fortress: written, put into force, and what is said of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from bridge.control.policy_documents import PolicyReload
from bridge.policy_file import POLICY_NAME
from tests.attacks.fortress import Fortress
from tests.support.bridge_process import WIDE_LIMITS

ROOT = Path(__file__).resolve().parents[2]
# Every method there is, one after the other: how often one may try is attacked elsewhere.
NO_LIMITS = {
    **WIDE_LIMITS, "refusals_per_minute": 100_000, "calls_per_second": 10_000, "calls_burst": 100_000,
    "events_per_minute": 100_000, "agent_per_minute": 10_000, "voice_per_minute": 10_000,
}  # fmt: skip
DENY_EVENTS = """
[[rules]]
id = "no-transcripts"
when = { direction = "node-event", event = "voice.transcript" }
decision = "deny"
"""
BAD = {
    "a typo": ("[agnet]\nsessions = []", "Did you mean 'agent'?"),
    "an unknown permission": ('[profiles.all]\npermissions = ["everything"]', "there is no such permission"),
    "a wildcard for commands": (DENY_EVENTS.replace("voice.transcript", "*").replace("deny", "allow"), "no wildcard"),
    "a wildcard for nodes": ('[nodes]\ntargets = ["*"]', "64 digits"),
    "a wildcard for sessions": ('[agent]\nsessions = ["*"]', "no wildcard"),
    "one id twice": (DENY_EVENTS * 2, "two rules have the id no-transcripts"),
    "one node twice": (f'[nodes]\ntargets = ["{"ab" * 32}", "{"ab" * 32}"]', "stands twice"),
    "an allow for everybody": (DENY_EVENTS.replace("deny", "allow"), "an allow is for one node"),
    "a wrong type": ("[agent]\ncommands = 1", "must be true or false"),
    "half a file": (DENY_EVENTS[:60], "it is not TOML"),
}
"""Files that mean nothing, and a word of the reason (E15)."""


def write_policy(home: Path, text: str) -> Path:
    """Write the policy of a home, as its owner does."""
    path = home / POLICY_NAME
    path.write_text(text)
    path.chmod(0o600)
    return path


async def reload(castle: Fortress, text: str) -> PolicyReload:
    """Write a policy and have it read.

    Raises:
        RefusedError: it is wrong.
    """
    write_policy(castle.bridge.home, text)
    return await castle.bridge.ask(castle.bridge.client.reload_policy)


async def start(home: Path) -> subprocess.CompletedProcess[str]:
    """Start a daemon that is expected not to run."""
    command = [sys.executable, "-m", "bridge", "--home", str(home), "run"]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


LOOK_ALIKES = (
    *("Node.Invoke", "NODE.INVOKE", "node.invoke ", " node.invoke", "node.invoke\n", "node.invoke\x00"),
    *("node.invoke\x00x", "node\u2024invoke", "node\uff0einvoke", "node.invo\u212ae", "node.in\u200dvoke"),
    *("node\u200b.invoke", "\ufeffnode.invoke", "node.invoke.", ".node.invoke", "node..invoke", "node%2einvoke"),
    *("node.invoke%00", "node/invoke", "n\u043ede.invoke", "node.invoke\u0301", "\u202enode.invoke", "node.*"),
    *("node.invok\u0435", "\uff4eode.invoke", "node.invoke,agent", "\u017fystem.run", "\ufb01le.read"),
    *("\u017fkills.bins", "agent\u00ad", "Agent", "\\u0061gent"),
)
"""Names that folding, trimming, normalising or a prefix would take for one that the node may use (security 3E)."""
