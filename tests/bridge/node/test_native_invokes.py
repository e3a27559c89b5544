"""Commands of a native node: one result each, whatever the handler does, and no more at once than the cap."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from bridge.log import silent_log
from bridge.node.native_invokes import MAX_RUNNING, Handler, Invokes
from bridge.node.phone_state import CommandError
from bridge.tasks import Tasks
from gateway_client.connection import GatewayConnection
from gateway_client.errors import GatewayGoneError
from gateway_client.frames import Event, JsonObject
from tests.support.waiting import eventually

OURS = "ab" * 32


class Ear:
    """Takes what a node answers."""

    def __init__(self) -> None:
        self.results: dict[str, dict[str, Any]] = {}
        self.gone = False

    async def request(self, method: str, params: dict[str, Any]) -> None:
        if self.gone:
            raise GatewayGoneError(1006, "")
        assert method == "node.invoke.result"
        assert params["id"] not in self.results
        self.results[params["id"]] = params


class Bench:
    """The commands of one connection, without the connection."""

    def __init__(self, **handlers: Handler) -> None:
        self.ear = Ear()
        self.tasks = Tasks(silent_log())
        table = {name.replace("_", "."): handler for name, handler in handlers.items()}
        connection = cast("GatewayConnection", self.ear)
        self.invokes = Invokes(table, OURS, connection, self.tasks, silent_log())

    def send(self, invoke_id: str, command: str = "a.b", **more: Any) -> None:
        payload = {"id": invoke_id, "nodeId": "theirs", "command": command, "paramsJSON": None, **more}
        assert self.invokes.take(Event("node.invoke.request", payload))

    async def result(self, invoke_id: str = "i") -> dict[str, Any]:
        return await eventually(lambda: self.ear.results.get(invoke_id), what="a result")

    async def error(self, invoke_id: str = "i") -> str:
        result = await self.result(invoke_id)
        assert not result["ok"]
        assert set(result["error"]) == {"code", "message"}  # anything more would make the gateway drop the result
        return str(result["error"]["code"])


async def echo(params: JsonObject) -> JsonObject:
    return {"got": params}


async def forever(params: JsonObject) -> JsonObject:
    await asyncio.get_running_loop().create_future()
    return {}


@pytest.mark.parametrize(
    "params_json, got", [(None, {}), ("{}", {}), ('{"a":[1]}', {"a": [1]}), ("[1]", {}), ("null", {}), (7, {})]
)
async def test_parameters_are_an_object(params_json: object, got: object) -> None:
    bench = Bench(a_b=echo)
    bench.send("i", paramsJSON=params_json)
    result = await bench.result()
    assert (result["ok"], result["nodeId"], json.loads(result["payloadJSON"])) == (True, OURS, {"got": got})


@pytest.mark.parametrize("params_json", ["{", "", "NaN", '{"a":1,"a":2}', "{}{}", "\ud800"])
async def test_parameters_that_are_no_json_fail_the_command(params_json: str) -> None:
    bench = Bench(a_b=echo)
    bench.send("i", paramsJSON=params_json)
    assert await bench.error() == "INVALID_REQUEST"


async def test_an_unknown_command_fails() -> None:
    bench = Bench(a_b=echo)
    bench.send("i", "a.c")
    assert await bench.error() == "INVALID_REQUEST"


async def test_a_handler_may_fail_with_a_code() -> None:
    async def refuse(params: JsonObject) -> JsonObject:
        raise CommandError("NODE_BACKGROUND_UNAVAILABLE", "asleep")

    bench = Bench(a_b=refuse)
    bench.send("i")
    assert await bench.error() == "NODE_BACKGROUND_UNAVAILABLE"


@pytest.mark.parametrize("outcome", [ValueError("secret words"), {"a": object()}])
async def test_a_handler_that_breaks_fails_the_command_without_its_words(outcome: Any) -> None:
    async def broken(params: JsonObject) -> JsonObject:
        if isinstance(outcome, Exception):
            raise outcome
        return cast("JsonObject", outcome)

    bench = Bench(a_b=broken)
    bench.send("i")
    assert await bench.error() == "UNAVAILABLE"
    assert "secret" not in bench.ear.results["i"]["error"]["message"]


async def test_a_command_that_takes_too_long_is_stopped() -> None:
    bench = Bench(a_b=forever)
    bench.send("i", timeoutMs=20)
    assert await bench.error() == "TIMEOUT"
    assert len(bench.tasks) == 0


async def test_a_cancelled_command_is_stopped_and_not_answered() -> None:
    bench = Bench(a_b=forever, c_d=echo)
    bench.send("i")
    bench.send("j")
    assert bench.invokes.take(Event("node.invoke.cancel", {"invokeId": "i", "nodeId": OURS}))
    assert bench.invokes.take(Event("node.invoke.cancel", {"invokeId": "unknown"}))
    await eventually(lambda: len(bench.tasks) == 1, what="one command less")
    bench.invokes.cancel_all()
    await eventually(lambda: len(bench.tasks) == 0, what="no command")
    assert bench.ear.results == {}


async def test_a_second_copy_is_not_run_while_the_first_is() -> None:
    bench = Bench(a_b=forever)
    bench.send("i")
    bench.send("i")
    assert len(bench.tasks) == 1
    bench.invokes.cancel_all()


@pytest.mark.parametrize("payload", [None, {}, {"id": ""}, {"id": 7}, []])
async def test_one_without_id_is_dropped(payload: Any) -> None:
    bench = Bench(a_b=echo)
    assert bench.invokes.take(Event("node.invoke.request", payload))
    assert len(bench.tasks) == 0


async def test_other_events_are_not_about_commands() -> None:
    assert not Bench().invokes.take(Event("tick", {}))


async def test_a_flood_is_refused_beyond_the_cap_and_dropped_beyond_twice_of_it() -> None:
    """Guard out, `_start` without its two bounds: 1,000 tasks run."""
    bench = Bench(a_b=forever)
    for number in range(1000):
        bench.send(f"i{number}")
    assert len(bench.tasks) <= 2 * MAX_RUNNING
    await eventually(lambda: len(bench.ear.results) == MAX_RUNNING, what="the refusals")
    assert {result["error"]["code"] for result in bench.ear.results.values()} == {"UNAVAILABLE"}
    bench.invokes.cancel_all()
    await eventually(lambda: len(bench.tasks) == 0, what="no command")
    bench.send("after")
    assert len(bench.tasks) == 1
    bench.invokes.cancel_all()


async def test_a_result_that_nobody_waits_for_is_no_failure() -> None:
    bench = Bench(a_b=echo)
    bench.ear.gone = True
    bench.send("i")
    await eventually(lambda: len(bench.tasks) == 0, what="the end")
