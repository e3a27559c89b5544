"""The conversation after hello-ok: requests and their answers, events, ticks, garbage, and rules that always hold."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway_client.frames import Event, FrameFault, JsonObject, Response
from gateway_client.protocol import (
    MAX_ANSWER,
    MAX_IN_FLIGHT,
    MAX_PAYLOAD,
    Answered,
    Arrived,
    ClientProtocol,
    Dropped,
    Fail,
    Opened,
    Output,
    State,
    Transmit,
    is_interim,
)
from gateway_client.salvage import Head
from tests.gateway_client.corpus import HELLO, TEXTS
from tests.gateway_client.malformed import cases
from tests.gateway_client.test_protocol import CHALLENGE, START, answer, client, wire

GARBAGE = [data for _, data, _ in cases()][::12]


def opened() -> ClientProtocol:
    made = client()
    made.receive(wire(CHALLENGE), START)
    assert made.receive(answer(HELLO), START) == [Opened(HELLO)]
    return made


def result(request_id: str, payload: JsonObject | None = None) -> bytes:
    return wire({"type": "res", "id": request_id, "ok": True, "payload": payload or {}})


def reply(request_id: str, payload: JsonObject | None = None) -> Response:
    return Response(request_id, True, payload or {})


def failure(request_id: str) -> bytes:
    return wire({"type": "res", "id": request_id, "ok": False, "error": {"code": "X", "message": "m"}})


def test_a_request_is_written_and_its_answer_recognised() -> None:
    made = opened()
    request_id, data = made.request("health", {"a": 1})
    assert json.loads(data) == {"type": "req", "id": request_id, "method": "health", "params": {"a": 1}}
    assert made.receive(result(request_id), START) == [Answered(reply(request_id), final=True)]
    assert made.receive(result(request_id), START) == [], "a second answer is nobody's"


def test_answers_come_in_any_order() -> None:
    made = opened()
    first, second = made.request("a", {})[0], made.request("b", {})[0]
    assert first != second
    assert made.receive(result(second), START) == [Answered(reply(second), final=True)]
    assert made.receive(result(first), START) == [Answered(reply(first), final=True)]


def test_an_agent_is_answered_twice() -> None:
    made = opened()
    request_id, _ = made.request("agent", {})
    accepted: JsonObject = {"status": "accepted", "runId": "r"}
    assert made.receive(result(request_id, accepted), START) == [Answered(reply(request_id, accepted), final=False)]
    done: JsonObject = {"status": "ok"}
    assert made.receive(result(request_id, done), START) == [Answered(reply(request_id, done), final=True)]
    assert made.receive(result(request_id, done), START) == []


@pytest.mark.parametrize(
    "method, ok, payload, interim",
    [
        ("agent", True, {"status": "accepted"}, True),
        ("agent", True, {"status": "ok"}, False),
        ("agent", True, None, False),
        ("agent", True, ["accepted"], False),
        ("agent", False, {"status": "accepted"}, False),
        ("agent.wait", True, {"status": "accepted"}, False),
        ("chat.send", True, {"status": "accepted"}, False),
    ],
)
def test_only_an_accepted_agent_is_interim(method: str, ok: bool, payload: JsonObject | None, interim: bool) -> None:
    assert is_interim(method, Response("1", ok, payload)) is interim


def test_a_failing_answer_is_final() -> None:
    made = opened()
    request_id, _ = made.request("agent", {})
    (output,) = made.receive(failure(request_id), START)
    assert isinstance(output, Answered)
    assert (output.final, output.response.ok) == (True, False)


def test_an_answer_to_a_forgotten_or_unknown_request_is_dropped() -> None:
    made = opened()
    request_id, _ = made.request("health", {})
    made.forget(request_id)
    made.forget(request_id)
    for unknown in (request_id, "id-1", "never"):
        assert made.receive(result(unknown), START) == []


def test_events_arrive_and_requests_of_the_gateway_do_not() -> None:
    made = opened()
    assert made.receive(wire({"type": "event", "event": "tick", "seq": 3}), START) == [Arrived(Event("tick", None, 3))]
    assert made.receive(wire({"type": "req", "id": "1", "method": "health"}), START) == []


def test_at_most_512_requests_wait() -> None:
    made = opened()
    ids = [made.request("health", {})[0] for _ in range(MAX_IN_FLIGHT)]
    assert len(set(ids)) == MAX_IN_FLIGHT == 512
    with pytest.raises(RuntimeError, match="512 unanswered"):
        made.request("health", {})
    made.receive(result(ids[7]), START)
    made.request("health", {})
    made.forget(ids[8])
    made.request("health", {})
    with pytest.raises(RuntimeError):
        made.request("health", {})


def test_a_request_that_cannot_be_written_takes_no_place() -> None:
    made = opened()
    for _ in range(MAX_IN_FLIGHT + 1):
        with pytest.raises(TypeError):
            made.request("health", {"n": 2**70})
    assert made.request("health", {})


@pytest.mark.parametrize("state", [State.AWAIT_CHALLENGE, State.AWAIT_HELLO, State.CLOSED])
def test_no_request_before_hello_or_after_the_end(state: State) -> None:
    made = client()
    if state is not State.AWAIT_CHALLENGE:
        made.receive(wire(CHALLENGE), START)
    if state is State.CLOSED:
        made.handle_timer(START + 15)
    assert made.state is state
    with pytest.raises(RuntimeError, match=state):
        made.request("health", {})


def test_any_frame_is_a_sign_of_life_and_silence_for_two_ticks_is_the_end() -> None:
    made = opened()
    now = START
    for data in (
        wire({"type": "event", "event": "x"}),
        result("nobody's"),
        wire({"type": "req", "id": "1", "method": "m"}),
    ):
        now += 59.9
        assert made.handle_timer(now) == []
        made.receive(data, now)
        assert made.next_deadline() == now + 60
    assert made.handle_timer(now + 59.99) == []
    assert made.handle_timer(now + 60) == [Fail(4000, "tick timeout")]
    assert made.state is State.CLOSED


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage_costs_an_open_connection_that_frame(data: bytes) -> None:
    made = opened()
    request_id, _ = made.request("health", {})
    outputs = made.receive(data, START + 1)
    for output in outputs:  # what is only too much for a phone is fine from the gateway
        assert isinstance(output, Dropped | Arrived)
        assert isinstance(output, Arrived) or (output.size, output.request_id) == (len(data), None)
    assert len(outputs) <= 1
    assert (made.state, made.next_deadline()) == (State.OPEN, START + 61), "it is a sign of life all the same"
    assert made.receive(result(request_id), START) == [Answered(reply(request_id), final=True)]


DEEP = b"[" * 100 + b"]" * 100
UNREADABLE = {
    "too deep": (b'{"type":"res","id":"%b","ok":true,"payload":' + DEEP + b"}", FrameFault.TOO_DEEP),
    "too many items": (b'{"type":"res","id":"%b","payload":[' + b"1," * 200_001 + b"1]}", FrameFault.TOO_MANY_ITEMS),
    "a name twice": (b'{"type":"res","id":"%b","ok":true,"payload":{"a":1,"a":2}}', FrameFault.DUPLICATE_KEY),
    "no shape": (b'{"type":"res","id":"%b","ok":false,"error":{}}', FrameFault.BAD_SHAPE),
    "too large": (b'{"type":"res","id":"%b","payload":"' + b"x" * MAX_ANSWER + b'"}', FrameFault.TOO_LARGE),
}


@pytest.mark.parametrize("text, fault", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_answer_that_cannot_be_taken_costs_its_request_alone(text: bytes, fault: FrameFault) -> None:
    made = opened()
    spoilt, other = made.request("agent", {})[0], made.request("health", {})[0]
    data = text % spoilt.encode()
    dropped = Dropped(fault, len(data), Head("res", spoilt), spoilt)
    assert made.receive(data, START) == [dropped]
    assert made.receive(data, START) == [replace(dropped, request_id=None)], "it is nobody's now"
    assert made.receive(result(other), START) == [Answered(reply(other), final=True)]


def test_an_event_that_cannot_be_taken_says_which_it_was() -> None:
    made = opened()
    data = b'{"type":"event","event":"chat","payload":%b}' % DEEP
    assert made.receive(data, START) == [Dropped(FrameFault.TOO_DEEP, len(data), Head("event", "", "chat"), None)]


def test_an_event_with_the_id_of_a_request_does_not_end_it() -> None:
    made = opened()
    request_id, _ = made.request("health", {})
    (dropped,) = made.receive(b'{"type":"event","id":"%b","payload":%b}' % (request_id.encode(), DEEP), START)
    assert isinstance(dropped, Dropped)
    assert dropped.request_id is None
    assert made.receive(result(request_id), START) == [Answered(reply(request_id), final=True)]


def test_half_a_surrogate_pair_is_read_as_the_replacement_character() -> None:
    made = opened()
    data = rb'{"type":"event","event":"chat","payload":{"deltaText":"\ud83d","\uDE00":"\ud83d\ude00 \\ud83d"}}'
    payload: JsonObject = {"deltaText": "\ufffd", "\ufffd": "\U0001f600 \\ud83d"}
    assert made.receive(data, START) == [Arrived(Event("chat", payload))]


def test_the_longest_answer_to_an_invoke_is_taken() -> None:
    made = opened()
    request_id, _ = made.request("node.invoke", {})
    text = "x" * (MAX_PAYLOAD - 1024)
    payload: JsonObject = {"ok": True, "payload": text, "payloadJSON": json.dumps(text)}
    assert made.receive(result(request_id, payload), START) == [Answered(reply(request_id, payload), final=True)]


@pytest.mark.parametrize("data", GARBAGE)
@pytest.mark.parametrize("state", [State.AWAIT_CHALLENGE, State.AWAIT_HELLO])
def test_garbage_before_hello_ends_it(state: State, data: bytes) -> None:
    made = client()
    if state is not State.AWAIT_CHALLENGE:
        made.receive(wire(CHALLENGE), START)
    outputs = made.receive(data, START)
    if outputs:  # what is only too much for a phone is fine from the gateway, and an unknown answer is dropped
        assert isinstance(outputs[0], Fail)
        assert (outputs[0].code, len(outputs), made.state) == (1002, 1, State.CLOSED)
        assert outputs[0].reason.isascii()
        assert len(outputs[0].reason) <= 120
    assert made.receive(wire(CHALLENGE), START) == [] or made.state is not State.CLOSED


class Conversation(RuleBasedStateMachine):
    """Any order of messages, requests and time keeps the rules of the state machine."""

    def __init__(self) -> None:
        super().__init__()
        self.made = client()
        self.now = START
        self.waiting: dict[str, str] = {}
        self.was = State.AWAIT_CHALLENGE
        self.transmitted = 0

    @initialize(friendly=st.booleans())
    def begin(self, friendly: bool) -> None:
        if friendly:
            self.take(wire(CHALLENGE))
            self.take(answer(HELLO))

    def take(self, data: bytes) -> None:
        before = self.made.state
        self.check(self.made.receive(data, self.now), before)

    def check(self, outputs: list[Output], before: State) -> None:
        assert len(outputs) <= 1
        for output in outputs:
            assert before is not State.CLOSED
            match output:
                case Transmit():
                    self.transmitted += 1
                    assert before is State.AWAIT_CHALLENGE
                case Opened():
                    assert before is State.AWAIT_HELLO
                case Answered(response=response, final=final):
                    assert response.id in self.waiting
                    if final:
                        del self.waiting[response.id]
                case Arrived():
                    assert before is State.OPEN
                case Dropped(request_id=request_id):
                    assert before is self.made.state is State.OPEN
                    assert request_id is None
                case _:
                    assert self.made.state is State.CLOSED

    @rule(data=st.sampled_from(TEXTS))
    def frame(self, data: bytes) -> None:
        self.take(data)

    @rule(data=st.sampled_from([wire(CHALLENGE), answer(HELLO), answer({"policy": {"tickIntervalMs": 1}})]))
    def step(self, data: bytes) -> None:
        self.take(data)

    @rule(data=st.sampled_from(GARBAGE))
    def garbage(self, data: bytes) -> None:
        if random.Random(len(data)).random() < 0.3:  # noqa: S311 - so that conversations last
            self.take(data)

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        deadline, before = self.made.next_deadline(), self.made.state
        outputs = self.made.handle_timer(self.now)
        assert bool(outputs) == (deadline is not None and self.now >= deadline)
        self.check(outputs, before)

    @precondition(lambda self: self.made.state is State.OPEN and len(self.waiting) < 20)
    @rule(method=st.sampled_from(["agent", "health"]))
    def ask(self, method: str) -> None:
        request_id, data = self.made.request(method, {})
        assert request_id not in self.waiting
        assert json.loads(data)["id"] == request_id
        self.waiting[request_id] = method

    @precondition(lambda self: self.waiting)
    @rule(accepted=st.booleans(), data=st.data())
    def answered(self, accepted: bool, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.waiting)))
        self.take(result(request_id, {"status": "accepted"} if accepted else {"status": "ok"}))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def given_up(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.waiting)))
        self.made.forget(request_id)
        del self.waiting[request_id]

    @invariant()
    def goes_forward_only(self) -> None:
        order = [State.AWAIT_CHALLENGE, State.AWAIT_HELLO, State.OPEN, State.CLOSED]
        assert order.index(self.made.state) >= order.index(self.was)
        self.was = self.made.state
        assert (self.made.next_deadline() is None) == (self.made.state is State.CLOSED)
        assert self.transmitted <= 1


TestConversation = Conversation.TestCase
