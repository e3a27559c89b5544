"""B14, B15: a token is on the screen and in its owner's hands only; and a bent link gets no token out of a node."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.node.pairing_errors import BridgeMismatch
from bridge.pairing.native_link import LINK_PREFIX, LinkRefused, read_link
from gateway_client.identity import encode_base64url
from tests.attacks.codes import phone_of, redeemed, setup_code, spellings
from tests.attacks.fortress import Fortress
from tests.attacks.middle import Middle, middle
from tests.attacks.strangers import Stranger, ask, victim
from tests.bridge.lan.wire import HOST
from tests.bridge.node.stages import DoubleStage, double_stage
from tests.support.iphone import IPhone

pytestmark = pytest.mark.asyncio(loop_scope="package")


def everything_written(castle: Fortress) -> dict[str, bytes]:
    """What the daemon left behind: its files, its log, and what other users see of its process."""
    process = Path(f"/proc/{castle.bridge.pid}")
    places = [castle.bridge.log_path, process / "cmdline", process / "environ"]
    places += [path for path in castle.bridge.home.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in places}


class TestB14:
    """A token is in no file, log, command line, answer or frame: the bridge keeps a key that cannot be turned back.

    What is advertised is looked at in `test_b_window.py`.
    Guard: `token_key` in `CodeStore.add_link`, bridge/pairing/codes.py: with the token itself the database holds it.
    Guard: `code_hash` (bridge/pairing/setup_code.py): likewise for setup codes. Guard: only ids go to the log
    (bridge/pairing/enrolment.py): with the proof in it, it holds what a node sent in its place.
    """

    async def test_a_used_and_a_refused_link_leave_no_trace(self, gate: Fortress) -> None:
        link, other = await gate.link("device"), await gate.link("device")
        assert (await Stranger(gate.node_port).redeem(link)).status == 204
        assert (await Stranger(gate.node_port).redeem(link)).status == 403
        node = Stranger(gate.node_port)
        await node.begin(tokenId=other.token_id)
        sent_as_it_is = encode_base64url(other.token)
        assert (await node.reveal(token=sent_as_it_is)).status == 400
        assert (await node.reveal(tokenProof=sent_as_it_is)).status == 403
        for where, found in everything_written(gate).items():
            for one in (link, other):
                for spelling in spellings(one):
                    assert spelling not in found, where
        frames = json.dumps([seen.frame for seen in gate.tap.seen]).encode()
        assert not any(spelling in frames for spelling in (*spellings(link), *spellings(other)))

    async def test_neither_does_a_setup_code(self, gate: Fortress) -> None:
        (_, used), (_, unused) = await setup_code(gate), await setup_code(gate)
        assert await redeemed(phone_of(gate), used) is None
        assert await redeemed(phone_of(gate), used) is not None
        for where, found in everything_written(gate).items():
            assert used.encode() not in found, where
            assert unused.encode() not in found, where
        assert used not in json.dumps([seen.frame for seen in gate.tap.seen])

    async def test_no_answer_leads_on_or_repeats_it(self, gate: Fortress) -> None:
        token = encode_base64url((await gate.link("device")).token)
        async with gate.unharmed():
            for path in (f"/?token={token}", f"/pair/v1/enroll?token={token}", f"/pair/v1/enroll/{token}", f"/{token}"):
                for port in (gate.node_port, gate.app_port):
                    answer = await ask(port, "GET", path, None, HOST, Referer=f"https://x/?{token}")
                    assert answer.status == 404
                    assert b"location" not in answer.headers
                    assert token.encode() not in answer.body + str(answer.headers).encode()

    async def test_the_command_line_shows_it_once_and_lists_never_do(self, gate: Fortress) -> None:
        made = await gate.bridge.cli("pair", "--qr", "--native", "--profile", "voice")
        lines = [line.strip() for line in made.stdout.splitlines() if LINK_PREFIX in line]
        assert len(lines) == 1
        link = read_link(lines[0], datetime.now(UTC))
        shown = [await gate.bridge.cli(*words, "--json") for words in (["tokens", "list"], ["status"])]
        for spelling in spellings(link)[1:]:
            assert made.stdout.count(spelling.decode()) <= 1
            assert not any(spelling.decode() in one.stdout + one.stderr for one in shown)
        assert link.token_id in shown[0].stdout

    async def test_the_node_never_sends_it(self, stage: DoubleStage) -> None:
        link = await stage.invite()
        node, _ = victim(stage.port, link=link)
        await node.enrol()
        said = json.dumps([stage.double.seen, stage.double.headers]).encode()
        assert b"tokenProof" in said
        assert not any(spelling in said for spelling in spellings(link))


def bent(**changes: Any) -> str:
    """Return the text of a link, with changes that no `NativeLink` takes."""
    members = {
        "v": 1, "host": HOST, "port": 18790, "spki": "ab" * 32, "tokenId": "t-1",
        "token": encode_base64url(b"t" * 32), "exp": 4_000_000_000, **changes,
    }  # fmt: skip
    kept = {name: value for name, value in members.items() if value is not None}
    return LINK_PREFIX + encode_base64url(json.dumps(kept).encode())


BENT = {
    "no pin": bent(spki=None),
    "empty pin": bent(spki=""),
    "short pin": bent(spki="ab" * 31),
    "pin in capitals": bent(spki="AB" * 32),
    "list of pins": bent(spki=["ab" * 32]),
    "http": bent().replace("clawdis-bridge://", "http://"),
    "https": bent().replace("clawdis-bridge://", "https://"),
    "another page": bent().replace("pair#", "pair?"),
    "userinfo before": bent().replace("://", "://bridge@evil.example/"),
    "userinfo": bent(host="clawdis-bridge.local@evil.example"),
    "host with port": bent(host="127.0.0.1:80"),
    "host with path": bent(host="evil.example/x"),
    "host with a control character": bent(host="127.0.0.1\r\nX: y"),
    "host with a space": bent(host="127.0.0.1 evil.example"),
    "no host": bent(host=""),
    "port 0": bent(port=0),
    "port as text": bent(port="18790"),
    "port too large": bent(port=65536),
    "expired": bent(exp=1),
    "no end": bent(exp=None),
    "version 2": bent(v=2),
    "version true": bent(v=True),
    "another member": bent(url="https://evil.example"),
    "short token": bent(token=encode_base64url(b"t" * 16)),
    "10 KiB": bent(tokenId="t" * 10_240),
    "control characters around": bent() + "\n",
    "control characters within": bent()[:40] + "\x1b[2J" + bent()[40:],
}


class TestB15:
    """A node sends nothing, its token least of all, unless TLS showed the key that the link names.

    Guard: `_require` in bridge/pairing/native_link.py: without it seven of `BENT` are read (pins, ports, time and
    version); the others fall to the strict document, the host and the base64url as well. Guard: `link.spki` as the pin
    of the ceremony (`self._expected` in bridge/node/native_enrolment.py): without it both strangers get the `enroll`.
    """

    async def test_an_unbent_link_is_read(self) -> None:
        assert read_link(bent(), datetime.now(UTC)).spki == "ab" * 32

    @pytest.mark.parametrize("what", BENT)
    async def test_a_bent_link_is_refused_unread(self, what: str) -> None:
        with pytest.raises(LinkRefused) as caught:
            read_link(BENT[what], datetime.now(UTC))
        assert encode_base64url(b"t" * 32) not in str(caught.value)

    async def test_a_wrong_pin_keeps_the_node_silent(self, gate: Fortress) -> None:
        link = await gate.link("device")
        lines = len(gate.bridge.log_lines())
        async with gate.unharmed():
            node, codes = victim(gate.node_port, link=replace(link, spki="ab" * 32))
            with pytest.raises(BridgeMismatch):
                await node.enrol()
        assert (gate.events("enrolment-begun", lines), codes) == ([], [])

    async def test_so_does_another_host(self, gate: Fortress, man: Middle) -> None:
        link = await gate.link("device")
        man.down = man.claim
        node, codes = victim(man.port, link=replace(link, port=man.port))
        with pytest.raises(BridgeMismatch):
            await node.enrol()
        assert (man.seen, codes) == ([], [])
        assert (await Stranger(gate.node_port).redeem(link)).status == 204, "the token is still good"

    async def test_a_phone_with_a_wrong_pin_presents_no_setup_code(self, gate: Fortress) -> None:
        _, token = await setup_code(gate)
        with pytest.raises(ConnectionError, match="pinned"):
            await redeemed(IPhone(gate.bridge.url, "ab" * 32), token)
        assert await redeemed(phone_of(gate), token) is None, "so it is still good"


@pytest_asyncio.fixture(loop_scope="package")
async def stage(tmp_path: Path) -> AsyncIterator[DoubleStage]:
    async with double_stage(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="package")
async def man(gate: Fortress, tmp_path: Path) -> AsyncIterator[Middle]:
    async with middle(gate.node_port, tmp_path) as made:
        yield made
