"""A TLS 1.3 client made by hand (RFC 8446), for what no library will send.

One cipher suite and one group; the server's certificate is not checked. Any extension can be put into the ClientHello,
and after the handshake any message can be sealed as the client's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALERT, HANDSHAKE, DATA = 21, 22, 23  # content types (section 5.1)
CLIENT_HELLO, CERTIFICATE, CERTIFICATE_REQUEST, FINISHED, KEY_UPDATE = 1, 11, 13, 20, 24  # handshake types (section 4)
SERVER_NAME, ALPN, EARLY_DATA, POST_HANDSHAKE_AUTH = 0, 16, 42, 49  # extensions (section 4.2)
NOTHING = hashlib.sha256(b"").digest()


class Alert(Exception):
    """The server sent an alert; `number` is its description."""

    def __init__(self, number: int) -> None:
        super().__init__(f"alert {number}")
        self.number = number


def lengthy(data: bytes, size: int = 2) -> bytes:
    """Return `data` behind its length."""
    return len(data).to_bytes(size) + data


def message(kind: int, body: bytes) -> bytes:
    """Return a handshake message."""
    return bytes([kind]) + lengthy(body, 3)


def record(kind: int, body: bytes) -> bytes:
    """Return a record in clear."""
    return struct.pack("!BHH", kind, 0x0303, len(body)) + body


@dataclass
class Hello:
    """A ClientHello.

    Attributes:
        extensions: by number, in addition to those that every one has, or in their place.
    """

    extensions: Mapping[int, bytes] = field(default_factory=dict)
    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    @classmethod
    def naming(cls, name: bytes) -> Hello:
        """Return one that asks for a host of this name, whatever it is (RFC 6066 section 3)."""
        return cls({SERVER_NAME: lengthy(b"\x00" + lengthy(name))})

    @classmethod
    def speaking(cls, *protocols: bytes) -> Hello:
        """Return one that offers these application protocols (RFC 7301)."""
        return cls({ALPN: lengthy(b"".join(lengthy(one, 1) for one in protocols))})

    def message(self) -> bytes:
        """Return the handshake message."""
        share = self.key.public_key().public_bytes_raw()
        usual = {
            10: lengthy(b"\x00\x1d"),  # groups: x25519
            13: lengthy(b"\x04\x03\x08\x04"),  # signatures: ECDSA P-256, RSA-PSS
            43: lengthy(b"\x03\x04", 1),  # versions: TLS 1.3
            51: lengthy(b"\x00\x1d" + lengthy(share)),
            ALPN: lengthy(lengthy(b"http/1.1", 1)),
        }
        chosen = {**usual, **self.extensions}
        extensions = b"".join(number.to_bytes(2) + lengthy(body) for number, body in chosen.items())
        suites = lengthy(b"\x13\x01")  # TLS_AES_128_GCM_SHA256
        return message(
            CLIENT_HELLO, b"\x03\x03" + os.urandom(32) + b"\x00" + suites + b"\x01\x00" + lengthy(extensions)
        )

    def as_record(self) -> bytes:
        """Return it as it is sent."""
        return record(HANDSHAKE, self.message())


class Keys:
    """One direction's keys (section 7.3)."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._cipher = AESGCM(expand(secret, b"key", b"", 16))
        self._iv = int.from_bytes(expand(secret, b"iv", b"", 12))
        self._count = 0

    def _nonce(self) -> bytes:
        self._count += 1
        return (self._iv ^ (self._count - 1)).to_bytes(12)

    def seal(self, kind: int, body: bytes) -> bytes:
        """Return an encrypted record."""
        head = struct.pack("!BHH", DATA, 0x0303, len(body) + 17)
        return head + self._cipher.encrypt(self._nonce(), body + bytes([kind]), head)

    def open(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Return kind and content of an encrypted record."""
        plain = self._cipher.decrypt(self._nonce(), body, head).rstrip(b"\x00")
        return plain[-1], plain[:-1]

    def next(self) -> Keys:
        """Return the keys after a KeyUpdate (section 7.2)."""
        return Keys(expand(self.secret, b"traffic upd", b"", 32))


def expand(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label for up to 32 bytes (section 7.1)."""
    info = length.to_bytes(2) + lengthy(b"tls13 " + label, 1) + lengthy(context, 1)
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]


class HandMade:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.sending: Keys
        self.receiving: Keys | None = None
        self._transcript = b""
        self._messages = b""

    async def shake_hands(self, hello: Hello, behind: bytes = b"") -> None:
        """Do the handshake without a certificate; `behind` is sent in clear, right behind the ClientHello.

        Raises:
            Alert: the server refused.
            EOFError, ConnectionError: it closed.
        """
        self._transcript = hello.message()
        self.writer.write(record(HANDSHAKE, self._transcript) + behind)
        shared = hello.key.exchange(X25519PublicKey.from_public_bytes(_share_of(await self._message())))
        early = expand(hmac.digest(bytes(32), bytes(32), "sha256"), b"derived", NOTHING, 32)
        secret = hmac.digest(early, shared, "sha256")
        client, server = self._derived(secret, b"c hs traffic"), self._derived(secret, b"s hs traffic")
        self.receiving, asked = Keys(server), False
        while (got := await self._message())[0] != FINISHED:
            asked = asked or got[0] == CERTIFICATE_REQUEST
        master = hmac.digest(expand(secret, b"derived", NOTHING, 32), bytes(32), "sha256")
        mine, theirs = self._derived(master, b"c ap traffic"), self._derived(master, b"s ap traffic")
        self.receiving, self.sending = Keys(theirs), Keys(client)
        if asked:
            self._say(message(CERTIFICATE, bytes(4)))
        digest = hashlib.sha256(self._transcript).digest()
        self._say(message(FINISHED, hmac.digest(expand(client, b"finished", b"", 32), digest, "sha256")))
        self.sending = Keys(mine)

    def _derived(self, secret: bytes, label: bytes) -> bytes:
        return expand(secret, label, hashlib.sha256(self._transcript).digest(), 32)

    def _say(self, text: bytes) -> None:
        self._transcript += text
        self.writer.write(self.sending.seal(HANDSHAKE, text))

    def send(self, kind: int, body: bytes) -> None:
        """Seal a record and send it."""
        self.writer.write(self.sending.seal(kind, body))

    def update_keys(self, *, requested: bool) -> None:
        """Send a KeyUpdate (section 4.6.3)."""
        self.send(HANDSHAKE, message(KEY_UPDATE, bytes([requested])))
        self.sending = self.sending.next()

    async def receive(self) -> tuple[int, bytes]:
        """Read one record.

        Raises:
            Alert: it is one.
            EOFError, ConnectionError: the connection ended.
        """
        async with asyncio.timeout(10):
            head = await self.reader.readexactly(5)
            body = await self.reader.readexactly(int.from_bytes(head[3:]))
        kind = head[0]
        if self.receiving is not None and kind == DATA:
            kind, body = self.receiving.open(head, body)
        if kind == ALERT:
            raise Alert(body[1])
        return kind, body

    async def _message(self) -> bytes:
        """Read one handshake message into the transcript."""
        while len(self._messages) < 4 or len(self._messages) < 4 + int.from_bytes(self._messages[1:4]):
            kind, body = await self.receive()
            self._messages += body if kind == HANDSHAKE else b""
        end = 4 + int.from_bytes(self._messages[1:4])
        found, self._messages = self._messages[:end], self._messages[end:]
        self._transcript += found
        return found


def _share_of(hello: bytes) -> bytes:
    """The key share of a ServerHello, which answers an empty session id (section 4.1.3)."""
    extensions = hello[4 + 2 + 32 + 1 + 2 + 1 + 2 :]
    while extensions:
        number, size = int.from_bytes(extensions[:2]), int.from_bytes(extensions[2:4])
        if number == 51:
            return extensions[8 : 4 + size]
        extensions = extensions[4 + size :]
    raise AssertionError("the server sent no key share")


@asynccontextmanager
async def hand_made(port: int) -> AsyncIterator[HandMade]:
    """Connect without a byte of TLS, for a block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield HandMade(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
