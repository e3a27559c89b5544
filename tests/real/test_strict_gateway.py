"""A gateway that approves nothing by itself and wants a password: the bridge pairs what a person paired here."""

from __future__ import annotations

import pytest

from tests.real.conftest import House, bootstrap_token, check_phones, check_upstream
from tests.support.bridge_process import BridgeProcess
from tests.support.operator import operator
from tests.support.real_gateway import GatewayOptions, RealGateway
from tests.support.tap import Tap

pytestmark = pytest.mark.real


async def test_nothing_is_silent_and_everything_works() -> None:
    options = GatewayOptions(auth="password", auto_approve_local=False)
    async with RealGateway(options) as gateway, Tap(gateway.url) as tap:
        bridge = BridgeProcess(tap.url, None, openclaw_config=gateway.config_path)
        async with bridge:
            await bridge.connected()
            house = House(bridge=bridge)
            phone = house.phone()
            code = await bridge.ask(lambda: bridge.client.mint_setup_code(["device"], None, 300, None))
            token = bootstrap_token(code.setup_code)
            async with phone.socket("node", {"bootstrapToken": token}) as node:
                node.handlers["device.info"] = lambda _: {"name": "strict"}
                row = await bridge.settled(phone.node_id, "device.info", timeout_s=60)
                async with operator(gateway.url, None, password=gateway.token) as agent:
                    pairing = await agent.request("device.pair.list")
                    assert pairing["pending"] == []
                    assert row.gateway_node_id in str(pairing["paired"])
                    invoke = {"nodeId": row.gateway_node_id, "command": "device.info", "idempotencyKey": "s-1"}
                    answer = await agent.request("node.invoke", invoke)
                    assert answer["payload"] == {"name": "strict"}
            assert gateway.token not in bridge.log_path.read_text()
        house.sockets.append(node)
        check_upstream(tap)
        check_phones(house)
