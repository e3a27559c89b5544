"""A scripted model: a chat-completions endpoint on loopback whose answers are a plain function of the messages."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's wish to call one tool.

    Attributes:
        name: the tool's name as offered in the request.
        arguments: its arguments.
        id: identifier that comes back as `tool_call_id` of the result's message.
    """

    name: str
    arguments: Mapping[str, Any]
    id: str = dataclasses.field(default_factory=lambda: f"call{uuid.uuid4().hex[:20]}")


@dataclasses.dataclass(frozen=True, slots=True)
class Pieces:
    """An answer in pieces, as a model streams it.

    Attributes:
        texts: the pieces; one may end in the middle of a surrogate pair.
        pause_s: seconds between them, so that the gateway passes each on by itself.
    """

    texts: tuple[str, ...]
    pause_s: float = 0.0


Reply = str | Pieces | ToolCall
Script = Callable[[Sequence[Json]], Reply]


def say(text: str) -> Script:
    """Return a script that always answers `text`."""
    return lambda messages: text


def invoke_then_say(node_id: str, invoke_command: str, params: Mapping[str, Any] | None, text: str) -> Script:
    """Return a script for one turn: invoke a node's command through the tool `nodes`, then answer `text`.

    The turn is over when the result of this very call is among the messages, so a later turn of the same session
    needs a new script.

    Args:
        node_id: the node as the gateway knows it.
        invoke_command: for example `screen.navigate`.
        params: the command's parameters; None sends none.
        text: the answer after the call.
    """
    arguments: Json = {"action": "invoke", "node": node_id, "invokeCommand": invoke_command}
    if params is not None:
        arguments["invokeParamsJson"] = json.dumps(params)
    call = ToolCall("tool_call", {"id": "nodes", "args": arguments})

    def script(messages: Sequence[Json]) -> Reply:
        return text if tool_result(messages, call) is not None else call

    return script


def tool_result(messages: Sequence[Json], call: ToolCall) -> str | None:
    """Return the text that answered `call` in a request's messages, None when there is none yet."""
    for message in messages:
        if message.get("role") == "tool" and message.get("tool_call_id") == call.id:
            return text_of(message)
    return None


def text_of(message: Json) -> str:
    """Return the text of a message whose content is a string or a list of parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)


class ModelServer:
    """The endpoint as an async context manager. `script` may be replaced at any time; `requests` holds all bodies.

    While `may_answer` is clear, requests wait.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script: Script = script or say("Done.")
        self.requests: list[Json] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def base_url(self) -> str:
        """Address for `GatewayOptions.model_base_url`."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body: Json = await request.json()
        self.requests.append(body)
        await self.may_answer.wait()
        reply = self.script(body["messages"])
        if not body.get("stream"):
            return web.json_response(_completion(body, reply))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in _chunks(body, reply):
            await asyncio.sleep(reply.pause_s if isinstance(reply, Pieces) else 0)
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _message(reply: Reply) -> tuple[Json, str]:
    """Return the assistant's message and the finish reason."""
    if isinstance(reply, Pieces):
        return {"role": "assistant", "content": "".join(reply.texts)}, "stop"
    if isinstance(reply, str):
        return {"role": "assistant", "content": reply}, "stop"
    function = {"name": reply.name, "arguments": json.dumps(reply.arguments)}
    call = {"index": 0, "id": reply.id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"


def _completion(body: Json, reply: Reply) -> Json:
    message, reason = _message(reply)
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": USAGE}


def _chunks(body: Json, reply: Reply) -> list[Json]:
    delta, reason = _message(reply)
    head = _head(body, "chat.completion.chunk")
    parts = [{"content": text} for text in reply.texts] if isinstance(reply, Pieces) else [delta]
    return [
        *({**head, "choices": [{"index": 0, "delta": part, "finish_reason": None}]} for part in parts),
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {**head, "choices": [], "usage": USAGE},
    ]


def _head(body: Json, kind: str) -> Json:
    return {"id": "chatcmpl-scripted", "object": kind, "created": 0, "model": str(body.get("model", ""))}
