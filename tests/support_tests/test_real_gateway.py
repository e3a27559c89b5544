"""The real gateway as the tests start it, seen through the independent operator."""

import os
from pathlib import Path

import pytest

from tests.support.openclaw import ProcessEndedError
from tests.support.operator import OperatorError, operator
from tests.support.real_gateway import GatewayOptions, RealGateway
from tests.support.schema import validate_frame
from tests.support.waiting import eventually


async def test_operator_reads_health_and_nodes(real_gateway: RealGateway) -> None:
    async with operator(real_gateway.url, real_gateway.token) as client:
        assert client.hello["type"] == "hello-ok"
        assert (await client.request("health"))["ok"] is True
        assert isinstance((await client.request("node.list", {}))["nodes"], list)
        for frame in client.frames:
            validate_frame(frame, method=client.methods.get(frame.get("id", "")))


async def test_wrong_token_is_refused(real_gateway: RealGateway) -> None:
    with pytest.raises(OperatorError) as refusal:
        async with operator(real_gateway.url, "wrong"):
            pytest.fail("a wrong token was accepted")
    assert refusal.value.details["code"] == "AUTH_TOKEN_MISMATCH"


async def test_gateway_stays_in_its_folder(real_gateway: RealGateway) -> None:
    assert (real_gateway.state_dir / "state" / "openclaw.sqlite").is_file()
    assert (real_gateway.folder / "openclaw.log").is_file()
    assert "ready" in real_gateway.log_text()


@pytest.mark.real
async def test_restart_keeps_port_and_state_and_takes_new_configuration(tmp_path: Path) -> None:
    async with RealGateway(GatewayOptions(auth="none"), folder=tmp_path / "gw") as gateway:
        port = gateway.port
        async with operator(gateway.url, None) as client:
            gateway.configure(auth="token", nodes_commands_allow=("screen.navigate",))
            await gateway.restart()
            await eventually(lambda: client.closed)
            assert client.closed == (1012, "service restart")
        async with operator(gateway.url, gateway.token) as client:
            assert (await client.request("health"))["ok"] is True
        assert gateway.port == port
        await gateway.kill()
        assert not gateway.running


@pytest.mark.real
async def test_a_configuration_that_is_refused_is_told_with_the_log(tmp_path: Path) -> None:
    gateway = RealGateway(GatewayOptions(extra={"gateway": {"noSuchKey": 1}}), folder=tmp_path / "gw")
    with pytest.raises(ProcessEndedError, match="noSuchKey"):
        await gateway.start()
    await gateway.close()


@pytest.mark.real
def test_environment_of_the_developer_is_hidden() -> None:
    assert not [name for name in os.environ if name.startswith("OPENCLAW_")]
