"""B10, B16, B19: who asks again, asks in crowds or under another's name; and what the person reads meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.control.requests import RevokeBody
from bridge.pairing.approvers.approver import Approve, Prompt
from bridge.pairing.approvers.wording import full_text, headline, warnings
from bridge.pairing.desk import Why
from bridge.pairing.prompt_rules import PromptRules
from bridge.pairing.records import key_fingerprint
from bridge.prompting import Prompting
from tests.attacks.fortress import Fortress
from tests.attacks.strangers import PAIRED, Answer, Stranger, addresses, approve, open_anew, pending
from tests.bridge.house import House, house
from tests.bridge.pairing.approvers.people import Person
from tests.bridge.pairing.native import p256
from tests.support import scale
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")


@dataclass
class Desk:
    """A bridge whose person sits before a screen."""

    bridge: House
    person: Person
    rules: PromptRules

    @property
    def port(self) -> int:
        return self.bridge.nodes.port

    async def prompt(self, times: int = 1) -> Prompt:
        """Wait for the question that is asked as number `times`."""
        await eventually(lambda: len(self.person.asked) >= times, what="a prompt")
        return self.person.asked[-1]

    async def paired(self, node: Stranger) -> None:
        """Wait until a node is paired."""
        await eventually(lambda: node.node_id in self.bridge.store.nodes, what="paired")


@asynccontextmanager
async def desk_of(home: Path) -> AsyncIterator[Desk]:
    """Open a bridge with a person for a block."""
    home.mkdir(mode=0o700)
    async with house(home) as bridge:
        person, rules = Person("person"), PromptRules(pause_s=0.0)
        prompting = Prompting(bridge.reception, bridge.certificates, person, rules, bridge.stage.log)
        bridge.stage.tasks.spawn("prompts", prompting.run())
        yield Desk(bridge, person, rules)


@pytest_asyncio.fixture(loop_scope="package")
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_of(tmp_path / "home") as made:
        yield made


class TestB10:
    """A crowd gets one prompt on screen, three in the queue and 429; the first of all can still be approved.

    Guard: `if self._visible is not None` in `PromptRules._next`, bridge/pairing/prompt_rules.py: without it the person
    is asked about another device meanwhile. Guard: `[:MAX_QUEUED]` there: nine are queued. Guard: `MAX_PENDING` in
    bridge/pairing/desk.py: without it more than 32 lie on the desk.
    """

    async def test_hundreds_of_requests_from_fifty_addresses(self, gate: Fortress) -> None:
        first = await Stranger(gate.node_port, "127.0.0.2").asked()
        tries = 10 if scale.is_full() else 3
        crowd = [
            Stranger(gate.node_port, address, p256(number)) for number, address in enumerate(addresses(50) * tries)
        ]
        places = asyncio.Semaphore(64)

        async def push(one: Stranger) -> Answer:
            """One of them goes as far as it gets."""
            async with places:
                began = await one.begin()
                return await one.reveal() if began.status == 201 else began

        async with gate.unharmed(store=False, heard=PAIRED):
            answers = await asyncio.gather(*map(push, crowd))
            refused = [answer.refusal for answer in answers if answer.status != 204]
            assert set(refused) <= {(429, "BUSY"), (429, "TOO_MANY_CEREMONIES"), (404, "NOT_FOUND")}, set(refused)
            assert len(await pending(gate)) <= 32
            assert len(answers) - len(refused) < 32
            await approve(gate, first.id, first.code)
        assert first.node_id in gate.store()

    async def test_one_prompt_is_visible_and_three_are_queued(self, desk: Desk) -> None:
        crowd = [await Stranger(desk.port, address).asked() for address in addresses(9)]
        prompt = await desk.prompt()
        refused = [await Stranger(desk.port, address).begin() for address in addresses(20)[9:]]
        assert {answer.refusal for answer in refused[1:]} == {(429, "TOO_MANY_CEREMONIES")}
        assert prompt.id == crowd[0].id
        assert len(desk.rules.queued) == 3
        assert desk.person.open == 1
        assert {asked.id for asked in desk.person.asked} == {crowd[0].id}
        assert "trying at the same time" in " ".join(warnings(desk.person.asked[-1]))
        desk.person.say(Approve(crowd[0].code))
        await desk.paired(crowd[0])
        assert set(desk.bridge.store.nodes) == {crowd[0].node_id}


class TestB16:
    """A key that was seen before is said to be so, and what is stored of it stays until a person approves.

    Guard: `why` and `revoked_at` taken at the reveal (`Enrolment._as_stored`, bridge/pairing/enrolment.py): with
    those of the beginning a node that began before it was revoked gets a prompt at once, which calls it paired.
    Guard: `draft.revoked_at is not None` in `_require_not_denied` there: a revoked key asks without being invited.
    """

    async def test_the_entry_of_a_paired_key_stays_until_the_approval(self, gate: Fortress) -> None:
        key = p256(1600)
        identity = await gate.paired(key)
        before = gate.store()[identity.node_id]
        again = Stranger(gate.node_port, key=key, name="Another name", permissions=("device", "screen", "system"))
        async with gate.unharmed():
            await again.asked()
            assert gate.store()[identity.node_id] == before
            async with gate.node(identity) as node:
                await node.identity()
            await open_anew(gate)  # it is denied
            assert gate.store()[identity.node_id] == before

    async def test_the_prompt_of_a_paired_key_says_so(self, desk: Desk) -> None:
        node = await self.paired(desk)
        await Stranger(desk.port, key=node.key).asked()
        prompt = await desk.prompt(2)
        assert prompt.why is Why.REPAIR
        assert "paired device" in headline(prompt)

    async def test_the_prompt_of_a_revoked_key_says_when(self, desk: Desk) -> None:
        node = await self.paired(desk)
        record = await desk.bridge.reception.revoke(node.node_id)
        assert (await Stranger(desk.port, key=node.key).begin()).refusal == (403, "DENIED"), "nobody invited it"
        await desk.bridge.operations.codes.open_window()
        await Stranger(desk.port, key=node.key).asked()
        prompt = await desk.prompt(2)
        assert (prompt.why, prompt.previously_revoked_at) == (Why.RETURN, record.revoked_at)
        assert f"was revoked on {record.revoked_at:%Y-%m-%d at %H:%M}" in full_text(prompt)
        assert desk.bridge.store.nodes[node.node_id].revoked_at == record.revoked_at

    async def test_a_ceremony_begun_before_the_revocation_does_not_hide_it(self, desk: Desk) -> None:
        node = await self.paired(desk)
        again, invited = Stranger(desk.port, key=node.key), Stranger(desk.port, key=node.key)
        await again.begin()
        record = await desk.bridge.reception.revoke(node.node_id)
        assert (await again.reveal()).refusal == (403, "DENIED")
        assert desk.bridge.reception.desk.pending() == []
        await desk.bridge.operations.codes.open_window()
        await invited.asked()
        assert (await desk.prompt(2)).previously_revoked_at == record.revoked_at

    async def test_neither_does_one_begun_before_the_pairing(self, desk: Desk) -> None:
        early = Stranger(desk.port, "127.0.0.3", p256(1601))
        node = await Stranger(desk.port, key=early.key).asked()
        await desk.prompt()
        await early.begin()
        desk.person.say(Approve(node.code))
        await desk.paired(node)
        await early.reveal()
        assert (await desk.prompt(2)).why is Why.REPAIR

    @staticmethod
    async def paired(desk: Desk) -> Stranger:
        node = await Stranger(desk.port).asked()
        await desk.prompt()
        desk.person.say(Approve(node.code))
        await desk.paired(node)
        return node


NAMES = {
    "the same": ("Anna's iPhone", "Anna's iPhone"),
    "Cyrillic": ("\u0410nn\u0430's iPhone", "\u0410nn\u0430's iPhone"),
    "right to left": ("\u202eenohPi s'annA\u202c", "enohPi s'annA"),
    "zero width": ("An\u200bna's\u2060 iPhone\ufeff", "Anna's iPhone"),
    "control": ("Anna's\x1b[2J\x07 iPhone\x00", "Anna's[2J iPhone"),
    "lines": ("Anna's iPhone\nKey: 0000", None),
    "empty": ("", "linux"),
    "blank": (" \u3164\u2800\t ", "linux"),
    "long": ("x" * 512, "x" * 64),
}


class TestB19:
    """A name is a label: shown clean, with the key's fingerprint beside it; never a reason to take two for one.

    Guard: `clean_label` in `DeviceFacts.labels`, bridge/pairing/enrolment_bodies.py: the names arrive as they were
    sent. Guard: `max_length=512` there: the name of 10,000 characters is taken. Guard: identity is the key
    (`csr.node_id` in `Enrolment._draft`, bridge/pairing/enrolment.py): with a hash of the name in its place two nodes
    of one name are one, and nobody can be paired.
    """

    @pytest.mark.parametrize("name", NAMES)
    async def test_a_name_is_shown_clean_with_the_keys_fingerprint(self, gate: Fortress, name: str) -> None:
        sent, shown = NAMES[name]
        node = await Stranger(gate.node_port, name=sent).asked()
        (row,) = await pending(gate)
        assert row.display_name == (shown if shown is not None else row.display_name)
        assert 1 <= len(row.display_name) <= 64
        assert row.display_name.isprintable()
        assert row.key_fingerprint == key_fingerprint(node.node_id)

    async def test_a_name_of_ten_thousand_characters_is_refused(self, gate: Fortress) -> None:
        async with gate.unharmed():
            assert (await Stranger(gate.node_port, name="x" * 10_000).begin()).refusal == (400, "BAD_REQUEST")

    async def test_two_of_one_name_are_two(self, desk: Desk) -> None:
        twins = [Stranger(desk.port, f"127.0.0.{number}", name="Anna's iPhone") for number in (2, 3)]
        for times, twin in enumerate(twins, 1):
            await twin.asked()
            prompt = await desk.prompt(times)
            assert prompt.key_fingerprint in full_text(prompt)
            desk.person.say(Approve(twin.code))
            await desk.paired(twin)
        stored: dict[str, Any] = dict(desk.bridge.store.nodes)
        assert set(stored) == {twin.node_id for twin in twins}
        assert len({prompt.key_fingerprint for prompt in desk.person.asked}) == 2
        await desk.bridge.operations.revoke(RevokeBody(ids=[twins[0].node_id]))
        assert desk.bridge.store.nodes[twins[1].node_id] == stored[twins[1].node_id], "the other one is untouched"
