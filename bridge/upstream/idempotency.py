"""Pure: which keyed calls were made already, so that the same key does not make them twice (design §11).

The gateway passes an idempotency key on and does not use it. Here a key stands for one call of one owner for ten
minutes: the node that the agent invokes, or the phone that calls. What the node did is remembered with its result;
what was only sent is remembered as that, so that an unknown outcome is never turned into a second deed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import orjson

from gateway_client.frames import Bounds, FrameError, JsonObject, object_of, parse_json

KEPT_S = 600.0  # seconds for which a key stands for its call
MAX_RESULT_BYTES = 65_536  # of a result that is kept; of a larger one only that there was one
# An entry without its result costs some 600 bytes with its places in the tables: 1,024 of an owner are 600 KiB, 32,768
# in all 20 MiB. Results: 1 MiB of an owner (16 of the largest), 32 MiB in all. On disk it is the same again.
MAX_ENTRIES_OF_OWNER = 1_024
MAX_ENTRIES = 32_768
MAX_RESULTS_OF_OWNER = 1024 * 1024
MAX_RESULTS = 32 * 1024 * 1024
_CANONICAL = Bounds(max_bytes=1024 * 1024)  # longer parameters are compared byte for byte

# What these say is that the node has not begun: the same call may come again.
_NOT_DONE = frozenset({"NODE_NOT_READY", "NODE_BACKGROUND_UNAVAILABLE", "RATE_LIMITED"})


class Status(StrEnum):
    """What is known of a call."""

    SENT = "sent"
    """It went out; whether it was done is not known, or not yet."""
    DONE = "done"
    LARGE = "large"
    """It was done, and its result is not kept: it was too large, or made room for others."""


@dataclass(frozen=True, slots=True)
class Memo:
    """What a call is known by.

    Attributes:
        owner: whose keys these are: no owner's key means anything to another.
        digest: hash of owner and key, hex.
        fingerprint: hash of what was asked, hex.
    """

    owner: str
    digest: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One remembered call.

    Attributes:
        memo: what it is known by.
        status: what is known of it.
        until: monotonic seconds at which it is forgotten.
        result: of a `DONE` one: the result as JSON text.
    """

    memo: Memo
    status: Status
    until: float
    result: bytes | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Bytes of the result that are kept."""
        return len(self.result or b"")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A call that is not remembered any more; its row can go."""

    digest: str


Change = Entry | Forgotten
"""What has to be written down: an entry as it is now, or that there is none."""


@dataclass(frozen=True, slots=True)
class Again:
    """The call was made before: this is its result."""

    result: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key is taken; `message` says by what."""

    message: str


def node_owner(node_id: str) -> str:
    """Returns the owner of the keys of what a node is asked to do."""
    return f"to:{node_id}"


def caller_owner(node_id: str) -> str:
    """Returns the owner of the keys of what a phone asks of nodes."""
    return f"by:{node_id}"


def memo_of(owner: str, key: str, what: str, params_json: str | None) -> Memo:
    """Returns what a call is known by.

    Args:
        owner: see `node_owner` and `caller_owner`.
        key: the caller's idempotency key.
        what: the command, with its target where there can be several.
        params_json: JSON text of the parameters; other blanks or another order of members are the same parameters.
    """
    return Memo(owner, _hash(owner.encode(), _bytes(key)), _hash(_bytes(what), *_canonical(params_json)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _canonical(params_json: str | None) -> tuple[bytes, bytes]:
    """A text that is not strictly JSON has no other spelling: what a phone makes of it is the phone's own."""
    if params_json is None:
        return b"none", b""
    try:
        value = parse_json(_bytes(params_json), _CANONICAL)
        return b"json", orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (FrameError, TypeError):
        return b"text", _bytes(params_json)


def _is_surely_large(result: JsonObject) -> bool:
    """Whether one of its texts alone is too much: to write out many millions of characters only tells the same."""
    texts = [*result.values(), *object_of(result.get("payload")).values()]
    return any(isinstance(text, str) and len(text) > MAX_RESULT_BYTES for text in texts)


def was_done(ok: bool, code: str | None) -> bool:
    """Tells whether a node's own result says that it has done, or tried, what it was asked."""
    return ok or code not in _NOT_DONE


@dataclass(slots=True)
class _Owned:
    """The calls of one owner, oldest first, and the sizes of those with results."""

    entries: dict[str, Entry] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    size: int = 0


@dataclass(slots=True)
class Ledger:
    """What is remembered. Whoever floods it with keys pushes out their own; who has the most gives way for all.

    Every change is returned, so that it can be written down.
    """

    _owners: dict[str, _Owned] = field(default_factory=dict)
    _order: dict[str, str] = field(default_factory=dict)
    """Digest -> owner, in the order in which they end: all are kept equally long."""
    _size: int = 0

    def __len__(self) -> int:
        return len(self._order)

    @property
    def size(self) -> int:
        """Bytes of results that are kept."""
        return self._size

    def look(self, memo: Memo, now: float) -> Again | Conflict | None:
        """Returns what a call that comes now is answered with; None: it is new."""
        entry = self._entry(memo.digest)
        if entry is None or entry.until <= now:
            return None
        if entry.memo.fingerprint != memo.fingerprint:
            return Conflict("CONFLICT: this idempotency key stands for another call")
        if entry.status is Status.SENT:
            return Conflict("CONFLICT: already sent to the node; its outcome is not known")
        if entry.result is None:
            return Conflict("CONFLICT: already executed; its result is not kept")
        return Again(object_of(orjson.loads(entry.result)))

    def sent(self, memo: Memo, now: float) -> list[Change]:
        """A call goes out."""
        return self._put(Entry(memo, Status.SENT, now + KEPT_S), now)

    def done(self, memo: Memo, result: JsonObject, now: float) -> list[Change]:
        """A call was done.

        Args:
            memo: the call.
            result: what it is answered with from now on.
            now: monotonic seconds.
        """
        text = b"" if _is_surely_large(result) else orjson.dumps(result)
        large = not text or len(text) > MAX_RESULT_BYTES
        return self._put(
            Entry(memo, Status.LARGE if large else Status.DONE, now + KEPT_S, None if large else text), now
        )

    def forget(self, memo: Memo) -> list[Change]:
        """A call was not made after all: its key is free."""
        return self._remove([memo.digest])

    def forget_node(self, node_id: str) -> list[Change]:
        """A node's pairing has ended, and with it everything that it did or asked for."""
        owned = [self._owners.get(owner(node_id)) for owner in (node_owner, caller_owner)]
        return self._remove([digest for one in owned if one is not None for digest in one.entries])

    def sweep(self, now: float) -> list[Change]:
        """Forgets what has been kept for long enough."""
        ended: list[str] = []
        for digest in self._order:
            entry = self._entry(digest)
            if entry is not None and entry.until > now:
                break
            ended.append(digest)
        return self._remove(ended)

    def restore(self, entries: Iterable[Entry], now: float) -> list[Change]:
        """Takes what was written down before a restart; returns what had no place."""
        changes: list[Change] = []
        for entry in sorted(entries, key=lambda each: each.until):
            changes += [one for one in self._put(entry, now) if one is not entry]
        return changes

    # The tables.

    def _entry(self, digest: str) -> Entry | None:
        owner = self._order.get(digest)
        return self._owners[owner].entries[digest] if owner is not None else None

    def _put(self, entry: Entry, now: float) -> list[Change]:
        self._remove([entry.memo.digest])
        changes = self.sweep(now)
        owned = self._owners.setdefault(entry.memo.owner, _Owned())
        self._order[entry.memo.digest] = entry.memo.owner
        owned.entries[entry.memo.digest] = entry
        self._count(owned, entry.memo.digest, entry.size)
        changes.append(entry)
        return changes + self._make_room(owned)

    def _make_room(self, owned: _Owned) -> list[Change]:
        changes: list[Change] = []
        if len(owned.entries) > MAX_ENTRIES_OF_OWNER:
            changes += self._remove([next(iter(owned.entries))])
        if len(self._order) > MAX_ENTRIES:
            most = max(self._owners.values(), key=lambda each: len(each.entries))
            changes += self._remove([next(iter(most.entries))])
        while owned.size > MAX_RESULTS_OF_OWNER:
            changes.append(self._strip(owned))
        while self._size > MAX_RESULTS:
            changes.append(self._strip(max(self._owners.values(), key=lambda each: each.size)))
        return changes

    def _strip(self, owned: _Owned) -> Change:
        """The oldest result goes; that it was done stays known."""
        digest = next(iter(owned.results))
        entry = replace(owned.entries[digest], status=Status.LARGE, result=None)
        owned.entries[digest] = entry
        self._count(owned, digest, 0)
        return entry

    def _count(self, owned: _Owned, digest: str, size: int) -> None:
        growth = size - owned.results.pop(digest, 0)
        if size:
            owned.results[digest] = size
        owned.size += growth
        self._size += growth

    def _remove(self, digests: Iterable[str]) -> list[Change]:
        changes: list[Change] = []
        for digest in digests:
            owner = self._order.pop(digest, None)
            if owner is None:
                continue
            owned = self._owners[owner]
            self._count(owned, digest, 0)
            del owned.entries[digest]
            if not owned.entries:
                del self._owners[owner]
            changes.append(Forgotten(digest))
        return changes
