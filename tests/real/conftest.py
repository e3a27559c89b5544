"""One real gateway, one scripted model, one recorder and one bridge per test module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.support.bridge_process import WIDE_LIMITS, BridgeProcess
from tests.support.iphone import Android, IPhone, PhoneSocket, Refused
from tests.support.model_server import ModelServer, say
from tests.support.openclaw import free_port
from tests.support.operator import operator
from tests.support.real_gateway import GatewayOptions, RealGateway
from tests.support.schema import validate_frame
from tests.support.tap import Tap

SCREEN = (
    "screen.show",
    "screen.hide",
    "screen.navigate",
    "screen.eval",
    "screen.snapshot",
    "screen.setMode",
)


@dataclass(kw_only=True)
class House:
    """A bridge and the phones of a test."""

    bridge: BridgeProcess
    sockets: list[PhoneSocket] = field(default_factory=list)

    def phone(self, name: str = "Anna's iPhone", **more: Any) -> IPhone:
        """Returns a new phone that has pinned the bridge."""
        return IPhone(self.bridge.url, self.bridge.pin, name=name, **more)

    def android(self, name: str = "Pixel of Ben", **more: Any) -> Android:
        """Returns a new phone of the other kind."""
        return Android(self.bridge.url, self.bridge.pin, name=name, **more)

    def socket(self, phone: IPhone, role: str = "node", **more: Any) -> PhoneSocket:
        """Returns a socket of a phone whose frames are checked at the end of the module."""
        made = phone.socket(role, **more)
        self.sockets.append(made)
        return made

    async def invite(self, phone: IPhone, *permissions: str) -> PhoneSocket:
        """Pairs a phone by a setup code; returns its node socket, not yet entered."""
        wanted = list(permissions) or ["voice", "screen", "device", "notify", "chat"]
        code = await self.bridge.ask(lambda: self.bridge.client.mint_setup_code(wanted, None, 300, None))
        phone.url = code.url
        return self.socket(phone, auth={"bootstrapToken": bootstrap_token(code.setup_code)})


@dataclass(kw_only=True)
class Estate(House):
    """Everything a test needs: a Mac with a gateway and a bridge."""

    gateway: RealGateway
    model: ModelServer
    tap: Tap

    def operator(self) -> Any:
        """Returns an operator of the gateway, past the bridge, to be entered."""
        return operator(self.gateway.url, self.gateway.token)

    async def under(self, policy: str) -> None:
        """Puts a `policy.toml` into force."""
        path = self.bridge.home / "policy.toml"
        path.write_text(policy)
        path.chmod(0o600)
        await self.bridge.ask(self.bridge.client.reload_policy)

    async def gateway_id(self, phone: IPhone, *commands: str) -> str:
        """Returns the id that stands for a phone at the gateway, once these commands can be invoked."""
        detail = await self.bridge.settled(phone.node_id, *commands)
        return detail.gateway_node_id


async def enter(made: PhoneSocket) -> PhoneSocket | Exception:
    """Enters a socket; returns it, or why it was not let in."""
    try:
        return await made.__aenter__()
    except (Refused, ConnectionError, OSError) as exc:
        return exc


def bootstrap_token(setup_code: str) -> str:
    """Returns the token inside a setup code."""
    import base64
    import json

    document = json.loads(base64.urlsafe_b64decode(setup_code + "=" * (-len(setup_code) % 4)))
    return str(document["bootstrapToken"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the real gateway and shares its module's loop."""
    for item in items:
        if "/tests/real/" in str(item.path):
            item.add_marker(pytest.mark.real)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def estate(request: pytest.FixtureRequest) -> AsyncIterator[Estate]:
    """A gateway that lets screen commands through, with a scripted model; the bridge connects through the recorder.

    A module may name limits of the bridge as `LIMITS`.
    """
    limits = {**WIDE_LIMITS, **getattr(request.module, "LIMITS", {})}
    async with ModelServer(say("Hello.")) as model:
        options = GatewayOptions(nodes_commands_allow=SCREEN, model_base_url=model.base_url)
        async with RealGateway(options) as gateway, Tap(gateway.url) as tap:
            bridge = BridgeProcess(tap.url, gateway.token, limits=limits)
            async with bridge:
                await bridge.connected()
                made = Estate(bridge=bridge, gateway=gateway, model=model, tap=tap)
                yield made
            check_frames(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    """A bridge whose gateway is not there: phones come in all the same."""
    async with BridgeProcess(f"ws://127.0.0.1:{free_port()}", None, limits=WIDE_LIMITS) as bridge:
        made = House(bridge=bridge)
        yield made
        check_phones(made)


def check_frames(estate: Estate) -> None:
    """Every frame that the bridge sent to the gateway or to a phone fits the official schema."""
    check_upstream(estate.tap)
    check_phones(estate)


def check_upstream(tap: Tap) -> None:
    """So does every frame to a gateway."""
    assert tap.sent_up()
    for frame in tap.sent_up():
        validate_frame(frame, strict=True)


def check_phones(house: House) -> None:
    """So does every frame to a phone, and all of them are text."""
    for socket in house.sockets:
        assert all(socket.texts), "the Android app reads text messages only"
        for frame in socket.frames:
            check_told(frame, socket.methods.get(frame.get("id", "")))


def check_told(frame: dict[str, Any], method: str | None) -> None:
    """One frame to a node; what the gateway said through the bridge may be newer than the schema."""
    own = frame["type"] == "event" and frame["event"].startswith(("node.", "connect.", "tick", "shutdown"))
    validate_frame(frame, method=method, strict=own or method == "connect")
