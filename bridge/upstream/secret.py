"""Where the gateway's shared secret is found (design §14). Read anew for every connection, so that a change is seen."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import json5
import keyring

from bridge.config import GatewayTable
from gateway_client.frames import JsonObject, object_of
from gateway_client.protocol import Credentials

KEYRING_SERVICE = "clawdis-bridge"
KEYRING_NAME = "gateway-token"
_KEYRING = f"the keyring ({KEYRING_SERVICE} / {KEYRING_NAME})"
READ_S = 20.0  # seconds for a person to answer the keychain
LOOK_S = 1.0  # seconds between looks whether a file has changed, while a refused secret is not tried again
MAX_SECRET_BYTES = 4096
MAX_CONFIG_BYTES = 4 * 1024 * 1024

Stamp = tuple[tuple[int, ...], ...]


class SecretError(Exception):
    """The gateway's secret cannot be read; the message says where it was looked for and what to do."""


@dataclass(frozen=True, slots=True)
class SecretReader:
    """Finds the credentials for the gateway.

    Attributes:
        settings: the `[gateway]` table.
        environ: the environment.
        home: the user's home folder.
    """

    settings: GatewayTable
    environ: Mapping[str, str] = field(repr=False)
    home: Path

    def read(self) -> Credentials:
        """Returns the credentials.

        Raises:
            SecretError: there is no secret where there should be one.
        """
        match self.settings.token_source:
            case "none":
                return Credentials(origin="a connection without a token, as gateway.token_source says")
            case "env":
                return self._required(self._from_environment(), self._variable)
            case "file":
                return self._required(self._from_file(), f"the file {self.settings.token_file}")
            case "keyring":
                return self._required(self._from_keyring(), _KEYRING)
            case "openclaw":
                return self._from_openclaw()
            case "auto":
                found = self._from_environment() or self._from_file() or self._from_keyring()
                return found or self._from_openclaw()

    @property
    def _variable(self) -> str:
        return f"the environment variable {self.settings.token_env}"

    @staticmethod
    def _required(found: Credentials | None, where: str) -> Credentials:
        if found is None:
            raise SecretError(
                f"there is no gateway token in {where}. Put it there, or set gateway.token_source in bridge.toml"
            )
        return found

    def _from_environment(self) -> Credentials | None:
        value = self.environ.get(self.settings.token_env, "").strip()
        return _token(value, self._variable)

    def _from_file(self) -> Credentials | None:
        path = self._token_path()
        if path is None:
            return None
        try:
            text = _read_token(path)
        except OSError as exc:
            raise SecretError(f"{path} cannot be read ({exc}). It must hold the gateway's token") from exc
        except UnicodeDecodeError:
            raise SecretError(f"{path} holds something else than text. It must hold the gateway's token") from None
        return _token(text, f"the file {path}")

    @staticmethod
    def _from_keyring() -> Credentials | None:
        try:
            value = keyring.get_password(KEYRING_SERVICE, KEYRING_NAME)
        except Exception:
            return None
        return _token(value, _KEYRING)

    def _from_openclaw(self) -> Credentials:
        path = self._openclaw_path()
        auth = object_of(object_of(_load(path).get("gateway")).get("auth"))
        mode = auth.get("mode", "token" if "token" in auth else "none")
        if mode == "none":
            return Credentials(origin=f"a connection without a token, as {path} says")
        if mode == "trusted-proxy":
            raise SecretError(
                f"{path} sets gateway.auth.mode to trusted-proxy, with which no node can authenticate. "
                "Change it: openclaw config set gateway.auth.mode token"
            )
        kind = "password" if mode == "password" else "token"
        value = auth.get(kind)
        if not isinstance(value, str) or not value:
            raise SecretError(
                f"{path} holds no plain gateway.auth.{kind}. Name another gateway.token_source in bridge.toml"
            )
        return Credentials(kind, value, f"the {kind} from {path}")

    def stamp(self) -> Stamp:
        """Returns what changes whenever a file changes from which the secret may be read; never the secret itself."""
        source = self.settings.token_source
        token = self._token_path() if source in {"auto", "file"} else None
        openclaw = self._openclaw_path() if source in {"auto", "openclaw"} else None
        return tuple(_stamp(path) for path in (token, openclaw) if path is not None)

    def _token_path(self) -> Path | None:
        name = self.settings.token_file
        if name is None:
            return None
        return self.home / name[2:] if name.startswith("~/") else Path(name)

    def _openclaw_path(self) -> Path:
        return Path(self.environ.get("OPENCLAW_CONFIG_PATH") or self._state_folder() / "openclaw.json")

    def _state_folder(self) -> Path:
        folder = self.environ.get("OPENCLAW_STATE_DIR")
        return Path(folder) if folder else self.home / ".openclaw"


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def _token(value: str | None, place: str) -> Credentials | None:
    return Credentials("token", value, f"the token from {place}") if value else None


def _read_token(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # a pipe must not block
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"{path} is no regular file. It must hold the gateway's token")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise SecretError(f"{path} can be read by other users. Close it: chmod 600 '{path}'")
        data = file.read(MAX_SECRET_BYTES + 1)
    if len(data) > MAX_SECRET_BYTES:
        raise SecretError(f"{path} is longer than {MAX_SECRET_BYTES} bytes: that is no token")
    return data.decode("utf-8").strip()


class SecretSource:
    """Reads the credentials off the loop: one read at a time serves everyone who waits for it.

    A keychain may ask a person and wait; that must not take the threads that the bridge's own files need.

    Args:
        reader: finds them.
        objection: tells why they must not be given to whoever is at the gateway's port now; None: nothing against it.
    """

    def __init__(self, reader: SecretReader, objection: Callable[[], str | None] = lambda: None) -> None:
        self._reader = reader
        self._objection = objection
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="secret")
        self._reading: asyncio.Future[Credentials] | None = None
        self._seen: Stamp = ()

    async def read(self) -> Credentials:
        """Returns the credentials, as they are now.

        Raises:
            SecretError: there are none, the keychain does not answer within `READ_S` seconds, or the gateway's port is
                in the wrong hands.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().run_in_executor(self._threads, self._read)
        try:
            async with asyncio.timeout(READ_S):
                return await asyncio.shield(self._reading)
        except TimeoutError as exc:
            raise SecretError("the keychain does not answer: is it asking for a password on the Mac's screen?") from exc

    def _read(self) -> Credentials:
        self._check()
        self._seen = self._reader.stamp()  # before: what changes during the reading is a change
        found = self._reader.read()
        self._check()  # again: a person may have taken minutes to open the keychain
        return found

    def _check(self) -> None:
        objection = self._objection()
        if objection is not None:
            raise SecretError(objection)

    async def rest(self, seconds: float) -> None:
        """Waits, but no longer than until a file changes from which the secret is read."""
        loop, seen = asyncio.get_running_loop(), self._seen
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, LOOK_S))
            if seconds > LOOK_S and await asyncio.to_thread(self._reader.stamp) != seen:
                return

    def close(self) -> None:
        """Lets go of the thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _load(path: Path) -> JsonObject:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise SecretError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes")
        document: Any = json5.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SecretError(
            f"there is no {path}: is OpenClaw set up for this user? "
            "Otherwise give the bridge the token by gateway.token_source in bridge.toml"
        ) from None
    except (OSError, ValueError) as exc:
        raise SecretError(f"{path} cannot be read ({exc})") from exc
    except RecursionError:
        raise SecretError(f"{path} cannot be read (it is nested too deeply)") from None
    return object_of(document)
