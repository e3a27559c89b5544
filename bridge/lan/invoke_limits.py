"""Pure: what the agent may ask of one node per second and minute, and how large it and its results may be (design §10).

An error goes to the gateway with `code` and `message` and nothing else: extra members void a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from bridge.lan.allowance import Allowance, Limit
from gateway_client.frames import Bounds, ErrorShape, FrameError, Json, JsonObject, object_of, parse_json

SNAPSHOTS = frozenset({"screen.snapshot", "canvas.snapshot"})
EVALS = frozenset({"screen.eval", "canvas.eval"})
# Bytes of a text of parameters around the source of an eval, and how many of them one byte of the source may take.
_AROUND_BYTES, _ESCAPED_BYTES = 4_096, 6
_AROUND_CHARS = 256  # of a text of JSON around a picture: names, format, width and height


@dataclass(frozen=True, slots=True)
class InvokeLimits:
    """The limits on the commands for one node, over all of its sockets.

    Args:
        allowance: what its key has left.
    """

    allowance: Allowance

    def refuse(self, command: str, params_json: str | None, now: float) -> ErrorShape | None:
        """Takes a command's share of the limits.

        Args:
            command: the command.
            params_json: its parameters, a JSON text.
            now: monotonic seconds.

        Returns:
            None: it may go to the node. Otherwise the error that it ends with.
        """
        most = self.allowance.limits.eval_max_bytes
        if command in EVALS and not _fits(params_json or "", most):
            return ErrorShape("PAYLOAD_TOO_LARGE", f"PAYLOAD_TOO_LARGE: the source of an eval has at most {most} bytes")
        wait, limit = self._take(command, now)
        if wait == 0.0:
            return None
        return ErrorShape(
            "RATE_LIMITED", f"RATE_LIMITED: too many {limit.value} for this node; retry in {ceil(wait)} s"
        )

    def _take(self, command: str, now: float) -> tuple[float, Limit]:
        if command in SNAPSHOTS:
            # What snapshots weigh is known when they are there: as long as bytes are owed, no further one is taken.
            for limit, share in ((Limit.SNAPSHOT_BYTES, 1.0), (Limit.SNAPSHOTS, 1.0)):
                wait = self.allowance.take(limit, now, share)
                if wait > 0.0:
                    return wait, limit
        return self.allowance.take(Limit.INVOKES, now), Limit.INVOKES

    def weigh(self, command: str, members: JsonObject, now: float) -> ErrorShape | None:
        """Counts what a result weighs.

        Args:
            command: the command that it answers.
            members: of `node.invoke.result`: payloadJSON or payload.
            now: monotonic seconds.

        Returns:
            None: it may go to the gateway. Otherwise the error that takes its place.
        """
        if command not in SNAPSHOTS:
            return None
        size = decoded_bytes(members)
        self.allowance.charge(Limit.SNAPSHOT_BYTES, now, size)
        most = self.allowance.limits.snapshot_max_bytes
        if size <= most:
            return None
        return ErrorShape("PAYLOAD_TOO_LARGE", f"PAYLOAD_TOO_LARGE: a snapshot of {size} bytes; at most {most}")


def _fits(params_json: str, most: int) -> bool:
    """Whether the source in the parameters has at most so many bytes; of a text that is no JSON, the text itself."""
    if len(params_json) <= most // 4:
        return True  # whatever its characters are
    data = params_json.encode("utf-8")
    try:
        params = object_of(parse_json(data, Bounds(max_bytes=most * _ESCAPED_BYTES + _AROUND_BYTES)))
    except FrameError:
        return len(data) <= most
    return all(len(text.encode("utf-8")) <= most for text in params.values() if isinstance(text, str))


def decoded_bytes(members: JsonObject) -> int:
    r"""Returns how many bytes the picture in a result has: three for every four characters, none for what is around it.

    It is weighed wherever it stands. A text of JSON is not parsed for that; a device may write each slash of base64 as
    `\/`.
    """
    text = members.get("payloadJSON")
    written = max(0, len(text) - text.count("\\") - _AROUND_CHARS) if isinstance(text, str) else 0
    return (written + _characters(members.get("payload"))) * 3 // 4


def _characters(payload: Json) -> int:
    """Characters of the longest text, which is the picture, and of what is more than has to be around it."""
    longest = every = 0
    waiting = [payload]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            longest, every = max(longest, len(value)), every + len(value)
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            every += sum(map(len, value))
            waiting += value.values()
    return longest + max(0, every - longest - _AROUND_CHARS)
