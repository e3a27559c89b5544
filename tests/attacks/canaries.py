"""Planted secrets, and the search for them in everything that a bridge puts out."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import secrets
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bridge.cli import main
from bridge.control.socket_file import SOCKET_NAME
from tests.support.bridge_process import BridgeProcess

STATUS = (
    ("status",),
    ("nodes", "list"),
    ("pending",),
    ("tokens", "list"),
    ("certs", "show"),
    ("acl", "show"),
    ("audit", "tail", "-n", "1000"),
    ("audit", "verify"),
)
"""What a person asks; each as a page and as JSON."""


def snapshot(canary: bytes) -> str:
    """Return a PNG of one pixel that has the canary in a comment, base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    rest = chunk(b"tEXt", b"Comment\0" + canary) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + rest).decode()


@dataclass
class Canaries:
    """What was planted, by name.

    Attributes:
        words: content that must be nowhere: what people say, and what apps and the agent send each other.
        keys: what lets somebody in: it must not even be in the files that hold what is paired.
    """

    words: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def word(self, name: str) -> str:
        """Plant a piece of content."""
        return self.words.setdefault(name, f"planted {name} {secrets.token_hex(12)}")

    def piece(self, name: str, value: str | None = None) -> str:
        """Plant a piece of content without spaces; `value` is one that somebody else has made."""
        return self.words.setdefault(name, value or f"planted-{name}-{secrets.token_hex(12)}")

    def key(self, name: str, value: str | None = None) -> str:
        """Plant a credential; `value` is one that the bridge has made."""
        return self.keys.setdefault(name, value or f"planted-{name}-{secrets.token_urlsafe(24)}")

    @property
    def all(self) -> dict[str, str]:
        """Both."""
        return {**self.words, **self.keys}


def forms(secret: str) -> list[str]:
    """Return how a secret might be written: as it is, in base64, hexadecimal or a URL."""
    data = secret.encode()
    coded = base64.b64encode(data).decode().rstrip("=")
    return [secret, coded, coded.replace("+", "-").replace("/", "_"), data.hex(), secret.replace(" ", "%20")]


def found(planted: dict[str, str], outputs: dict[str, str]) -> list[str]:
    """Return which secret is where."""
    return [
        f"{name} is in {place}"
        for place, text in outputs.items()
        for name, secret in planted.items()
        if any(form in text for form in forms(secret))
    ]


async def told(bridge: BridgeProcess) -> dict[str, str]:
    """What the bridge tells: its logs, its metrics, the command line, the names of its files and of its processes."""
    outputs = {"log": bridge.log_path.read_text()}
    for path in (bridge.home / "audit").iterdir():
        outputs[f"audit/{path.name}"] = path.read_text()
    nodes = await bridge.ask(bridge.client.nodes)
    for words in (*STATUS, *(("nodes", "show", node.node_id) for node in nodes)):
        for extra in ((), ("--json",)):
            outputs[" ".join((*words, *extra))] = await bridge.ask(lambda w=(*words, *extra): said(bridge.home, *w))  # type: ignore[misc]  # mypy infers no lambda with a default
    outputs["metrics"] = await metrics(bridge)
    outputs["file names"] = "\n".join(str(path) for path in bridge.home.rglob("*"))
    outputs["processes"] = processes()
    return outputs


async def metrics(bridge: BridgeProcess) -> str:
    """What the bridge measures."""
    connector = aiohttp.UnixConnector(str(bridge.home / SOCKET_NAME))
    async with aiohttp.ClientSession(connector=connector) as client, client.get("http://localhost/v1/metrics") as got:
        return await got.text()


def kept(bridge: BridgeProcess) -> dict[str, str]:
    """What the bridge keeps of who is paired and of codes; its own keys apart."""
    files = [path for path in bridge.home.iterdir() if path.is_file() and path.name not in {"lock", "bridge.toml"}]
    return {path.name: path.read_bytes().decode("latin-1") for path in files}


def said(home: Path, *words: str) -> str:
    """Run a command of the command line; return all that it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(["--home", str(home), *words])
    return out.getvalue()


def processes() -> str:
    """Return the command lines and environments' absence of every process of this user."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid == os.geteuid():
                lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return "\n".join(lines)
