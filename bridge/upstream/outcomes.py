"""Pure: the invokes that a node has not answered yet. Each leaves this table exactly once, with its one outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from gateway_client.frames import Json, JsonObject, object_of, text_of

DEFAULT_TIMEOUT_MS = 30_000  # milliseconds: what an absent timeoutMs means (gateway-protocol §5.2)
MAX_TIMEOUT_MS = 3_600_000  # milliseconds: no invoke is remembered for longer than an hour
MAX_NAME_CHARS = 256


@dataclass(frozen=True, slots=True)
class Invoke:
    """One command that the gateway dispatched to a node.

    Attributes:
        id: the gateway's id of this dispatch.
        command: what to do.
        params_json: JSON text of the parameters, passed on as it is; None: none.
        timeout_ms: what is left of the caller's time.
        idempotency_key: the caller's key, if any.
        deadline: monotonic seconds at which the caller has given up.
    """

    id: str
    command: str
    params_json: str | None = field(repr=False)
    timeout_ms: int
    idempotency_key: str | None
    deadline: float

    def request_for(self, node_id: str) -> JsonObject:
        """Returns the payload of `node.invoke.request` for the node that knows itself as `node_id`."""
        payload: JsonObject = {"id": self.id, "nodeId": node_id, "command": self.command, "timeoutMs": self.timeout_ms}
        if self.params_json is not None:
            payload["paramsJSON"] = self.params_json
        if self.idempotency_key is not None:
            payload["idempotencyKey"] = self.idempotency_key
        return payload


def read_invoke(payload: Json, now: float) -> Invoke | None:
    """Reads the payload of `node.invoke.request`; None when it is none.

    Args:
        payload: from the gateway.
        now: monotonic seconds.
    """
    invoke_id, command = text_of(payload, "id"), text_of(payload, "command")
    if invoke_id is None or command is None or len(invoke_id) > MAX_NAME_CHARS or len(command) > MAX_NAME_CHARS:
        return None
    fields = object_of(payload)
    params, timeout = fields.get("paramsJSON"), fields.get("timeoutMs")
    timeout_ms = _milliseconds(timeout)
    return Invoke(
        invoke_id,
        command,
        params if isinstance(params, str) else None,
        timeout_ms,
        text_of(payload, "idempotencyKey"),
        now + timeout_ms / 1000,
    )


def _milliseconds(timeout: Json) -> int:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        return DEFAULT_TIMEOUT_MS
    return max(1, int(min(timeout, MAX_TIMEOUT_MS)))


@dataclass(slots=True)
class InFlight:
    """The unanswered invokes of one node."""

    LIMIT: ClassVar[int] = 40
    """Invokes at once: 8 that a phone works on and 32 that wait (design §10); each entry is below 1 KiB without its
    parameters, which are not kept."""

    _open: dict[str, Invoke] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether another one has no place."""
        return len(self._open) >= self.LIMIT

    def has(self, invoke_id: str) -> bool:
        """Whether this invoke waits for its result."""
        return invoke_id in self._open

    def add(self, invoke: Invoke) -> None:
        """Begins to wait for a result.

        Raises:
            ValueError: there is no place, or the id is in use: the caller checks both first.
        """
        if self.full or self.has(invoke.id):
            raise ValueError("no place for this invoke")
        self._open[invoke.id] = Invoke(invoke.id, invoke.command, None, invoke.timeout_ms, None, invoke.deadline)

    def settle(self, invoke_id: str) -> Invoke | None:
        """Ends an invoke; returns it, or None when it is not open: unknown, already settled, or too late."""
        return self._open.pop(invoke_id, None)

    def overdue(self, now: float) -> list[Invoke]:
        """Ends and returns the invokes whose time is up."""
        return self._end(invoke for invoke in self._open.values() if invoke.deadline <= now)

    def drain(self) -> list[Invoke]:
        """Ends and returns all of them."""
        return self._end(self._open.values())

    def _end(self, invokes: Iterable[Invoke]) -> list[Invoke]:
        ended = list(invokes)
        for invoke in ended:
            del self._open[invoke.id]
        return ended

    def next_deadline(self) -> float | None:
        """Returns when the next invoke is overdue, in monotonic seconds; None: none is open."""
        return min((invoke.deadline for invoke in self._open.values()), default=None)
