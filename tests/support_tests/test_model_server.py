"""The scripted model, alone and inside a real agent turn."""

import json
from typing import Any

import aiohttp
import pytest

from tests.support.model_server import ModelServer, ToolCall, invoke_then_say, say
from tests.support.operator import operator
from tests.support.real_gateway import GatewayOptions, RealGateway


async def ask(server: ModelServer, *messages: dict[str, Any], stream: bool = False) -> str:
    body = {"model": "m", "messages": list(messages), "stream": stream}
    url = f"{server.base_url}/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return await answer.text()


async def test_plain_answer_is_recorded() -> None:
    async with ModelServer(say("hello")) as server:
        answer = json.loads(await ask(server, {"role": "user", "content": "hi"}))
        assert answer["choices"][0]["message"]["content"] == "hello"
        assert server.requests[0]["messages"][0]["content"] == "hi"


async def test_streamed_answer_ends_with_done() -> None:
    async with ModelServer(say("hello")) as server:
        lines = [line for line in (await ask(server, stream=True)).split("\n\n") if line]
    assert json.loads(lines[0].removeprefix("data: "))["choices"][0]["delta"]["content"] == "hello"
    assert lines[-1] == "data: [DONE]"


def test_invoke_script_calls_once_and_then_answers() -> None:
    script = invoke_then_say("n1", "screen.navigate", {"url": "https://example.com"}, "opened")
    call = script([{"role": "user", "content": "open it"}])
    assert isinstance(call, ToolCall)
    assert call.arguments["args"]["invokeCommand"] == "screen.navigate"
    context = {"role": "user", "content": "context block"}
    assert script([{"role": "tool", "tool_call_id": call.id, "content": "{}"}, context]) == "opened"
    assert script([{"role": "tool", "tool_call_id": "another", "content": "{}"}]) == call


@pytest.mark.real
@pytest.mark.slow
async def test_real_agent_turn_is_answered_by_the_script() -> None:
    async with ModelServer() as model, RealGateway(GatewayOptions(model_base_url=model.base_url)) as gateway:
        script = invoke_then_say("no-such-node", "screen.navigate", {"url": "https://example.com"}, "opened it")
        model.script = script
        async with operator(gateway.url, gateway.token) as client:
            turn = {"message": "open example.com", "sessionKey": "main", "idempotencyKey": "turn-1"}
            answer = await client.request("agent", turn, final=True, timeout_s=90)
        assert answer["status"] == "ok", gateway.log_text()[-3000:]
        assert "opened it" in json.dumps(answer)
        assert len(model.requests) == 2
        assert script(model.requests[1]["messages"]) == "opened it"
