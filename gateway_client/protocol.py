"""Pure: one connection to a Gateway as a state machine: challenge, connect, hello-ok, requests, liveness.

Three things drive it: messages (`receive`), the owner's requests (`request`), and time (`handle_timer`, due at
`next_deadline`). It never touches a socket: each call returns what has to happen, in order. It plays a device (role
`node`, or an operator with a device) or the backend operator of gateway-protocol §11.6 (no device).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway_client.frames import (
    Bounds,
    ErrorShape,
    Event,
    Frame,
    FrameError,
    FrameFault,
    JsonObject,
    Request,
    Response,
    encode_frame,
    is_count,
    object_of,
    parse_frame,
)
from gateway_client.identity import DeviceIdentity, SignedFields
from gateway_client.salvage import Head, head_of
from gateway_client.versions import PROTOCOL, drift

HANDSHAKE_S = 15.0  # seconds from the upgrade to hello-ok: the gateway's own limit (§1.4)
DEFAULT_TICK_MS = 30_000  # what a client assumes when the policy has no tick interval (§1.5)
MAX_IN_FLIGHT = 512  # requests; the gateway refuses work beyond 128 (§1.4), so this only stops a runaway owner

MAX_PAYLOAD = 26_214_400  # bytes of the longest frame that the gateway takes (§1.4): 25 MiB
MAX_ANSWER = 2 * MAX_PAYLOAD + 65_536  # bytes: it sends an invoke's result twice, as text and parsed (§5.3), and a head

# The gateway lists several hundred methods in hello-ok and health snapshots hold thousands of members, hence the larger
# item count: 200,000 x ~200 bytes is some 40 MiB at the very worst, from our own machine.
GATEWAY_BOUNDS = Bounds(
    max_bytes=MAX_ANSWER, max_depth=64, max_items=200_000, safe_integers=False, lone_surrogates=True
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves us to the gateway; never printed.

    Attributes:
        kind: the member of `auth` that carries the secret, or "none".
        secret: the shared token or password, a device token, or a setup code's bootstrap token.
        origin: where it was found, in words, for whoever has to correct it.
    """

    kind: str = "none"
    secret: str = field(default="", repr=False)
    origin: str = field(default="", compare=False)

    def as_auth(self) -> JsonObject | None:
        """Returns `connect.auth`, or None when there is nothing to present."""
        return {self.kind: self.secret} if self.kind != "none" else None

    @property
    def signed_token(self) -> str:
        """The token that the device signature covers; a password is never signed (§2.3)."""
        return self.secret if self.kind in {"token", "deviceToken", "bootstrapToken"} else ""


@dataclass(frozen=True, slots=True)
class ConnectProfile:
    """Everything `connect` says about us beside the proof."""

    client: JsonObject
    """id, version, platform, mode and the optional members of gateway-protocol §2.2."""
    role: str
    scopes: Sequence[str] = ()
    caps: Sequence[str] = ()
    commands: Sequence[str] = ()
    permissions: JsonObject = field(default_factory=dict)
    extra: JsonObject = field(default_factory=dict)
    """locale, userAgent, pathEnv: optional members of `connect` that say nothing about rights."""
    min_protocol: int = PROTOCOL
    max_protocol: int = PROTOCOL


class State(StrEnum):
    """Where the connection is."""

    AWAIT_CHALLENGE = "await-challenge"
    AWAIT_HELLO = "await-hello"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """hello-ok came: requests may be sent."""

    hello: JsonObject


@dataclass(frozen=True, slots=True)
class Refused:
    """`connect` was answered with an error."""

    error: ErrorShape


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event of the gateway."""

    event: Event


@dataclass(frozen=True, slots=True)
class Answered:
    """A response to one of our requests; `final` is false for the first of an `agent`'s two."""

    response: Response
    final: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame of the open connection cannot be taken: it is lost, and nothing but what it was about.

    Attributes:
        fault: which bound it breaks.
        size: its bytes.
        head: what it says of itself, as far as that can be read.
        request_id: the request that it answered and that has no answer now; None: none of ours.
    """

    fault: FrameFault
    size: int
    head: Head
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Fail:
    """Close the connection: the peer broke the protocol before hello-ok, or went silent."""

    code: int
    reason: str


Output = Transmit | Opened | Refused | Arrived | Answered | Dropped | Fail


def is_interim(method: str, response: Response) -> bool:
    """Tells whether another response of this id will follow: `agent` is `accepted` first (gateway-protocol §1.3)."""
    return method == "agent" and response.ok and object_of(response.payload).get("status") == "accepted"


class ClientProtocol:
    """One connection; see the module's text.

    Args:
        profile: what to declare.
        credentials: what to present.
        identity: the device key, or None for the backend operator.
        new_id: source of request ids, each unlike the others.
        now: monotonic seconds at the upgrade.
        payload_version: 3, or 2 as the iOS app signs.
    """

    def __init__(
        self,
        profile: ConnectProfile,
        credentials: Credentials,
        identity: DeviceIdentity | None,
        *,
        new_id: Callable[[], str],
        now: float,
        payload_version: int = 3,
        bounds: Bounds = GATEWAY_BOUNDS,
    ) -> None:
        self.state = State.AWAIT_CHALLENGE
        self._profile = profile
        self._credentials = credentials
        self._identity = identity
        self._new_id = new_id
        self._payload_version = payload_version
        self._bounds = bounds
        self._connect_id = ""
        self._in_flight: dict[str, str] = {}
        self._deadline: float | None = now + HANDSHAKE_S
        self._silence_s = 2 * DEFAULT_TICK_MS / 1000
        self.max_payload = MAX_PAYLOAD
        """Bytes of the longest message that the peer takes, once hello-ok said so."""

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Takes one message; returns what follows from it. Never raises for what a peer sends."""
        if self.state is State.CLOSED:
            return []
        try:
            frame = parse_frame(data, self._bounds)
        except FrameError as exc:
            return self._on_bad_frame(data, exc, now)
        match self.state:
            case State.AWAIT_CHALLENGE:
                return self._on_challenge(frame)
            case State.AWAIT_HELLO:
                return self._on_hello(frame, now)
            case _:
                self._deadline = now + self._silence_s
                return self._on_traffic(frame)

    def _on_bad_frame(self, data: bytes, error: FrameError, now: float) -> list[Output]:
        """Before hello-ok the peer is not who it should be; after it, other people's calls wait on this connection."""
        if self.state is not State.OPEN:
            return self._fail(1002, f"bad frame: {error}")
        self._deadline = now + self._silence_s
        head = head_of(data)
        ours = head.kind == "res" and self._in_flight.pop(head.id, None) is not None
        return [Dropped(error.fault, len(data), head, head.id if ours else None)]

    def _on_challenge(self, frame: Frame) -> list[Output]:
        if not isinstance(frame, Event) or frame.event != "connect.challenge":
            return self._fail(1002, "the first frame is not a challenge")
        payload = object_of(frame.payload)
        nonce, ts = payload.get("nonce"), payload.get("ts")
        if not isinstance(nonce, str) or not nonce or not is_count(ts):
            return self._fail(1002, "a challenge without nonce and ts")
        self._connect_id = self._new_id()
        self.state = State.AWAIT_HELLO
        return [Transmit(encode_frame(Request(self._connect_id, "connect", self._connect_params(nonce, ts))))]

    def _connect_params(self, nonce: str, ts: int) -> JsonObject:
        profile = self._profile
        params: JsonObject = {
            "minProtocol": profile.min_protocol,
            "maxProtocol": profile.max_protocol,
            "client": dict(profile.client),
            "role": profile.role,
            "scopes": list(profile.scopes),
            **profile.extra,
        }
        if profile.role == "node":
            params["caps"] = list(profile.caps)
            params["commands"] = list(profile.commands)
            if profile.permissions:
                params["permissions"] = dict(profile.permissions)
        auth = self._credentials.as_auth()
        if auth is not None:
            params["auth"] = auth
        if self._identity is not None:
            params["device"] = self._device(self._identity, nonce, ts)
        return params

    def _device(self, identity: DeviceIdentity, nonce: str, ts: int) -> JsonObject:
        client = self._profile.client
        fields = SignedFields(
            device_id=identity.device_id,
            client_id=str(client["id"]),
            client_mode=str(client["mode"]),
            role=self._profile.role,
            scopes=self._profile.scopes,
            signed_at_ms=ts,
            token=self._credentials.signed_token,
            nonce=nonce,
            platform=str(client.get("platform") or ""),
            device_family=str(client.get("deviceFamily") or ""),
        )
        return {
            "id": identity.device_id,
            "publicKey": identity.public_key_text,
            "signature": identity.sign(fields, self._payload_version),
            "signedAt": ts,
            "nonce": nonce,
        }

    def _on_hello(self, frame: Frame, now: float) -> list[Output]:
        if not isinstance(frame, Response) or frame.id != self._connect_id:
            return []
        hello = object_of(frame.payload)
        error = (frame.error or ErrorShape("INVALID_REQUEST", "refused without an error")) if not frame.ok else None
        error = error or drift(hello, self._profile.min_protocol, self._profile.max_protocol)
        if error is not None:
            self.state, self._deadline = State.CLOSED, None
            return [Refused(error)]
        policy = object_of(hello.get("policy"))
        longest = policy.get("maxPayload")
        self.max_payload = longest if is_count(longest) and longest > 0 else self.max_payload
        tick = policy.get("tickIntervalMs")
        tick_ms = tick if is_count(tick) and tick > 0 else DEFAULT_TICK_MS
        self._silence_s = 2 * tick_ms / 1000
        self._deadline = now + self._silence_s
        self.state = State.OPEN
        return [Opened(hello)]

    def _on_traffic(self, frame: Frame) -> list[Output]:
        match frame:
            case Event():
                return [Arrived(frame)]
            case Response() if (method := self._in_flight.get(frame.id)) is not None:
                final = not is_interim(method, frame)
                if final:
                    del self._in_flight[frame.id]
                return [Answered(frame, final)]
            case _:
                return []  # an answer nobody waits for any more, or a request: a gateway sends none

    @property
    def full(self) -> bool:
        """Whether `MAX_IN_FLIGHT` requests are unanswered."""
        return len(self._in_flight) >= MAX_IN_FLIGHT

    def request(self, method: str, params: JsonObject) -> tuple[str, bytes]:
        """Returns the id and the message of a new request; the caller sends it.

        Raises:
            RuntimeError: not open, or `MAX_IN_FLIGHT` requests are unanswered: a fault of the caller.
        """
        if self.state is not State.OPEN or self.full:
            raise RuntimeError(f"no request may be sent now ({self.state}, {len(self._in_flight)} unanswered)")
        request_id = self._new_id()
        data = encode_frame(Request(request_id, method, params))
        self._in_flight[request_id] = method
        return request_id, data

    def forget(self, request_id: str) -> None:
        """Gives up on a request: its answer will be dropped. Harmless when it was answered already."""
        self._in_flight.pop(request_id, None)

    def next_deadline(self) -> float | None:
        """Returns when `handle_timer` is due, in monotonic seconds; None when nothing is."""
        return self._deadline

    def handle_timer(self, now: float) -> list[Output]:
        """Closes a connection whose handshake or ticks are overdue."""
        if self._deadline is None or now < self._deadline:
            return []
        late = "handshake timeout" if self.state is not State.OPEN else "tick timeout"
        return self._fail(4000, late)

    def _fail(self, code: int, reason: str) -> list[Output]:
        self.state, self._deadline = State.CLOSED, None
        return [Fail(code, reason)]
