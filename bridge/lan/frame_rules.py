"""Pure: the rules of WebSocket frames that have to hold before a library reads them (RFC 6455 §5).

aiohttp reads the mask bit and does not require it, joins fragments without end, and answers every ping. The walker
looks at headers only: payload bytes are counted and skipped, never copied.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PROTOCOL_ERROR = 1002  # close codes (RFC 6455 §7.4.1)
POLICY = 1008
TOO_LARGE = 1009

# Fragments of one message: 256, and one more for every KiB of it. 25 MiB may come in 25 856 pieces, while a message of
# empty or single bytes ends after 256.
FREE_FRAGMENTS = 256
FRAGMENT_BYTES = 1024

# Pings, pongs and closes. An app pings every 15 or 30 s, and answers the bridge's own ping every 25 s.
CONTROL_PER_S = 2.0
CONTROL_BURST = 32.0

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_DATA = frozenset({_CONTINUATION, _TEXT, _BINARY})
_CONTROL = frozenset({_CLOSE, _PING, _PONG})
_CONTROL_BYTES = 125  # of a control frame's payload at most (RFC 6455 §5.5)
_START_BYTES = 2  # of a header: what tells how long the rest of it is
_LENGTH_BYTES = {126: 2, 127: 8}  # after these; any other value is the length itself
_MASK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a peer broke.

    Attributes:
        code: WebSocket close code.
        reason: what it did, for the close frame and the log.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class DataFrame:
    """A frame of a message, by its header.

    Attributes:
        length: bytes of its payload.
        final: whether its message ends with it.
        at: where its payload begins in the bytes that were fed.
    """

    length: int
    final: bool
    at: int


@dataclass(slots=True)
class FrameWalker:
    """Follows the frames of one client through its bytes."""

    _head: bytes = b""  # of a header that has not come whole
    _skip: int = 0  # payload bytes of the present frame that have not come
    _unfinished: bool = False
    _fragments: int = 0
    _bytes: int = 0
    _allowance: float = CONTROL_BURST
    _counted_at: float = 0.0
    _data_frames: list[DataFrame] = field(default_factory=list)

    @property
    def between_messages(self) -> bool:
        """Whether every message that began has come whole."""
        return not self._unfinished and self._skip == 0

    def data_frames(self) -> list[DataFrame]:
        """Returns the data frames whose headers were whole since the last call."""
        frames, self._data_frames = self._data_frames, []
        return frames

    def feed(self, data: bytes, now: float) -> Breach | None:
        """Takes the client's next bytes; returns the first rule that they break. Nothing may follow a breach.

        Args:
            data: as they came.
            now: monotonic seconds.
        """
        at = 0
        while True:
            passed = min(self._skip, len(data) - at)
            self._skip -= passed
            at += passed
            if at == len(data):
                return None
            whole = _header_bytes(self._head)
            piece = data[at : at + whole - len(self._head)]
            self._head += piece
            at += len(piece)
            if len(self._head) == whole and (breach := self._take_header(now, at)) is not None:
                return breach

    def _take_header(self, now: float, at: int) -> Breach | None:
        if len(self._head) == _START_BYTES:
            return self._judge(self._head[0], self._head[1], now)
        opcode, length = self._head[0] & 0x0F, _length(self._head)
        self._head, self._skip = b"", length
        if opcode not in _DATA:
            return None
        self._data_frames.append(DataFrame(length, not self._unfinished, at))
        return self._count(length)

    def _judge(self, first: int, second: int, now: float) -> Breach | None:
        final, opcode = bool(first & 0x80), first & 0x0F
        if not second & 0x80:
            return Breach(PROTOCOL_ERROR, "frame without a mask")
        if first & 0x70:
            return Breach(PROTOCOL_ERROR, "reserved bit")
        if opcode in _DATA:
            return self._judge_data(opcode, final)
        if opcode not in _CONTROL:
            return Breach(PROTOCOL_ERROR, "unknown opcode")
        if not final or second & 0x7F > _CONTROL_BYTES:
            return Breach(PROTOCOL_ERROR, "control frame in parts or too long")
        return self._spend(now)

    def _judge_data(self, opcode: int, final: bool) -> Breach | None:
        if (opcode == _CONTINUATION) is not self._unfinished:
            return Breach(PROTOCOL_ERROR, "fragment out of order")
        if opcode != _CONTINUATION:
            self._fragments = self._bytes = 0
        self._unfinished = not final
        return None

    def _count(self, length: int) -> Breach | None:
        self._fragments += 1
        self._bytes += length
        if self._fragments > FREE_FRAGMENTS + self._bytes // FRAGMENT_BYTES:
            return Breach(POLICY, "too many fragments")
        return None

    def _spend(self, now: float) -> Breach | None:
        earned = (now - self._counted_at) * CONTROL_PER_S
        self._allowance = min(CONTROL_BURST, self._allowance + earned) - 1
        self._counted_at = now
        return Breach(POLICY, "too many control frames") if self._allowance < 0 else None


def _header_bytes(head: bytes) -> int:
    """How many bytes have to be read to learn more: the start of a header, then the whole of it."""
    if len(head) < _START_BYTES:
        return _START_BYTES
    return _START_BYTES + _LENGTH_BYTES.get(head[1] & 0x7F, 0) + _MASK_BYTES


def _length(head: bytes) -> int:
    size = _LENGTH_BYTES.get(head[1] & 0x7F, 0)
    return int.from_bytes(head[_START_BYTES : _START_BYTES + size]) if size else head[1] & 0x7F
