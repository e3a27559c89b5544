"""The agent of the demo's gateway: for each sentence it knows which commands to run on the phone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bridge.demo.gateway import Invoke
from bridge.demo.gateway.refusals import Refusal
from gateway_client.frames import ErrorShape, Json, JsonObject

OnCall = Callable[["Call"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Call:
    """One command that the agent ran, and what came back: a result, or an error."""

    command: str
    params: JsonObject
    result: Json = None
    error: ErrorShape | None = None


@dataclass(slots=True)
class ScriptedAgent:
    """Answers sentences by running commands on one node."""

    on_call: OnCall
    """Told of every command when it has come back."""
    node_id: str = ""
    """The node at the gateway; set when it is there."""
    plans: dict[str, list[tuple[str, JsonObject]]] = field(default_factory=dict)
    """Commands and parameters by sentence."""
    heard: list[str] = field(default_factory=list)
    """Every sentence, in order."""
    calls: list[Call] = field(default_factory=list)
    """Every command, in order."""

    async def turn(self, text: str, invoke: Invoke) -> str:
        """Plays one turn; returns what the agent says."""
        self.heard.append(text)
        for command, params in self.plans.get(text, []):
            call = await self._call(command, params, invoke)
            await self.on_call(call)
            self.calls.append(call)  # last: whoever waits for a call finds it told already
            if call.error is not None:
                return f"I could not do that: {call.error.message}"
        return "Done."

    async def _call(self, command: str, params: JsonObject, invoke: Invoke) -> Call:
        try:
            return Call(command, params, result=await invoke(self.node_id, command, params, timeout_ms=5_000))
        except Refusal as refusal:
            return Call(command, params, error=refusal.error)
