"""A frame of a peer that is in: what is too large or too soon is answered before it is parsed, and nobody else pays."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from acl.model import Policy
from acl.permissions import PROFILES, Permission
from bridge.config import LimitsTable
from bridge.lan.events import Admitted, Close, Forward, Penalise, Send
from bridge.lan.intake import MAX_BYTES, MAX_BYTES_OF, limits_of, most_bytes
from bridge.pairing.records import Role
from tests.bridge.lan.invokes import invoked
from tests.bridge.lan.phones import IPHONE, NODE_TOKEN, OPERATOR_TOKEN
from tests.bridge.lan.playbook import Talk, book, node_in, operator_in, play, req

FULL = frozenset({*PROFILES["full"], Permission.NODES})
FRAME = 26_214_400


def node(**limits: int) -> Talk:
    return node_in(IPHONE, FULL, limits=LimitsTable(**limits))


def answers(talk: Talk, frame: Any, times: int) -> list[Any]:
    """Sends a frame many times within no time; returns the error codes, None for whatever is none."""
    found: list[Any] = []
    for number in range(times):
        if talk.closed is None:
            talk.receives({**frame, "id": f"q{number}"})
            found += [sent["error"]["code"] for sent in talk.sent if sent.get("ok") is False]
            found += [None] * any(isinstance(one, Forward | Send) for one in talk.did)
    return found


# Rates.


def test_a_burst_of_calls_passes_and_the_next_is_told_when_to_come_again() -> None:
    """Red when `Intake` does not take of `Limit.CALLS`."""
    talk = node(calls_burst=3)
    for number in range(3):
        assert talk.asks("node.pluginSurface.refresh", {}, f"a{number}").error["code"] == "UNAVAILABLE"
    error = talk.asks("node.pluginSurface.refresh", {}, "b").error
    assert error["code"] == "RATE_LIMITED"
    assert (error["retryable"], error["retryAfterMs"]) == (True, 50)
    assert error["details"] == {"limit": "calls"}
    talk.after(error["retryAfterMs"] / 1000)
    assert talk.asks("node.pluginSurface.refresh", {}, "c").error["code"] == "UNAVAILABLE"


def test_no_code_of_the_answer_makes_an_app_stop_for_good() -> None:
    """Apps pause until a person acts on AUTH_RATE_LIMITED (mobile-clients §3.5)."""
    talk = node(calls_burst=1)
    talk.asks("node.list")
    assert "AUTH" not in orjson.dumps(talk.asks("node.list", request_id="x").sent).decode()


def test_the_third_burst_in_a_row_closes_and_keeps_the_key_out() -> None:
    """F3. Red when `over` is not acted upon, and when an answer over the limit is a refusal."""
    talk = node()
    seen = answers(talk, req("node.pluginSurface.refresh", {}), 10_000)
    assert seen.count("UNAVAILABLE") == 40
    assert seen.count("RATE_LIMITED") == 81
    assert [type(command) for command in talk.did][-2:] == [Penalise, Close]
    talk.ends(1008, "too many calls")


def test_a_client_that_comes_when_it_was_told_is_never_closed() -> None:
    talk = node(calls_burst=1)
    for number in range(500):
        talk.asks("node.list", request_id=f"r{number}")
        if talk.sent:
            talk.after(talk.error["retryAfterMs"] / 1000)
    assert talk.closed is None


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("health", {}),
        ("node.invoke.result", {"id": "late", "nodeId": IPHONE.node_id, "ok": True}),
        ("node.invoke.progress", {"invokeId": "x", "nodeId": IPHONE.node_id, "seq": 0, "chunk": ""}),
        ("node.skills.update", {"skills": []}),
        ("node.pluginTools.update", {}),
        ("node.runnerInventory.update", {}),
        ("skills.bins", {}),
    ],
)
def test_what_answers_or_publishes_is_outside(method: str, params: Any) -> None:
    """Red when `_OUTSIDE` lacks a method: an app whose `health` fails three times drops its sockets."""
    talk = node(calls_burst=1)
    talk.asks("node.list", request_id="spent")
    for number in range(300):
        talk.asks(method, params, f"h{number}")
        assert talk.sent[0]["ok"] is True, talk.sent


def test_health_is_outside_at_an_operator_socket_too() -> None:
    talk = operator_in(IPHONE, limits=LimitsTable(calls_burst=1))
    talk.asks("agents.list")
    for number in range(300):
        assert talk.asks("health", request_id=f"h{number}").payload["ok"] is True
    assert talk.asks("agents.list", request_id="x").error["code"] == "RATE_LIMITED"


def test_both_sockets_of_a_phone_take_of_one_allowance() -> None:
    """Red when the allowance is the socket's."""
    record = IPHONE.record()
    listed = book(record, limits=LimitsTable(calls_burst=2))
    operator = play(listed).receives(IPHONE.connect("operator", {"token": OPERATOR_TOKEN}, ("operator.read",)))
    operator.gets(Admitted(record)).asks("agents.list").asks("models.list", request_id="r2")
    own = play(listed).receives(IPHONE.connect(auth={"deviceToken": NODE_TOKEN})).gets(Admitted(record))
    assert own.asks("node.list").error["code"] == "RATE_LIMITED"


def test_an_event_over_its_limit_is_not_handled_and_never_an_error() -> None:
    """An app sends events without waiting for an answer; its stats must not end its socket."""
    talk = node(events_per_minute=3)
    for number in range(1_000):
        talk.asks("node.event", {"event": "node.host.stats", "payloadJSON": "{}"}, f"e{number}")
    assert talk.payload == {"ok": True, "event": "node.host.stats", "handled": False, "reason": "rate_limited"}
    assert talk.closed is None
    assert talk.after(20).asks("node.event", {"event": "node.host.stats", "payloadJSON": "{}"}, "n").forward.method


@pytest.mark.parametrize(
    ("event", "payload", "limit"),
    [
        ("voice.transcript", {"text": "hello"}, "voice_per_minute"),
        ("agent.request", {"message": "hello"}, "agent_per_minute"),
    ],
)
def test_what_begins_a_turn_has_a_limit_of_its_own(event: str, payload: Any, limit: str) -> None:
    """Red when `_EVENT_LIMITS` lacks the event."""
    talk = node(**{limit: 2})
    params = {"event": event, "payloadJSON": orjson.dumps(payload).decode()}
    for number in range(2):
        assert talk.asks("node.event", params, f"e{number}").forward.method == "node.event"
    assert talk.asks("node.event", params, "over").payload["reason"] == "rate_limited"
    assert talk.asks("node.event", {"event": "node.host.stats", "payloadJSON": "{}"}, "other").forward.method


def test_turns_by_call_and_by_event_are_counted_together() -> None:
    talk = node(agent_per_minute=2)
    params = {"message": "hello", "idempotencyKey": "k"}
    assert talk.asks("agent", params, "a").forward.method == "agent"
    talk.asks("node.event", {"event": "agent.request", "payloadJSON": '{"message":"hello"}'}, "b")
    assert talk.asks("agent", {**params, "idempotencyKey": "k2"}, "c").error["details"] == {"limit": "agent"}
    assert talk.asks("agent.wait", {"runId": "k"}, "d").forward.method == "agent.wait"


def test_frames_that_hide_what_they_are_take_as_much_as_others() -> None:
    """Red when what the parser finds is not charged: a method behind an escape would be free."""
    hidden = b'{"type":"req","id":"%d","method":"node\\u002elist"}'
    talk = node(calls_burst=2)
    for number in range(2):
        assert talk.receives(hidden % number).forward.method == "node.list"
    assert talk.receives(hidden % 9).error["code"] == "RATE_LIMITED"
    event = b'{"type":"req","id":"e%d","method":"node\\u002eevent","params":{"event":"voice.wake"}}'
    talk = node(events_per_minute=1)
    talk.named(e1="node.event", e2="node.event")
    assert talk.receives(event % 1).payload["reason"] == "not_permitted"
    assert talk.receives(event % 2).payload["reason"] == "rate_limited"


def test_frames_that_hide_what_they_are_may_be_no_larger_than_others() -> None:
    """Red when only the sizes are asked for that stand at the ends of a frame."""
    hidden = b'{"type":"req","id":"h","method":"h\\u0065alth","params":{"x":"%b"}}'
    talk = node().named(h="health")
    assert talk.receives(hidden % b"").payload["ok"] is True
    assert talk.receives(hidden % (b"y" * 5_000)).error["details"]["maxBytes"] == 4_096


def test_the_name_of_a_hidden_event_is_not_sent_back_whatever_its_length() -> None:
    """Red when an answer repeats what the parser found: the frame has no cap but that of every method."""
    hidden = b'{"type":"req","id":"e","method":"node\\u002eevent","params":{"event":"%b"}}'
    talk = node(events_per_minute=1).named(e="node.event")
    talk.receives(hidden % b"voice.wake").receives(hidden % (b"y" * 500_000))
    assert talk.payload == {"ok": True, "event": "unknown", "handled": False, "reason": "rate_limited"}


def test_a_flood_that_nobody_can_be_answered_ends_soon() -> None:
    """Without a readable id there is no answer, so it counts as malformed."""
    talk = node(calls_burst=1)
    for _ in range(12):
        if talk.closed is None:
            talk.receives(b'{"type":"req","id":"\\u0061","method":"node.list"}')
    talk.ends(1008, "repeated refused calls")


# Sizes.


def padded(method: str, size: int, **members: Any) -> bytes:
    frame = req(method, {**members, "x": ""})
    return orjson.dumps(req(method, {**members, "x": "y" * (size - len(orjson.dumps(frame)))}))


@pytest.mark.parametrize("method", ["node.list", "node.invoke.progress", "node.pending.ack", "node.event", "agent"])
def test_more_bytes_than_a_method_may_have_are_refused_with_its_id_and_the_socket_stays(method: str) -> None:
    """Red when `len(data) > most` is not asked: the parser would see it."""
    most = most_bytes(method, FRAME)
    talk = node()
    talk.receives(padded(method, most + 1))
    assert talk.error["code"] == "PAYLOAD_TOO_LARGE"
    assert talk.error["details"] == {"bytes": most + 1, "maxBytes": most}
    assert talk.closed is None
    talk.asks("health", request_id="h")
    assert talk.payload["ok"] is True


def test_a_frame_that_is_too_large_is_not_parsed() -> None:
    talk = node()
    data = b'{"type":"req","id":"r1","method":"node.list","params":' + b"[" * (MAX_BYTES + 1)
    assert talk.receives(data).error["code"] == "PAYLOAD_TOO_LARGE", "its brackets were not looked at"


def test_at_the_cap_it_goes_on() -> None:
    talk = node()
    assert talk.receives(padded("node.list", MAX_BYTES)).forward.method == "node.list"
    key = {"id": "i1", "nodeId": IPHONE.node_id, "ok": True}
    assert invoked(node()).receives(padded("node.invoke.result", 20_000_000, **key)).forward.method


def test_reading_pauses_after_large_frames_on_every_socket_of_the_key() -> None:
    """Red when a frame is charged without its size."""
    talk = node().named(r1="node.invoke.result")
    for number in range(2):
        assert talk.session.pause(talk.now) == 0.0
        talk.receives(padded("node.invoke.result", 20_000_000, id=f"i{number}", nodeId=IPHONE.node_id, ok=True))
    assert 0.0 < talk.session.pause(talk.now) < 2.2
    assert talk.after(2.2).session.pause(talk.now) == 0.0


def test_sizes_never_count_as_refusals_but_as_calls() -> None:
    """An app with a long text is told so, again and again; a flood of long texts is a flood."""
    talk = node()
    data = padded("health", 5_000)
    for _ in range(40):
        assert talk.receives(data).error["code"] == "PAYLOAD_TOO_LARGE"
    assert talk.receives(data).error["code"] == "RATE_LIMITED"
    assert talk.closed is None
    assert talk.session.directory.allowance(IPHONE.node_id).refused == {"too-large": 40}


def test_large_frames_without_an_id_count_as_malformed() -> None:
    talk = node()
    for _ in range(11):
        talk.receives(b"[" * (MAX_BYTES + 1))
    talk.ends(1008)


def test_no_method_has_a_larger_cap_than_the_frame() -> None:
    for method in [*MAX_BYTES_OF, "other"]:
        assert most_bytes(method, 65_536) <= 65_536
        assert most_bytes(method, FRAME) <= FRAME


# Refusals.


def test_what_the_owner_narrows_is_no_sign_of_an_attack() -> None:
    """A person who says "/new" to the agent twenty times is refused twenty times. Red when `counts` says otherwise."""
    talk = node()
    for number in range(19):
        talk.asks("agent", {"message": "/new", "idempotencyKey": f"k{number}"}, f"a{number}")
        assert talk.error["details"]["code"] == "POLICY"
    assert talk.closed is None
    allowance = talk.session.directory.allowance(IPHONE.node_id)
    assert (allowance.refusals.row, allowance.refused) == (0, {"policy": 19})


def test_parameters_that_an_app_of_another_version_sends_do_not_keep_it_out() -> None:
    """Its outbox sends a message again and again. Red when `counts` in bridge/lan/operator_traffic.py is left out."""
    talk = operator_in(IPHONE, FULL)
    for number in range(39):
        talk.asks("chat.send", {"sessionKey": "main", "message": 7, "idempotencyKey": "k"}, f"c{number}")
        assert talk.error["code"] == "INVALID_REQUEST"
    assert talk.closed is None
    allowance = talk.session.directory.allowance(IPHONE.node_id)
    assert (allowance.refusals.row, allowance.refused) == (0, {"malformed": 39})


def test_an_accepted_call_ends_the_row() -> None:
    """Red without `accept` in `Intake._settle`: an app that is refused now and then would be closed some day."""
    talk = node()
    for number in range(10):
        talk.asks("config.set", {}, f"x{number}")
    talk.asks("health", request_id="h").asks("config.set", {}, "one more")
    assert talk.closed is None
    assert talk.session.directory.allowance(IPHONE.node_id).refusals.row == 1


@pytest.mark.parametrize("method", ["node.event", "node.invoke.result", "node.pending.pull", "node.skills.update"])
def test_what_is_outside_for_a_node_is_a_call_on_an_operator_socket(method: str) -> None:
    """Red when `limits_of` or `_limited` does not ask for the role: it would be refused without a limit."""
    talk = operator_in(IPHONE, FULL, limits=LimitsTable(calls_burst=1, voice_per_minute=1))
    assert talk.asks(method, {"event": "voice.transcript"}, "a").error["code"] != "RATE_LIMITED"
    assert talk.asks(method, {"event": "voice.transcript"}, "b").error["details"] == {"limit": "calls"}
    talk.after(1).asks(method, {"event": "voice.transcript"}, "c")
    assert talk.error["code"] != "RATE_LIMITED", "what an event of a node takes is not taken"


def test_a_method_of_another_role_counts_and_the_eleventh_in_a_row_closes() -> None:
    talk = node()
    for number in range(10):
        assert talk.asks("config.set", {}, f"x{number}").error["message"] == "unauthorized role: node"
    assert talk.closed is None
    talk.asks("config.set", {}, "last").ends(1008, "repeated refused calls")
    assert talk.session.directory.allowance(IPHONE.node_id).refused == {"role": 11}


def test_a_limit_is_neither_a_refusal_nor_an_accepted_call() -> None:
    """Red when an answer over the limit ends the row: ten refusals, one flood, ten more."""
    talk = node(calls_burst=10)
    for number in range(10):
        talk.asks("config.set", {}, f"x{number}")
    for number in range(15):
        talk.asks("node.list", {}, f"y{number}")
    assert talk.error["code"] == "RATE_LIMITED"
    assert talk.closed is None
    talk.after(0.06).asks("config.set", {}, "last").ends(1008)


@pytest.mark.parametrize("kind", ["malformed", "role", "scope", "policy"])
def test_refusals_are_told_apart_for_status(kind: str) -> None:
    talk = operator_in(IPHONE, scopes=("operator.read",)) if kind == "scope" else node_in(IPHONE, FULL, policy=Policy())
    {
        "malformed": lambda: talk.receives(b"{}"),
        "role": lambda: talk.asks("config.set"),
        "scope": lambda: talk.asks("chat.send", {}),
        "policy": lambda: talk.asks("node.invoke", {"nodeId": "x", "command": "y", "idempotencyKey": "k"}),
    }[kind]()
    assert talk.session.directory.allowance(IPHONE.node_id).refused == {kind: 1}


@pytest.mark.parametrize("role", list(Role))
def test_an_unknown_method_is_a_call_like_any_other(role: Role) -> None:
    assert [limit.value for limit in limits_of("", role)] == ["calls"]
    assert [limit.value for limit in limits_of("x.y", role)] == ["calls"]
