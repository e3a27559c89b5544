"""Pure: what the gateway dispatches to a node, read from its event (gateway-protocol §5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

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

    def request_for(self, node_id: str, now: float) -> JsonObject:
        """Returns the payload of `node.invoke.request`.

        Args:
            node_id: what the node knows itself as.
            now: monotonic seconds: of the caller's time, what is left now is the node's.
        """
        left = max(1, min(self.timeout_ms, round((self.deadline - now) * 1000)))
        payload: JsonObject = {"id": self.id, "nodeId": node_id, "command": self.command, "timeoutMs": left}
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
