"""The bridge's gateway side on a stage: links over loopback, and phones that only remember what they are told."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from acl.engine import decide
from acl.model import Allow, Call, Direction, Policy, Subject
from bridge.config import GatewayTable
from bridge.demo.gateway import EmbeddedGateway, GatewaySetup, Invoke
from bridge.lan.events import Answered, Forward, Join, Link, SessionEvent, Unanswered
from bridge.load import Flow
from bridge.log import make_log
from bridge.pairing.records import NodeRecord, Role, Surface
from bridge.tasks import Tasks
from bridge.upstream.operator_link import OperatorLink
from bridge.upstream.secret import SecretReader, SecretSource
from bridge.upstream.switchboard import KEY_AGAIN_S, Switchboard
from certs.private_files import private_folder
from certs.store import KeyFolder
from gateway_client.identity import DeviceIdentity
from tests.bridge.pairing.samples import record
from tests.support.waiting import eventually

TOKEN = "planted-gateway-token-of-the-test"
OFFER = Surface(commands=("screen.show", "device.info", "location.get"), caps=("screen", "device", "location"))
Told = TypeVar("Told", bound=SessionEvent)


@dataclass(eq=False)
class Phone:
    """A phone's socket."""

    node_id: str | None
    told: list[SessionEvent] = field(default_factory=list)
    carried: int = 0
    """How many calls carried a message."""
    put_down: int = 0
    """How often one was put down: each at least once, when it was sent or when it ended."""

    def post(self, event: SessionEvent) -> None:
        """Remember what was said."""
        self.told.append(event)

    def carry(self) -> Callable[[], None]:
        """Carry a message into a call; what is carried is put down when it has been sent."""
        self.carried += 1
        return self._put_down

    def _put_down(self) -> None:
        self.put_down += 1

    def of(self, kind: type[Told]) -> list[Told]:
        """Return what was said of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def outcomes(self, key: str) -> list[Answered | Unanswered]:
        """Return the final words about a forwarded request."""
        said: list[Answered | Unanswered] = [event for event in self.of(Answered) if event.final]
        said += self.of(Unanswered)
        return [event for event in said if event.key == key]


class Stage:
    """A switchboard and what it stands on."""

    def __init__(
        self, url: str, folder: Path, tasks: Tasks, stream: io.StringIO, key_again_s: float, linger_s: float
    ) -> None:
        log = make_log("debug", "json", stream)
        self.environ = {"OPENCLAW_GATEWAY_TOKEN": TOKEN}
        self.reader = SecretReader(GatewayTable(url=url, token_source="env"), self.environ, folder)
        self.secret = SecretSource(self.reader)
        self.operator = OperatorLink(url, self.secret, log)
        self.keys = KeyFolder(folder / "keys")
        self.tasks = tasks
        self.log = log
        self.flow = Flow()
        self.switchboard = Switchboard(
            self.operator,
            self.keys,
            secret=self.secret,
            tasks=tasks,
            log=log,
            settled=self.flow.metrics.call,
            key_again_s=key_again_s,
            linger_s=linger_s,
        )
        self._stream = stream

    @property
    def logged(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the logged entries of one name."""
        return [line for line in self.logged if line["event"] == name]

    def node(self, number: int = 0, **members: object) -> NodeRecord:
        """Return the record of a paired node whose key for the gateway exists."""
        name = f"{number:016x}"
        identity = DeviceIdentity(self.keys.create_ed25519(name))
        return record(number, upstream_key=name, gateway_node_id=identity.device_id, **members)

    def join(self, node: NodeRecord, offer: Surface = OFFER) -> Phone:
        """Let a phone in."""
        phone = Phone(node.node_id)
        self.switchboard.join(phone, Join(node, Role.NODE, offer))
        return phone

    async def linked(self, number: int = 0, offer: Surface = OFFER) -> tuple[NodeRecord, Phone]:
        """Let a phone in and wait until its link works, surface included."""
        await eventually(lambda: self.operator.is_open, what="operator link")
        node = await asyncio.to_thread(self.node, number)
        phone = self.join(node, offer)
        await self.settled(node)
        return node, phone

    async def settled(self, node: NodeRecord) -> None:
        """Wait until the surface of a node is settled."""

        def is_settled() -> bool:
            link = self.switchboard.link(node.node_id)
            return link is not None and link.surface is not None and link.ready.is_set()

        await eventually(is_settled, what="settled surface")


def forward(key: str, method: str, params: Any = None, *, link: Link = Link.OPERATOR, wait_s: float = 30.0) -> Forward:
    """Return a command that forwards a request; its proof is that of another call, which no link looks at."""
    allow = decide(Policy(), Subject("aa" * 32, frozenset(), frozenset()), Call(Direction.FROM_NODE, "health"))
    assert isinstance(allow, Allow)
    return Forward(link, key, method, params or {}, allow, wait_s)


@asynccontextmanager
async def staged(
    url: str, folder: Path, *, run_operator: bool = True, key_again_s: float = KEY_AGAIN_S, linger_s: float = 0.0
) -> AsyncIterator[Stage]:
    """Build the gateway side for a gateway at `url` and take it down afterwards."""
    folder.mkdir(exist_ok=True)
    private_folder(folder)
    stream = io.StringIO()
    async with Tasks(make_log("debug", "json", stream)) as tasks:
        stage = Stage(url, folder, tasks, stream, key_again_s, linger_s)
        if run_operator:
            tasks.spawn("operator-link", stage.operator.run())
        try:
            yield stage
        finally:
            stage.secret.close()
    assert TOKEN not in stream.getvalue(), "the gateway's token was logged"


async def hang(text: str, invoke: Invoke) -> str:
    """Be an agent that never finishes."""
    await asyncio.Event().wait()
    return text


def embedded(*, allow: tuple[str, ...] = ("screen.show",), auto_approve_local: bool = True) -> EmbeddedGateway:
    """Return the small gateway that knows `TOKEN`."""
    setup = GatewaySetup(token=TOKEN, commands_allow=allow, auto_approve_local=auto_approve_local)
    return EmbeddedGateway(setup, hang)


def running(name: str) -> int:
    """Return how many tasks of a name run."""
    return len([task for task in asyncio.all_tasks() if task.get_name() == name])


async def outcome(stage: Stage, phone: Phone, command: Forward, within_s: float = 10.0) -> Answered | Unanswered:
    """Forward a request and return its one outcome."""
    stage.switchboard.forward(phone, command)
    await eventually(lambda: phone.outcomes(command.key), timeout_s=within_s)
    [only] = phone.outcomes(command.key)
    return only


def skills(key: str) -> Forward:
    """Return a harmless request of a node's own link."""
    return forward(key, "node.skills.update", {"skills": []}, link=Link.NODE)
