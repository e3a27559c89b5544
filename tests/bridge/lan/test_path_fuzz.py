"""D16: the whole way of a frame, from its bytes to what goes to the gateway, against a flood of damaged ones.

No exception, no frame that takes long, and to the gateway goes only what is a request by the strict reading of the
reference, with parameters that the gateway's official schema takes. Guards: with `_count_members` of the frame reader
left out, a request with a member that stands twice goes on; with the kinds of operator_params taking anything, calls
with parameters of another type do.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from acl.permissions import Permission
from acl.refusals import RefusalMeter
from bridge.lan.events import Command, Fault, Forward, FromGateway, Instant, Report, Unanswered
from bridge.lan.intake import MAX_ITEMS
from gateway_client.frames import Bounds, Event
from tests.bridge.lan.broken_once import BROKEN_ONCE
from tests.bridge.lan.path_corpus import FIRST, INVOKE, OF_A_NODE, OF_AN_OPERATOR, mutants
from tests.bridge.lan.phones import IPHONE, Json
from tests.bridge.lan.playbook import TERMS, Talk, node_in, operator_in, play
from tests.gateway_client.reference import Refused, reference_parse
from tests.support import schema
from tests.support.scale import is_full, seed

COUNT = 1_000_000 if is_full() else 50_000
HANG_S = 0.1  # of CPU, which no frame may take
ALL = frozenset(Permission)
BOUNDS = Bounds(max_bytes=TERMS.frame_max_bytes, max_items=MAX_ITEMS)
REQUEST = {"type", "id", "method", "params", "traceparent", "expectedProfileId"}


class Patient(RefusalMeter):
    """Never has enough, so that one socket can be told everything."""

    def refuse(self, now: float) -> bool:
        return False


class Quick(Talk):
    """A conversation whose own frames are not held against the schema: what is forwarded is."""

    def _hold_against_schema(self, command: Command) -> None:
        pass

    @classmethod
    def of(cls, talk: Talk) -> Quick:
        quick = cls.__new__(cls)
        quick.__dict__ = talk.__dict__
        return quick


def node() -> Quick:
    talk = Quick.of(node_in(IPHONE, ALL, meters={IPHONE.node_id: Patient()}))
    return ask_the_node(talk)


def ask_the_node(talk: Quick) -> Quick:
    """An invoke for results to answer."""
    talk.gets(
        FromGateway(Event("node.invoke.request", {"id": INVOKE, "command": "device.info", "timeoutMs": 3_600_000}))
    )
    return talk


def operator() -> Quick:
    return Quick.of(operator_in(IPHONE, ALL, meters={IPHONE.node_id: Patient()}))


class Play:
    """A fuzz run.

    Attributes:
        outcomes: what became of the frames.
        slowest: seconds of CPU of the slowest.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    def frame(self, talk: Quick, data: bytes) -> list[str]:
        """Plays one frame and looks at what came of it; returns the methods that were forwarded."""
        started = time.process_time()
        talk.receives(data)
        took = time.process_time() - started
        self.slowest = max(self.slowest, took)
        assert took < HANG_S, data[:300]
        forwards = [command for command in talk.did if isinstance(command, Forward)]
        if forwards or any(isinstance(command, Report) for command in talk.did):
            assert is_request(data), data
        for forward in forwards:
            self.outcomes[f"forwarded {forward.method}"] += 1
            fits(forward.method, forward.params)
        if not forwards:
            self.outcomes["stayed"] += 1
        for forward in forwards:
            talk.gets(Unanswered(forward.key, Fault.GONE))
        talk.notes.clear()
        talk.now = Instant(talk.now.mono + 0.001, talk.now.wall + timedelta(milliseconds=1))
        return [forward.method for forward in forwards]

    def tell(self, name: str) -> None:
        """Shows the figures."""
        total = sum(self.outcomes.values())
        figures = f"{total} frames, {self.outcomes['stayed']} stayed, slowest {self.slowest * 1000:.1f} ms"
        print(f"\nseed {seed()}: {name}: {figures}")  # noqa: T201 - a figure to report


def is_request(data: bytes) -> bool:
    """Whether the strict reference reads the bytes as a request."""
    try:
        frame = reference_parse(data, BOUNDS)
    except Refused:
        return False
    return isinstance(frame, dict) and frame.get("type") == "req" and frame.keys() <= REQUEST


def fits(method: str, params: Json) -> None:
    """Whether the gateway's schema takes what is forwarded; methods without a definition take an object."""
    assert isinstance(params, dict), method
    with suppress(KeyError):  # of some methods the schema defines no parameters
        schema.validate(schema.params_definition(method), params, strict=True)


def fuzzed(name: str, make: Any, frames: tuple[Json, ...], count: int) -> Play:
    rng, run = random.Random(f"{seed()}-{name}"), Play()  # noqa: S311 - repeatable, not secret
    talk = make()
    for data in itertools.chain(BROKEN_ONCE.values(), itertools.islice(mutants(rng, frames), count)):
        forwarded = run.frame(talk, data)
        if talk.closed is not None:
            talk = make()
        elif "node.invoke.result" in forwarded:
            ask_the_node(talk)
    run.tell(name)
    return run


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "make", "frames", "share"),
    [("node", node, OF_A_NODE, 45), ("operator", operator, OF_AN_OPERATOR, 45)],
    ids=["node", "operator"],
)
def test_d16_of_damaged_frames_of_a_peer_that_is_in_only_whole_ones_go_on(
    name: str, make: Any, frames: tuple[Json, ...], share: int
) -> None:
    run = fuzzed(name, make, frames, COUNT * share // 100)
    went_on = {what for what in run.outcomes if what != "stayed"}
    methods = {f"forwarded {frame['method']}" for frame in frames}
    assert len(went_on & methods) > len(methods) / 2, "the damage is too great to test much"
    assert run.outcomes["stayed"] > COUNT * share / 100 / 3


@pytest.mark.real
def test_d16_of_damaged_first_frames_none_goes_on() -> None:
    run = fuzzed("first", lambda: Quick.of(play()), FIRST, COUNT // 10)
    assert run.outcomes.keys() == {"stayed"}
