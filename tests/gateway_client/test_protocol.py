"""The handshake as a conversation: challenge, connect, hello-ok or a refusal; no loop, no socket."""

import dataclasses
import itertools
import json
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway_client.frames import ErrorShape, Json, JsonObject
from gateway_client.identity import DeviceIdentity, SignedFields, verify_payload
from gateway_client.protocol import (
    DEFAULT_TICK_MS,
    HANDSHAKE_S,
    ClientProtocol,
    ConnectProfile,
    Credentials,
    Fail,
    Opened,
    Output,
    Refused,
    State,
    Transmit,
)
from tests.gateway_client.corpus import HELLO

IDENTITY = DeviceIdentity(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CHALLENGE: JsonObject = {"type": "event", "event": "connect.challenge", "payload": {"nonce": "N", "ts": 1795208478080}}
NODE = ConnectProfile(
    client={"id": "openclaw-ios", "version": "1", "platform": "iOS 26.1", "deviceFamily": "iPhone", "mode": "node"},
    role="node",
    caps=["screen"],
    commands=["screen.show", "screen.eval"],
    permissions={"camera": True},
    extra={"locale": "de"},
)
OPERATOR = ConnectProfile(
    client={"id": "gateway-client", "version": "1", "platform": "darwin", "mode": "backend"},
    role="operator",
    scopes=["operator.read", "operator.write"],
    caps=["never sent"],
    commands=["never sent"],
    permissions={"never": True},
)
START = 1000.0  # monotonic seconds


def wire(document: JsonObject) -> bytes:
    return json.dumps(document).encode()


def ids() -> Iterator[str]:
    return (f"id-{number}" for number in itertools.count(1))


def client(
    profile: ConnectProfile = NODE,
    credentials: Credentials | None = None,
    identity: DeviceIdentity | None = IDENTITY,
    payload_version: int = 3,
) -> ClientProtocol:
    source = ids()
    return ClientProtocol(
        profile,
        credentials or Credentials(),
        identity,
        new_id=lambda: next(source),
        now=START,
        payload_version=payload_version,
    )


def sent(outputs: list[Output]) -> JsonObject:
    """Return the one message that has to go out."""
    assert len(outputs) == 1
    assert isinstance(outputs[0], Transmit)
    frame: JsonObject = json.loads(outputs[0].data)
    return frame


def connect_of(made: ClientProtocol) -> dict[str, Json]:
    frame = sent(made.receive(wire(CHALLENGE), START))
    assert made.state is State.AWAIT_HELLO
    params = frame.pop("params")
    assert frame == {"type": "req", "id": "id-1", "method": "connect"}
    assert isinstance(params, dict)
    return params


def answer(payload: Json = None, **more: Json) -> bytes:
    return wire({"type": "res", "id": "id-1", "ok": True, "payload": payload, **more})


SIGNED = SignedFields(
    device_id=IDENTITY.device_id,
    client_id="openclaw-ios",
    client_mode="node",
    role="node",
    scopes=(),
    signed_at_ms=1795208478080,
    token="",
    nonce="N",
    platform="iOS 26.1",
    device_family="iPhone",
)


def signature_of(params: dict[str, Json]) -> str:
    device = params["device"]
    assert isinstance(device, dict)
    signature = device.pop("signature")
    assert isinstance(signature, str)
    return signature


def test_a_node_declares_its_surface_and_signs_the_challenge() -> None:
    params = connect_of(client())
    assert verify_payload(IDENTITY.public_key, SIGNED, signature_of(params)) == 3
    assert params == {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": NODE.client,
        "role": "node",
        "scopes": [],
        "locale": "de",
        "caps": ["screen"],
        "commands": ["screen.show", "screen.eval"],
        "permissions": {"camera": True},
        "device": {
            "id": IDENTITY.device_id,
            "publicKey": IDENTITY.public_key_text,
            "signedAt": 1795208478080,
            "nonce": "N",
        },
    }


def test_the_backend_operator_has_no_device_and_declares_no_surface() -> None:
    assert connect_of(client(OPERATOR, Credentials("token", "S"), None)) == {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": OPERATOR.client,
        "role": "operator",
        "scopes": ["operator.read", "operator.write"],
        "auth": {"token": "S"},
    }


def test_a_node_without_permissions_sends_none() -> None:
    assert "permissions" not in connect_of(client(dataclasses.replace(NODE, permissions={})))


@pytest.mark.parametrize("kind", ["token", "deviceToken", "bootstrapToken"])
def test_a_token_is_presented_and_signed(kind: str) -> None:
    params = connect_of(client(credentials=Credentials(kind, "S")))
    assert params["auth"] == {kind: "S"}
    signature = signature_of(params)
    assert verify_payload(IDENTITY.public_key, dataclasses.replace(SIGNED, token="S"), signature) == 3
    assert verify_payload(IDENTITY.public_key, SIGNED, signature) is None


def test_a_password_is_presented_and_never_signed() -> None:
    params = connect_of(client(credentials=Credentials("password", "S")))
    assert params["auth"] == {"password": "S"}
    assert verify_payload(IDENTITY.public_key, SIGNED, signature_of(params)) == 3


def test_nothing_is_presented_in_mode_none() -> None:
    assert "auth" not in connect_of(client(credentials=Credentials("none", "ignored")))
    assert Credentials("none", "ignored").signed_token == ""


def test_version_2_is_signed_when_asked_for() -> None:
    assert verify_payload(IDENTITY.public_key, SIGNED, signature_of(connect_of(client(payload_version=2)))) == 2


def test_a_client_without_platform_signs_empty_fields() -> None:
    bare = dataclasses.replace(NODE, client={"id": "openclaw-ios", "mode": "node", "platform": None})
    fields = dataclasses.replace(SIGNED, platform="", device_family="")
    assert verify_payload(IDENTITY.public_key, fields, signature_of(connect_of(client(bare)))) == 3


def test_secrets_are_not_printed() -> None:
    assert "S3CRET" not in repr(Credentials("token", "S3CRET"))


@pytest.mark.parametrize("ts", [0, 1, 2**53 - 1])
def test_any_count_is_a_time(ts: int) -> None:
    made = client()
    params = sent(made.receive(wire({**CHALLENGE, "payload": {"nonce": "N", "ts": ts}}), START))["params"]
    assert isinstance(params, dict)
    assert params["device"] == {**_object(params["device"]), "signedAt": ts, "nonce": "N"}


def _object(value: Json) -> JsonObject:
    assert isinstance(value, dict)
    return value


NOT_A_CHALLENGE: dict[str, JsonObject] = {
    "another event": {**CHALLENGE, "event": "tick"},
    "a request": {"type": "req", "id": "1", "method": "connect.challenge"},
    "a response": {"type": "res", "id": "1", "ok": True, "payload": CHALLENGE["payload"]},
    "no payload": {"type": "event", "event": "connect.challenge"},
    "a list": {**CHALLENGE, "payload": ["N", 1]},
    "no nonce": {**CHALLENGE, "payload": {"ts": 1}},
    "empty nonce": {**CHALLENGE, "payload": {"nonce": "", "ts": 1}},
    "nonce is a number": {**CHALLENGE, "payload": {"nonce": 1, "ts": 1}},
    "no time": {**CHALLENGE, "payload": {"nonce": "N"}},
    "time is null": {**CHALLENGE, "payload": {"nonce": "N", "ts": None}},
    "time is text": {**CHALLENGE, "payload": {"nonce": "N", "ts": "1"}},
    "time is true": {**CHALLENGE, "payload": {"nonce": "N", "ts": True}},
    "time is a fraction": {**CHALLENGE, "payload": {"nonce": "N", "ts": 1.5}},
    "time is negative": {**CHALLENGE, "payload": {"nonce": "N", "ts": -1}},
}


@pytest.mark.parametrize("document", NOT_A_CHALLENGE.values(), ids=NOT_A_CHALLENGE.keys())
def test_what_is_no_challenge_ends_it_and_nothing_is_sent(document: JsonObject) -> None:
    made = client()
    (output,) = made.receive(wire(document), START)
    assert isinstance(output, Fail)
    assert (output.code, made.state, made.next_deadline()) == (1002, State.CLOSED, None)


def test_hello_ok_opens_it() -> None:
    made = client()
    connect_of(made)
    assert made.receive(answer(HELLO), START + 1) == [Opened(HELLO)]
    assert (made.state, made.max_payload) == (State.OPEN, 26_214_400)
    assert made.next_deadline() == START + 1 + 60


@pytest.mark.parametrize("payload", [{}, None, [], "hello-ok", {"type": "hello-ok", "protocol": 4}, {"policy": []}])
def test_the_least_hello_opens_it_with_defaults(payload: Json) -> None:
    made = client()
    connect_of(made)
    assert made.receive(answer(payload), START) == [Opened(payload if isinstance(payload, dict) else {})]
    assert made.next_deadline() == START + 2 * DEFAULT_TICK_MS / 1000
    assert made.max_payload == 26_214_400


@pytest.mark.parametrize("value", [True, False, 0, -1, "5000", None, 5000.0, []])
def test_policy_figures_that_are_no_positive_count_change_nothing(value: Json) -> None:
    made = client()
    connect_of(made)
    made.receive(answer({"policy": {"maxPayload": value, "tickIntervalMs": value}}), START)
    assert (made.next_deadline(), made.max_payload) == (START + 60, 26_214_400)


def test_policy_figures_are_taken() -> None:
    made = client()
    connect_of(made)
    made.receive(answer({"policy": {"maxPayload": 1, "tickIntervalMs": 5000}}), START)
    assert (made.next_deadline(), made.max_payload) == (START + 10, 1)


def test_a_refusal_ends_it_and_is_told() -> None:
    made = client()
    connect_of(made)
    error: JsonObject = {"code": "NOT_PAIRED", "message": "no", "details": {"code": "PAIRING_REQUIRED"}}
    outputs = made.receive(wire({"type": "res", "id": "id-1", "ok": False, "error": error}), START)
    assert outputs == [Refused(ErrorShape("NOT_PAIRED", "no", {"code": "PAIRING_REQUIRED"}))]
    assert (made.state, made.next_deadline()) == (State.CLOSED, None)
    assert made.receive(answer(HELLO), START) == []


@pytest.mark.parametrize(
    "document",
    [
        {"type": "res", "id": "id-2", "ok": True, "payload": HELLO},
        {"type": "res", "id": "id-2", "ok": False, "error": {"code": "X", "message": "m"}},
        {"type": "event", "event": "tick"},
        CHALLENGE,
        {"type": "req", "id": "id-1", "method": "connect"},
    ],
)
def test_before_hello_only_the_answer_to_connect_counts(document: JsonObject) -> None:
    made = client()
    connect_of(made)
    assert made.receive(wire(document), START + 14) == []
    assert (made.state, made.next_deadline()) == (State.AWAIT_HELLO, START + HANDSHAKE_S)
    assert made.receive(answer(HELLO), START + 14) == [Opened(HELLO)]


@pytest.mark.parametrize("steps", [0, 1])
def test_the_handshake_has_fifteen_seconds_in_all(steps: int) -> None:
    made = client()
    if steps:
        made.receive(wire(CHALLENGE), START + 14.9)
    assert made.next_deadline() == START + 15
    assert made.handle_timer(START + 14.99) == []
    assert made.handle_timer(START + 15) == [Fail(4000, "handshake timeout")]
    assert (made.state, made.next_deadline(), made.handle_timer(START + 99)) == (State.CLOSED, None, [])
