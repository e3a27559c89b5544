"""Pure: what a session asks for about calls that were made before (design §11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.upstream.idempotency import Change
from gateway_client.frames import JsonObject


@dataclass(frozen=True, slots=True)
class Replay:
    """Tell the gateway how an invoke ended that the node did before, under the same idempotency key.

    Attributes:
        invoke_id: the dispatch.
        result: `ok` and what the node said then.
    """

    invoke_id: str
    result: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remember:
    """Write down what the ledger of calls has changed; nothing waits for it."""

    changes: Sequence[Change] = field(repr=False)


Recall = Replay | Remember
