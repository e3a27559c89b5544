"""The real node host against the real gateway."""

import contextlib

import pytest

from tests.support.node_host import NodeHost
from tests.support.operator import Json, OperatorError, operator
from tests.support.real_gateway import RealGateway
from tests.support.schema import ENVELOPES, is_known, validate, validate_frame
from tests.support.waiting import eventually


@pytest.mark.slow
async def test_node_host_pairs_and_answers_an_invoke(real_gateway: RealGateway) -> None:
    arguments = ("--host", "127.0.0.1", "--port", str(real_gateway.port), "--display-name", "Smoke Node")
    secret = {"OPENCLAW_GATEWAY_TOKEN": real_gateway.token}
    async with operator(real_gateway.url, real_gateway.token) as client, NodeHost(*arguments, env=secret) as host:
        asked = await client.event("node.pair.requested", lambda got: got["displayName"] == "Smoke Node", timeout_s=60)
        # An approval before the host has its hello-ok can cost it the first invoke.
        await host.wait_for("node host gateway connected")
        await client.request("node.pair.approve", {"requestId": asked["requestId"]})
        call = {
            "nodeId": asked["nodeId"],
            "command": "system.which",
            "params": {"bins": ["sh"]},
            "timeoutMs": 5000,
            "idempotencyKey": "smoke-1",
        }

        async def answered() -> Json:
            # For a moment after the approval the node is between its old and its new surface.
            with contextlib.suppress(OperatorError):
                return await client.request("node.invoke", call)
            return {}

        answer = await eventually(answered, timeout_s=20, step_s=0.2)
        assert "sh" in answer["payload"]["bins"], host.output()
        for frame in client.frames:
            method = client.methods.get(frame.get("id", ""))
            if is_known(frame, method=method):
                validate_frame(frame, method=method)
            else:
                validate(ENVELOPES[frame["type"]], frame)
    assert host.returncode is not None
