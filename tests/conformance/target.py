"""A gateway under test, embedded or real, behind one face."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.demo.gateway import EmbeddedGateway, GatewaySetup, Invoke
from gateway_client.identity import DeviceIdentity
from tests.conformance.wire import ALL_SCOPES, Wire, new_identity, node_params, operator_params, wire
from tests.support.model_server import ModelServer, invoke_then_say
from tests.support.real_gateway import GatewayOptions, RealGateway

SCREEN = ("screen.show", "screen.hide", "screen.navigate", "screen.eval", "screen.snapshot", "screen.setMode")
REPLY = "The scripted reply."


@dataclass(slots=True)
class Target:
    """What the tests need to know of a gateway."""

    name: str
    url: str
    token: str
    tick_ms: int
    handshake_s: float
    gateway: EmbeddedGateway | RealGateway
    model: ModelServer | None = None
    plan: list[tuple[str, str, Any]] = field(default_factory=list)
    """What the embedded agent invokes in its next turn: node, command, parameters."""

    def next_turn_invokes(self, node_id: str, command: str, params: Any) -> None:
        """Make the agent's next turn call a node and then say `REPLY`."""
        if self.model is not None:
            self.model.script = invoke_then_say(node_id, command, params, REPLY)
        else:
            self.plan.append((node_id, command, params))

    async def turn(self, text: str, invoke: Invoke) -> str:
        """Play the agent of the embedded gateway."""
        while self.plan:
            await invoke(*self.plan.pop())
        return REPLY

    @contextlib.asynccontextmanager
    async def operator(self, scopes: Sequence[str] = ALL_SCOPES) -> AsyncIterator[Wire]:
        """Connect as the backend operator."""
        async with wire(self.url) as client:
            client.hello = await client.ok("connect", operator_params({"token": self.token}, scopes))
            yield client

    @contextlib.asynccontextmanager
    async def node(self, identity: DeviceIdentity | None = None, **options: Any) -> AsyncIterator[tuple[Wire, str]]:
        """Connect as a node; yield it and its id."""
        identity = identity or new_identity()
        options.setdefault("auth", {"token": self.token})
        async with wire(self.url) as client:
            client.hello = await client.ok("connect", node_params(client, identity, **options))
            yield client, identity.device_id

    @contextlib.asynccontextmanager
    async def approved_node(
        self, operator: Wire, identity: DeviceIdentity | None = None, **options: Any
    ) -> AsyncIterator[tuple[Wire, str]]:
        """Connect as a node and have its surface approved."""
        async with self.node(identity, **options) as (client, node_id):
            await approve_surface(operator, node_id)
            yield client, node_id


async def pending_surface(operator: Wire, node_id: str) -> dict[str, Any] | None:
    """Return the node's waiting surface request."""
    pending: list[dict[str, Any]] = (await operator.ok("node.pair.list", {}))["pending"]
    return next((request for request in pending if request["nodeId"] == node_id), None)


async def approve_surface(operator: Wire, node_id: str) -> dict[str, Any]:
    """Approve the node's waiting surface; return the answer."""
    request = await pending_surface(operator, node_id)
    assert request is not None, f"nothing waits for {node_id}"
    return await operator.ok("node.pair.approve", {"requestId": request["requestId"]})


@contextlib.asynccontextmanager
async def embedded(*, auto_approve_local: bool = True) -> AsyncIterator[Target]:
    """Run the embedded gateway, with short times."""
    setup = GatewaySetup(
        token="shared-secret-of-the-test",
        auto_approve_local=auto_approve_local,
        commands_allow=SCREEN,
        tick_interval_ms=500,
        handshake_s=1.0,
    )
    holder: list[Target] = []

    async def turn(text: str, invoke: Invoke) -> str:
        return await holder[0].turn(text, invoke)

    async with EmbeddedGateway(setup, turn) as gateway:
        target = Target("embedded", gateway.url, setup.token, setup.tick_interval_ms, setup.handshake_s, gateway)
        holder.append(target)
        yield target


@contextlib.asynccontextmanager
async def real(*, auto_approve_local: bool = True, with_model: bool = True) -> AsyncIterator[Target]:
    """Run the real gateway, with a scripted model behind its agent."""
    async with contextlib.AsyncExitStack() as stack:
        model = await stack.enter_async_context(ModelServer(lambda messages: REPLY)) if with_model else None
        options = GatewayOptions(
            auto_approve_local=auto_approve_local,
            nodes_commands_allow=SCREEN,
            model_base_url=model.base_url if model else None,
        )
        gateway = await stack.enter_async_context(RealGateway(options))
        yield Target("real", gateway.url, gateway.token, 30_000, 15.0, gateway, model)
