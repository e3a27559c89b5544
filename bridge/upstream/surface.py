"""The second approval, at the gateway: done by the bridge for what a person approved here (design §14).

Its connection has `operator.pairing` and is open only while something is approved or removed, one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.log import Log
from bridge.pairing.records import Surface
from bridge.upstream.operator_link import OperatorLink, operator_profile
from bridge.upstream.secret import SecretSource
from bridge.upstream.surface_rules import (
    Settled,
    Unknown,
    Waits,
    approval_scopes,
    find_device,
    find_pending,
    judge_row,
    may_approve,
    row_of,
    surplus,
)
from gateway_client.connection import GatewayConnection
from gateway_client.frames import Json, JsonObject
from gateway_client.identity import DeviceIdentity

APPEAR_S = 5.0  # seconds for a fresh surface to be listed by the gateway
POLL_S = 0.1  # seconds between looks
UNKNOWN_CODE = "INVALID_REQUEST"  # what the gateway answers for a node or device that it does not have
PAIRING_SCOPES = ("operator.pairing", "operator.write")
DEVICE_SCOPES = ("operator.pairing", "operator.admin")  # the gateway lets only an admin approve a device as a node


class SurfaceError(Exception):
    """The gateway's approval could not be had."""


@dataclass(frozen=True, slots=True)
class SurfaceState:
    """What the gateway makes of a node's offer.

    Attributes:
        effective: commands that it lets through.
        withheld: commands that were granted here and that it does not let through.
        fresh: whether it was approved just now.
        display_name: what it calls the node; empty: it does not say.
    """

    effective: frozenset[str]
    withheld: tuple[str, ...]
    fresh: bool = False
    display_name: str = ""


class SurfaceApproval:
    """See the module's text."""

    def __init__(self, operator: OperatorLink, secret: SecretSource, log: Log) -> None:
        self._operator = operator
        self._secret = secret
        self._log = log.bind(link="approval")
        self._one = asyncio.Lock()

    async def settle(self, gateway_id: str, offer: Surface) -> SurfaceState:
        """Approves what waits for this node, if it is exactly what was offered, and returns what came of it.

        Raises:
            SurfaceError: the gateway shows something else than what was offered; nothing is approved then.
            GatewayError, LinkDownError, SecretError: the gateway could not be asked.
        """
        async with asyncio.timeout(APPEAR_S * 3):
            verdict = await self._look(gateway_id, offer)
            fresh = not isinstance(verdict, Settled)
            if fresh:
                await self._approve(gateway_id, offer)
                verdict = await self._look(gateway_id, offer)
        if not isinstance(verdict, Settled):
            raise SurfaceError("the gateway has another request of this node waiting")
        extra = surplus(verdict.effective, offer)
        if extra:
            self._log.error("surface-surplus", gateway_node=gateway_id[:12], commands=sorted(extra))
            await self.remove(gateway_id)
            raise SurfaceError("the gateway had approved more than was offered; the node was removed there")
        withheld = tuple(name for name in offer.commands if name not in verdict.effective)
        return SurfaceState(verdict.effective, withheld, fresh, verdict.display_name)

    async def _look(self, gateway_id: str, offer: Surface) -> Settled | Waits:
        deadline = asyncio.get_running_loop().time() + APPEAR_S
        while True:
            answer = await self._operator.request("node.list", {})
            verdict = judge_row(row_of(answer.payload, gateway_id), offer)
            if not isinstance(verdict, Unknown):
                return verdict
            if asyncio.get_running_loop().time() > deadline:
                raise SurfaceError("the gateway does not list the node")
            await asyncio.sleep(POLL_S)

    async def _approve(self, gateway_id: str, offer: Surface) -> None:
        async with self._pairing_link(PAIRING_SCOPES) as link:
            entry = find_pending(await _ask(link, "node.pair.list", {}), gateway_id)
            if entry is None:
                return
            if not may_approve(entry, offer):
                raise SurfaceError("the gateway shows another surface than the one that was offered")
            request_id = entry["requestId"]
            scopes = approval_scopes(entry)
            if scopes == PAIRING_SCOPES:
                await _ask(link, "node.pair.approve", {"requestId": request_id})
                return
        async with self._pairing_link(scopes) as link:
            await _ask(link, "node.pair.approve", {"requestId": request_id})

    async def approve_device(self, identity: DeviceIdentity) -> bool:
        """Approves the pending device pairing of a key of ours; returns whether there was one."""
        async with self._pairing_link(DEVICE_SCOPES) as link:
            listed = await _ask(link, "device.pair.list", {})
            request_id = find_device(listed, identity.device_id, identity.public_key_text)
            if request_id is None:
                return False
            await _ask(link, "device.pair.approve", {"requestId": request_id})
        return True

    async def rename(self, gateway_id: str, name: str) -> None:
        """Gives a node another name at the gateway; it outlasts the one that the node's connection says.

        Raises:
            GatewayError, SecretError: the gateway could not be asked.
            SurfaceError: it refused.
        """
        async with self._pairing_link(PAIRING_SCOPES) as link:
            await _ask(link, "node.rename", {"nodeId": gateway_id, "displayName": name})

    async def remove(self, gateway_id: str) -> None:
        """Removes a node and its device from the gateway; one that is gone already is fine.

        Raises:
            GatewayError, SecretError: the gateway could not be asked.
            SurfaceError: it refused for another reason than not knowing the node.
        """
        async with self._pairing_link(PAIRING_SCOPES) as link:
            for method, params in _removals(gateway_id):
                answer = await link.request(method, params)
                if answer.error is not None and answer.error.code != UNKNOWN_CODE:
                    raise SurfaceError(f"{method}: {answer.error.message}")

    @asynccontextmanager
    async def _pairing_link(self, scopes: Sequence[str]) -> AsyncIterator[GatewayConnection]:
        credentials = await self._secret.read()
        profile = operator_profile(tuple(scopes))
        async with self._one, GatewayConnection(self._operator.url, profile, credentials, None) as link:
            pump = asyncio.get_running_loop().create_task(link.run(lambda _: None), name="pairing-link")
            try:
                yield link
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)


def _removals(gateway_id: str) -> list[tuple[str, JsonObject]]:
    return [("node.pair.remove", {"nodeId": gateway_id}), ("device.pair.remove", {"deviceId": gateway_id})]


async def _ask(link: GatewayConnection, method: str, params: JsonObject) -> Json:
    answer = await link.request(method, params)
    if not answer.ok:
        words = answer.error.message if answer.error is not None else "no reason"
        raise SurfaceError(f"{method}: {words}")
    return answer.payload
