"""The gateway's secret: each place it is found in, their order, what is refused, and that it is never shown."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import keyring
import pytest
import pytest_asyncio
from keyring.backend import KeyringBackend

from bridge.config import GatewayTable
from bridge.upstream.secret import (
    KEYRING_NAME,
    KEYRING_SERVICE,
    MAX_CONFIG_BYTES,
    MAX_SECRET_BYTES,
    SecretError,
    SecretReader,
    SecretSource,
)
from gateway_client.protocol import Credentials
from tests.support.waiting import eventually

Source = Literal["auto", "keyring", "file", "env", "openclaw", "none"]
SECRET = "planted-secret-0123456789"


class Place:
    """A user's machine: home, environment, and the places where a secret may lie."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ: dict[str, str] = {}
        self.token_file = home / "token"

    def reader(self, source: Source, *, file: str | None = None, env: str = "OPENCLAW_GATEWAY_TOKEN") -> SecretReader:
        """Return a reader; without `file` it names the token file, whether that is there or not."""
        named = str(self.token_file) if file is None else file
        settings = GatewayTable(token_source=source, token_file=named or None, token_env=env)
        return SecretReader(settings, self.environ, self.home)

    def lay(self, text: str, mode: int = 0o600) -> None:
        """Write the token file."""
        self.token_file.write_text(text)
        self.token_file.chmod(mode)

    def configure(self, text: str, folder: str = ".openclaw") -> Path:
        """Write OpenClaw's configuration."""
        path = self.home / folder / "openclaw.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class MemoryKeyring(KeyringBackend):
    """A keyring that works."""

    priority = 1.0

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Return what was stored."""
        return self.stored.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store it."""
        self.stored[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Forget it."""
        del self.stored[service, username]


@pytest.fixture
def working_keyring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def refusal(reader: SecretReader) -> str:
    with pytest.raises(SecretError) as caught:
        reader.read()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in shown
    return str(caught.value)


class TestSources:
    def test_none_presents_nothing(self, place: Place) -> None:
        place.environ["OPENCLAW_GATEWAY_TOKEN"] = SECRET
        assert place.reader("none").read() == Credentials()

    def test_the_environment_by_the_name_that_is_set(self, place: Place) -> None:
        place.environ |= {"OPENCLAW_GATEWAY_TOKEN": "other", "MY_TOKEN": f" {SECRET}\n"}
        assert place.reader("env", env="MY_TOKEN").read() == Credentials("token", SECRET)

    @pytest.mark.parametrize("value", [None, "", " \n"])
    def test_an_empty_environment_is_refused(self, place: Place, value: str | None) -> None:
        place.environ |= {} if value is None else {"OPENCLAW_GATEWAY_TOKEN": value}
        assert "OPENCLAW_GATEWAY_TOKEN" in refusal(place.reader("env"))

    def test_a_file_by_its_path_or_below_home(self, place: Place) -> None:
        place.lay(f"{SECRET}\n")
        assert place.reader("file").read() == Credentials("token", SECRET)
        assert place.reader("file", file="~/token").read() == Credentials("token", SECRET)

    def test_a_keyring_that_works(self, place: Place, working_keyring: MemoryKeyring) -> None:
        assert f"{KEYRING_SERVICE} / {KEYRING_NAME}" in refusal(place.reader("keyring"))
        working_keyring.set_password(KEYRING_SERVICE, KEYRING_NAME, SECRET)
        assert place.reader("keyring").read() == Credentials("token", SECRET)

    def test_no_keyring_at_all_is_a_refusal_only_when_it_was_asked_for(self, place: Place) -> None:
        refusal(place.reader("keyring"))
        place.configure(f'{{"gateway":{{"auth":{{"token":"{SECRET}"}}}}}}')
        assert place.reader("auto", file="").read() == Credentials("token", SECRET)

    def test_auto_tries_the_places_in_their_order(self, place: Place, working_keyring: MemoryKeyring) -> None:
        place.configure('{"gateway":{"auth":{"token":"from-openclaw"}}}')
        working_keyring.set_password(KEYRING_SERVICE, KEYRING_NAME, "from-keyring")
        place.lay("from-file")
        place.environ["OPENCLAW_GATEWAY_TOKEN"] = "from-environment"
        assert place.reader("auto").read().secret == "from-environment"
        del place.environ["OPENCLAW_GATEWAY_TOKEN"]
        assert place.reader("auto").read().secret == "from-file"
        place.lay("")
        assert place.reader("auto").read().secret == "from-keyring"
        working_keyring.delete_password(KEYRING_SERVICE, KEYRING_NAME)
        assert place.reader("auto").read().secret == "from-openclaw"

    def test_where_a_secret_was_found_is_said(self, place: Place, working_keyring: MemoryKeyring) -> None:
        place.environ["OPENCLAW_GATEWAY_TOKEN"] = SECRET
        place.lay(SECRET)
        working_keyring.set_password(KEYRING_SERVICE, KEYRING_NAME, SECRET)
        file = place.configure(f'{{"gateway":{{"auth":{{"mode":"password","password":"{SECRET}"}}}}}}')
        origins = {
            "env": "the token from the environment variable OPENCLAW_GATEWAY_TOKEN",
            "file": f"the token from the file {place.token_file}",
            "keyring": "the token from the keyring (clawdis-bridge / gateway-token)",
            "openclaw": f"the password from {file}",
        }
        sources: tuple[Source, ...] = ("env", "file", "keyring", "openclaw")
        assert {source: place.reader(source).read().origin for source in sources} == origins
        assert place.reader("auto").read().origin == origins["env"]
        assert "without a token" in place.reader("none").read().origin

    def test_auto_does_not_pass_over_a_file_that_it_cannot_use(self, place: Place) -> None:
        place.configure('{"gateway":{"auth":{"token":"from-openclaw"}}}')
        place.lay(SECRET, 0o644)
        assert "chmod 600" in refusal(place.reader("auto"))
        place.token_file.unlink()
        assert str(place.token_file) in refusal(place.reader("auto"))

    def test_a_change_is_seen_by_the_next_reading(self, place: Place) -> None:
        reader = place.reader("file")
        for text in ("old", "new"):
            place.lay(text)
            assert reader.read().secret == text


class TestFile:
    @pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o666, 0o601])
    def test_one_that_others_can_open_is_refused_with_the_command(self, place: Place, mode: int) -> None:
        place.lay(SECRET, mode)
        assert f"chmod 600 '{place.token_file}'" in refusal(place.reader("file"))

    def test_a_missing_or_empty_one_is_refused(self, place: Place) -> None:
        assert str(place.token_file) in refusal(place.reader("file"))
        place.lay(" \n")
        assert "no gateway token" in refusal(place.reader("file"))

    def test_one_that_is_no_text_is_refused(self, place: Place) -> None:
        place.lay("")
        place.token_file.write_bytes(SECRET.encode() + b"\xff")
        assert "something else than text" in refusal(place.reader("file"))

    def test_one_that_is_too_long_is_refused_not_cut(self, place: Place) -> None:
        place.lay("x" * MAX_SECRET_BYTES)
        assert place.reader("file").read().secret == "x" * MAX_SECRET_BYTES
        place.lay("x" * (MAX_SECRET_BYTES + 1))
        assert "longer than" in refusal(place.reader("file"))
        os.truncate(place.token_file, 1 << 40)
        assert "longer than" in refusal(place.reader("file"))

    @pytest.mark.timeout(10)
    def test_a_pipe_a_device_or_a_folder_is_refused_at_once(self, place: Place) -> None:
        os.mkfifo(place.token_file, 0o600)
        assert "no regular file" in refusal(place.reader("file"))
        assert "no regular file" in refusal(place.reader("file", file="/dev/zero"))
        refusal(place.reader("file", file=str(place.home)))


class TestOpenClaw:
    @pytest.mark.parametrize(
        ("auth", "credentials"),
        [
            (f'mode: "token", token: "{SECRET}"', Credentials("token", SECRET)),
            (f'token: "{SECRET}"', Credentials("token", SECRET)),
            (f'mode: "password", password: "{SECRET}", token: "x"', Credentials("password", SECRET)),
            (f'mode: "none", token: "{SECRET}"', Credentials()),
            ("", Credentials()),
        ],
    )
    def test_each_mode(self, place: Place, auth: str, credentials: Credentials) -> None:
        place.configure(f"{{ gateway: {{ auth: {{ {auth} }} }} }}")
        assert place.reader("openclaw").read() == credentials

    def test_comments_and_trailing_commas_are_read(self, place: Place) -> None:
        place.configure(f"// mine\n{{ gateway: {{ /* on loopback */ auth: {{ 'token': '{SECRET}', }}, }}, }}\n")
        assert place.reader("openclaw").read() == Credentials("token", SECRET)

    def test_a_trusted_proxy_is_refused_with_the_command(self, place: Place) -> None:
        place.configure('{"gateway":{"auth":{"mode":"trusted-proxy"}}}')
        assert "openclaw config set gateway.auth.mode token" in refusal(place.reader("openclaw"))

    @pytest.mark.parametrize("value", ['""', "5", "null", f'{{ source: "env", id: "{SECRET}" }}', f'["{SECRET}"]'])
    @pytest.mark.parametrize("mode", ["token", "password"])
    def test_a_secret_that_is_no_plain_text_is_refused(self, place: Place, mode: str, value: str) -> None:
        place.configure(f'{{ gateway: {{ auth: {{ mode: "{mode}", {mode}: {value} }} }} }}')
        assert f"no plain gateway.auth.{mode}" in refusal(place.reader("openclaw"))

    @pytest.mark.parametrize("text", ["[]", '"x"', "5", "null", "{}", '{"gateway": 5}', '{"gateway":{"auth":[]}}'])
    def test_a_configuration_without_auth_is_the_mode_none(self, place: Place, text: str) -> None:
        place.configure(text)
        assert place.reader("openclaw").read() == Credentials()

    @pytest.mark.parametrize(
        "text", ["", "{", f'{{"gateway":{{"auth":{{"token":"{SECRET}}}}}}}', "[" * 20_000, '{"a":\x01}']
    )
    def test_one_that_cannot_be_read_is_refused_without_its_text(self, place: Place, text: str) -> None:
        path = place.configure(text)
        assert str(path) in refusal(place.reader("openclaw"))

    def test_a_missing_a_huge_and_an_undecodable_one_are_refused(self, place: Place) -> None:
        assert "is OpenClaw set up" in refusal(place.reader("openclaw"))
        path = place.configure("")
        os.truncate(path, MAX_CONFIG_BYTES + 1)
        assert "larger than" in refusal(place.reader("openclaw"))
        path.write_bytes(b'{"gateway":"\xff"}')
        assert "cannot be read" in refusal(place.reader("openclaw"))

    def test_the_environment_names_the_file_or_the_folder(self, place: Place) -> None:
        place.configure('{"gateway":{"auth":{"token":"of-home"}}}')
        place.configure('{"gateway":{"auth":{"token":"of-state"}}}', "state")
        named = place.configure('{"gateway":{"auth":{"token":"of-path"}}}', "named")
        place.environ["OPENCLAW_STATE_DIR"] = str(place.home / "state")
        assert place.reader("openclaw").read().secret == "of-state"
        place.environ["OPENCLAW_CONFIG_PATH"] = str(named)
        assert place.reader("openclaw").read().secret == "of-path"
        place.environ.clear()
        assert place.reader("openclaw").read().secret == "of-home"


def test_the_secret_is_in_no_repr_and_no_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place.environ["OPENCLAW_GATEWAY_TOKEN"] = SECRET
    reader = place.reader("env")
    found = reader.read()
    assert found.secret == SECRET
    assert SECRET not in repr(reader) + repr(found) + str(found) + caplog.text


class TestSource:
    @pytest_asyncio.fixture
    async def source(self, place: Place) -> AsyncIterator[SecretSource]:
        made = SecretSource(place.reader("file"))
        yield made
        made.close()

    async def test_each_reading_sees_what_is_there_now(self, place: Place, source: SecretSource) -> None:
        for text in ("old", "new"):
            place.lay(text)
            assert (await source.read()).secret == text

    async def test_a_refusal_reaches_whoever_asked_and_ends_there(self, place: Place, source: SecretSource) -> None:
        results = await asyncio.gather(source.read(), source.read(), return_exceptions=True)
        assert [type(result) for result in results] == [SecretError, SecretError]
        place.lay(SECRET)
        assert (await source.read()).secret == SECRET

    async def test_one_reading_serves_all_who_wait_and_outlives_those_who_leave(
        self, place: Place, working_keyring: MemoryKeyring
    ) -> None:
        answer = threading.Event()
        looks: list[str] = []

        class Asking(MemoryKeyring):
            def get_password(self, service: str, username: str) -> str | None:
                looks.append(username)
                answer.wait(10)
                return SECRET

        keyring.set_keyring(Asking())
        source = SecretSource(place.reader("keyring"))
        async with asyncio.TaskGroup() as tasks:
            leaves, *stay = [tasks.create_task(source.read()) for _ in range(5)]
            await eventually(lambda: looks)
            leaves.cancel()
            await asyncio.sleep(0)
            answer.set()
        assert leaves.cancelled()
        assert [task.result().secret for task in stay] == [SECRET] * 4
        assert looks == [KEYRING_NAME]
        source.close()

    async def test_a_keyring_that_fails_in_any_way_is_none(self, place: Place, working_keyring: MemoryKeyring) -> None:
        class Broken(MemoryKeyring):
            def get_password(self, service: str, username: str) -> str | None:
                raise OSError("the bus is gone")

        keyring.set_keyring(Broken())
        refusal(place.reader("keyring"))
