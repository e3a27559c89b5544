"""From a request on the desk to a person's answer and back: what is shown is what is granted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from acl.permissions import PROFILES
from bridge.certificates import Certificates
from bridge.lan.events import Decided, Outcome
from bridge.log import Log, make_log, silent_log
from bridge.pairing.approvers.approver import Answer, Approve, Deny, NoAnswer, Prompt
from bridge.pairing.prompt_rules import PromptRules
from bridge.pairing.transcript import short_code
from bridge.prompting import Prompting
from bridge.tasks import Tasks
from certs.store import KeyFolder
from tests.bridge.audit.remembered import FULL, Remembered
from tests.bridge.pairing.desks import Front, Socket
from tests.bridge.pairing.native import NativePhone
from tests.bridge.pairing.samples import identity
from tests.support.waiting import eventually

HOST = "clawdis-bridge-0a1b2c3d.local"


class Person:
    """An approver whose answers are put in by the test; remembers what was shown, and what was taken away."""

    name = "person"

    def __init__(self) -> None:
        self.shown: list[Prompt] = []
        self.closed = 0
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()

    async def ask(self, prompt: Prompt) -> Answer:
        self.shown.append(prompt)
        try:
            return await self.answers.get()
        except asyncio.CancelledError:
            self.closed += 1
            raise

    async def sees(self, count: int = 1) -> Prompt:
        """Wait for the so-manieth prompt."""
        await eventually(lambda: len(self.shown) >= count, timeout_s=10, what="a prompt")
        return self.shown[count - 1]


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(tmp_path / "home")


@asynccontextmanager
async def asked(front: Front, log: Log | None = None) -> AsyncIterator[Person]:
    """Run the prompts beside the block; `log` is that of their own."""
    keys, now = KeyFolder(front.home / "keys"), datetime.now(UTC)
    made = keys.load_or_create(HOST, now=now)
    certificates = Certificates(keys, made, keys.client_authority(now=now), HOST, silent_log(), Remembered())
    person = Person()
    async with Tasks(silent_log()) as tasks:
        rules = PromptRules(pause_s=0.0)
        tasks.spawn("prompts", Prompting(front.reception, certificates, person, rules, log or silent_log()).run())
        yield person


async def test_what_an_app_asks_is_shown_and_granted_by_one_yes(front: Front) -> None:
    socket = Socket()
    async with asked(front) as person:
        request = front.filed(socket=socket)
        prompt = await person.sees()
        assert (prompt.id, prompt.kind, prompt.code_length) == (request.id, "openclaw", 0)
        assert prompt.pin == KeyFolder(front.home / "keys").load().pin
        await person.answers.put(Approve(None))
        await eventually(lambda: len(socket.told) == 2)
    assert socket.told[1] == Decided(Outcome.APPROVED)
    assert front.stored().granted == request.draft.permissions == PROFILES["voice+screen"]


async def test_a_native_node_needs_the_digits_that_it_shows(front: Front) -> None:
    phone = NativePhone()
    code = short_code(phone.transcript(phone.ceremony()))
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    async with asked(front) as person:
        front.reception.file_draft(phone.revealed(), "10.0.0.1", "c1")
        assert (await person.sees()).code_length == 6
        await person.answers.put(Approve(wrong))
        assert "2 tries are left" in (await person.sees(2)).notice
        await person.answers.put(Approve(code))
        await eventually(lambda: phone.node_id in front.reception.store.nodes)


async def test_the_third_wrong_code_ends_the_request_and_the_prompt(front: Front) -> None:
    phone = NativePhone()
    code = short_code(phone.transcript(phone.ceremony()))
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    async with asked(front) as person:
        front.reception.file_draft(phone.revealed(), "10.0.0.1", "c1")
        for number in range(1, 4):
            await person.sees(number)
            await person.answers.put(Approve(wrong))
        await eventually(lambda: front.reception.desk.get("c1") is None)
        front.filed(7)
        assert (await person.sees(4)).kind == "openclaw", "the next one has its turn"
    assert dict(front.reception.store.nodes) == {}


async def test_a_no_denies_and_silences(front: Front) -> None:
    socket = Socket()
    async with asked(front) as person:
        front.filed(socket=socket)
        await person.sees()
        await person.answers.put(Deny())
        await eventually(lambda: len(socket.told) == 2)
    assert socket.told[1] == Decided(Outcome.DENIED)


async def test_who_decides_elsewhere_closes_the_prompt(front: Front) -> None:
    async with asked(front) as person:
        request = front.filed()
        await person.sees()
        await front.reception.approve(request, None, None)
        await eventually(lambda: person.closed == 1, timeout_s=10)
    assert front.stored().revoked_at is None


async def test_an_answer_that_cannot_be_written_down_is_asked_again(front: Front) -> None:
    """Red when the log, to which the prompt points, says nothing of it, or a prompt hides why there is no trace."""
    out = StringIO()
    async with asked(front, make_log("info", "json", out)) as person:
        request = front.filed()
        await person.sees()
        front.home.chmod(0o777)
        await person.answers.put(Approve(None))
        assert "could not write" in (await person.sees(2)).notice
        assert [line for line in out.getvalue().splitlines() if "store-failed" in line and "chmod" in line]
        front.home.chmod(0o700)
        assert front.reception.desk.get(request.id) is not None
        front.trail.refuses = FULL
        await person.answers.put(Approve(None))
        assert (await person.sees(3)).notice == f"Nothing was approved, because {FULL}"
        front.trail.refuses = None
        await person.answers.put(Approve(None))
        await eventually(lambda: identity().device_id in front.reception.store.nodes)


async def test_a_device_that_waited_already_goes_first_once_a_person_invites_it(front: Front) -> None:
    async with asked(front) as person:
        for number in range(1, 6):
            front.filed(number)
        mine = front.filed(7, Socket("10.0.0.7"))
        await person.sees()
        front.reception.open_window()
        front.filed(7, Socket("10.0.0.7"))
        await person.answers.put(NoAnswer())
        assert (await person.sees(2)).id == mine.id


async def test_nobody_there_leaves_it_pending(front: Front) -> None:
    async with asked(front) as person:
        request = front.filed()
        await person.sees()
        await person.answers.put(NoAnswer())
        front.filed(5)
        assert (await person.sees(2)).id != request.id
    assert front.reception.desk.get(request.id) == request
