"""B6 to B9: what lies before a person is what they approve, by its own id and its own code, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography import x509

from bridge.errors import RefusedError, UnknownId, UsageError, WrongCode
from gateway_client.identity import encode_base64url
from tests.attacks.fortress import Fortress
from tests.attacks.strangers import PAIRED, Stranger, approve, ask, pending
from tests.bridge.lan.wire import peer

pytestmark = pytest.mark.asyncio(loop_scope="package")

WIDER = {"permissions": ["device", "screen", "system", "nodes"]}
RENAMED = {"device": {"displayName": "The person's own iPhone", "platform": "ios 26.1"}}
MORE_COMMANDS = {"commands": ["system.run"]}


def rows(castle: Fortress, stranger: Stranger) -> dict[str, Any]:
    """What the store holds of a node; empty: nothing."""
    found: dict[str, Any] = castle.store().get(stranger.node_id, {})
    return found


class TestB6:
    """What the prompt showed is what is granted (OpenClaw #72006): a changed request is another one.

    Guard: `mine.draft == draft` in `Desk.file`, bridge/pairing/desk.py (whatever the key sends taken for a retry): the
    old id stays in the list. Guard: the draft on the desk is never written again; with `Enrolment.begin`
    (bridge/pairing/enrolment.py) putting the new wishes into it, the wider permissions are shown and stored.
    """

    @pytest.mark.parametrize("change", [WIDER, RENAMED, MORE_COMMANDS, {"csr": "again"}], ids=str)
    async def test_a_request_sent_again_with_a_change_is_another_request(
        self, gate: Fortress, change: dict[str, object]
    ) -> None:
        node = await Stranger(gate.node_port).asked()
        (shown,) = await pending(gate)
        again = Stranger(gate.node_port, key=node.key)
        more = {**change, "csr": encode_base64url(again.csr)} if "csr" in change else change
        async with gate.unharmed():
            assert (await again.begin(**more)).status == 201
            assert await pending(gate) == [shown], "nobody reads it before the reveal"
            assert (await again.reveal()).status == 204
            (changed,) = await pending(gate)
            assert changed.id == again.id != shown.id
            with pytest.raises(RefusedError):
                await approve(gate, shown.id, node.code)
            with pytest.raises(WrongCode):
                await approve(gate, changed.id, node.code)
            assert [one.id for one in await pending(gate)] == [changed.id]

    async def test_the_approval_of_the_old_one_grants_the_old_one(self, gate: Fortress) -> None:
        node = await Stranger(gate.node_port).asked()
        (shown,) = await pending(gate)
        again = Stranger(gate.node_port, key=node.key)
        async with gate.unharmed(store=False, heard=PAIRED):
            await again.begin(**WIDER, device=RENAMED["device"], commands=["system.run"])
            await approve(gate, shown.id, node.code)
        assert rows(gate, node)["permissions"] == shown.permissions == ["device"]
        assert rows(gate, node)["labels"]["displayName"] == shown.display_name
        assert (await node.poll()).json["permissions"] == ["device"]
        assert (await again.reveal()).status == 204
        assert rows(gate, node)["permissions"] == ["device"], "the wider one has to be approved by itself"

    async def test_another_key_of_the_same_address_waits(self, gate: Fortress) -> None:
        await Stranger(gate.node_port).asked()
        shown = await pending(gate)
        async with gate.unharmed():
            answer = await Stranger(gate.node_port).begin(**WIDER)
            assert answer.refusal == (429, "BUSY")
            assert await pending(gate) == shown


class TestB7:
    """A wrong code approves nothing, and the third one ends the request.

    Guard: `compare_digest(short_code(...))` in `Desk.try_code`, bridge/pairing/desk.py: the first wrong code pairs it.
    Guard: `MAX_WRONG_CODES` there: after three the right code still pairs it.
    """

    async def test_three_wrong_codes_at_the_command_line_end_it(self, gate: Fortress) -> None:
        node = await Stranger(gate.node_port).asked()
        async with gate.unharmed():
            tried = await gate.bridge.cli("approve", node.id, "--code", node.wrong_code)
            assert tried.returncode == 1, tried
            assert node.code not in tried.stdout + tried.stderr
            for _ in range(2):
                with pytest.raises(WrongCode):
                    await approve(gate, node.id, node.wrong_code)
            with pytest.raises(RefusedError):
                await approve(gate, node.id, node.code)
            assert (await node.poll()).json == {"status": "denied"}

    @pytest.mark.parametrize("typed", ["", "0", "12345", "1234567", "٠١٢٣٤٥", "      ", "0x1234", "-12345", "code"])
    async def test_what_is_no_code_approves_nothing(self, gate: Fortress, typed: str) -> None:
        node = await Stranger(gate.node_port).asked()
        with pytest.raises((UsageError, WrongCode)):
            await approve(gate, node.id, typed)
        assert rows(gate, node) == {}

    async def test_without_a_code_nothing_is_approved(self, gate: Fortress) -> None:
        node = await Stranger(gate.node_port).asked()
        async with gate.unharmed():
            with pytest.raises(UsageError):
                await approve(gate, node.id, None)
            assert (await gate.bridge.cli("approve", node.id)).returncode == 2
            assert [one.id for one in await pending(gate)] == [node.id], "and it goes on waiting"


class TestB8:
    """A node that has gone gets nothing that anybody else could use, and its own again when it comes back.

    A certificate is made when its key is proven, after the approval. Who went without asking has none; who went while
    it waited for the decision had proven its key, and the one that is made for it reaches nobody.
    Guard: `_holds` in `Issuing._proven`, bridge/pairing/issuing.py: without it whoever knows the id gets the
    certificate.
    """

    async def test_the_approval_of_absent_nodes(self, gate: Fortress) -> None:
        gone, waited = [await Stranger(gate.node_port, f"127.0.0.{number}").asked() for number in (2, 3)]
        await self.wait_and_go(gate, waited)
        lines = len(gate.bridge.log_lines())
        async with gate.unharmed(store=False, heard=PAIRED):
            await asyncio.gather(*(approve(gate, node.id, node.code) for node in (gone, waited)))
            nothing = await ask(gate.node_port, "GET", "/pair/v1/enroll/nope")
            for node in (gone, waited):
                thief = Stranger(gate.node_port, "127.0.0.4", opened=node.opened, nonce=node.nonce)
                thief.bridge_spki = node.bridge_spki
                for answer in (await thief.poll(), await node.poll(proof=""), await node.poll(proof="AAAA")):
                    assert answer.shape == nothing.shape
        assert gone.node_id[:8] not in {line["node"] for line in gate.events("certificate-issued", lines)}
        assert rows(gate, gone)["certificate"] is None
        for node in (gone, waited):
            assert rows(gate, node)["permissions"] == ["device"]
            answer = (await node.poll()).json
            assert (answer["status"], answer["nodeId"]) == ("approved", node.node_id)
            leaf = x509.load_pem_x509_certificate(answer["certificate"].encode())
            assert leaf.public_key() == node.key.public_key()

    @staticmethod
    async def wait_and_go(gate: Fortress, node: Stranger) -> None:
        head = f"GET /pair/v1/enroll/{node.id}?wait=25 HTTP/1.1\r\nHost: x\r\nX-Bridge-Proof: {node.proof}\r\n\r\n"
        async with peer(gate.node_port) as connection:
            await connection.say(head.encode())
            await gate.bridge.ask(gate.bridge.client.status)  # it has read the question by now


class TestB9:
    """Which request is approved is said by its id or not at all.

    Guard: `len(prefix) < MIN_PREFIX` in `resolve_prefix`, bridge/control/operations.py: without it one digit reaches a
    request. Guard: positions and `latest` are no ids there: with them taken for some, `latest` and `1` reach one.
    Guard: `Desk.try_code`, bridge/pairing/desk.py, compares with the named request: with the code searched among all
    that wait, the other one's code approves it.
    """

    async def test_nothing_but_an_id_names_a_request(self, gate: Fortress) -> None:
        one, other = [await Stranger(gate.node_port, f"127.0.0.{number}").asked() for number in (2, 3)]
        async with gate.unharmed():
            assert (await gate.bridge.cli("approve")).returncode == 2
            assert (await gate.bridge.cli("approve", "latest", "--code", other.code)).returncode == 1
            for name in ("last", "*", "all", "-1", "0", "1", "2", one.id[:1], one.address, one.name, one.node_id):
                with pytest.raises(UnknownId):
                    await approve(gate, name, one.code)
            assert {request.id for request in await pending(gate)} == {one.id, other.id}

    async def test_a_code_counts_for_its_own_request_only(self, gate: Fortress) -> None:
        one, other = [await Stranger(gate.node_port, f"127.0.0.{number}").asked() for number in (2, 3)]
        async with gate.unharmed(store=False, heard=PAIRED):
            with pytest.raises(WrongCode):
                await approve(gate, other.id, one.code)
            assert rows(gate, one) == rows(gate, other) == {}
            await approve(gate, one.id, one.code)
        assert rows(gate, one)["permissions"] == ["device"]
        assert rows(gate, other) == {}
        assert [request.id for request in await pending(gate)] == [other.id]
