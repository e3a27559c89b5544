"""The switchboard: every forwarded request has one outcome."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.demo.gateway import EmbeddedGateway
from bridge.lan.events import Answered, Ended, Fault, Forward, Link, LinkLost, Report, Unanswered
from bridge.upstream.forwarding import MAX_CALLS, MAX_CALLS_OF_NODE, MAX_OWED
from certs.private_files import write_private
from gateway_client.frames import ErrorShape
from tests.bridge.upstream.scripted import ScriptedGateway, Silence
from tests.bridge.upstream.stage import Phone, Stage, forward, outcome, running, skills, staged
from tests.support.waiting import eventually

QUICK_S = 1.0  # seconds: what is down says so within (design §11)


def agent(key: str) -> Forward:
    return forward(key, "agent", {"message": "hello", "idempotencyKey": key})


class TestForward:
    async def test_an_answer_of_the_operator_link(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        told = await outcome(stage, phone, forward("k", "node.list"))
        assert isinstance(told, Answered)
        assert told.response.ok

    async def test_an_answer_of_the_nodes_own_link(self, stage: Stage) -> None:
        node, phone = await stage.linked()
        told = await outcome(stage, phone, skills("k"))
        assert isinstance(told, Answered)
        assert told.response.payload == {"nodeId": node.gateway_node_id, "skills": []}

    async def test_a_refusal_is_an_answer(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        told = await outcome(stage, phone, forward("k", "node.pair.list"))
        assert isinstance(told, Answered)
        assert told.response.error is not None
        assert told.response.error.code == "FORBIDDEN"

    async def test_an_agents_first_answer_is_not_its_last(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        stage.switchboard.forward(phone, agent("k"))
        await eventually(lambda: phone.of(Answered))
        assert [told.final for told in phone.of(Answered)] == [False]
        assert phone.outcomes("k") == []

    async def test_a_delay_comes_before_the_sending(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        began = asyncio.get_running_loop().time()
        await outcome(stage, phone, replace(forward("k", "node.list"), delay_s=0.25))
        assert asyncio.get_running_loop().time() - began >= 0.25

    async def test_a_time_out_and_a_size_are_told_apart(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        late = await outcome(stage, phone, replace(agent("late"), wait_s=0.1))
        big = await outcome(stage, phone, forward("big", "agent", {"message": "x" * 27_000_000, "idempotencyKey": "b"}))
        assert (late, big) == (Unanswered("late", Fault.TIMEOUT), Unanswered("big", Fault.TOO_LARGE))
        assert isinstance(await outcome(stage, phone, forward("k", "node.list")), Answered)


class TestBounds:
    async def test_one_phone_may_have_only_so_much_unanswered(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        for number in range(MAX_CALLS_OF_NODE):
            stage.switchboard.forward(phone, agent(f"k{number}"))
        assert await outcome(stage, phone, agent("more"), QUICK_S) == Unanswered("more", Fault.BUSY)
        assert [told.key for told in phone.of(Unanswered)] == ["more"]

    async def test_a_crowd_that_floods_leaves_room_for_what_is_owed_and_for_the_next(self, stage: Stage) -> None:
        """Red when `FairQueue.enter` gives a node all that is left, and when what is owed asks for a place."""
        _, phone = await stage.linked()
        crowd = [Phone(f"{number:064x}") for number in range(9)]
        for caller in (phone, *crowd):
            for number in range(MAX_CALLS_OF_NODE):
                stage.switchboard.forward(caller, agent(f"{caller.node_id}-{number}"))
        assert MAX_CALLS < 10 * MAX_CALLS_OF_NODE
        assert await outcome(stage, phone, agent("more"), QUICK_S) == Unanswered("more", Fault.BUSY)
        assert isinstance(await outcome(stage, phone, replace(skills("result"), owed=True), QUICK_S), Answered)
        assert isinstance(await outcome(stage, Phone("ff" * 32), forward("new", "node.list"), 5.0), Answered)

    async def test_what_is_owed_has_a_bound_of_its_own_and_takes_no_place_of_calls(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        slow = replace(skills("owed"), owed=True, delay_s=30.0)
        for _ in range(MAX_OWED):
            stage.switchboard.forward(phone, slow)
        for number in range(100):
            more = replace(slow, key=f"more{number}", delay_s=0.0)
            assert await outcome(stage, phone, more, QUICK_S) == Unanswered(more.key, Fault.BUSY)
        for number in range(MAX_CALLS_OF_NODE - 1):
            stage.switchboard.forward(phone, replace(agent(f"k{number}"), delay_s=30.0))
        assert isinstance(await outcome(stage, phone, forward("call", "node.list"), QUICK_S), Answered)
        stage.switchboard.leave(phone)

    async def test_what_an_operator_socket_asked_for_ends_with_it_and_the_node_stays(self, stage: Stage) -> None:
        node, phone = await stage.linked()
        await eventually(lambda: running("settle-surface") == 0)
        before, operator = len(stage.tasks), Phone(phone.node_id)
        for number in range(8):
            stage.switchboard.forward(operator, replace(agent(f"k{number}"), delay_s=30.0))
        stage.switchboard.leave(operator)
        await eventually(lambda: len(stage.tasks) == before)
        assert stage.switchboard.link(node.node_id) is not None

    async def test_what_a_socket_asked_for_ends_with_it(self, stage: Stage) -> None:
        _, phone = await stage.linked()
        for number in range(MAX_CALLS_OF_NODE):
            stage.switchboard.forward(phone, replace(agent(f"k{number}"), delay_s=30.0))
        stage.switchboard.leave(phone)
        await eventually(lambda: len(stage.tasks) == 1, what="the operator link alone")
        assert phone.of(Unanswered) == []


class TestDown:
    @pytest.mark.parametrize("link", list(Link))
    async def test_requests_while_the_gateway_is_gone_fail_at_once(
        self, gateway: EmbeddedGateway, stage: Stage, link: Link
    ) -> None:
        _, phone = await stage.linked()
        await gateway.kill()
        await eventually(lambda: not stage.operator.is_open and phone.of(LinkLost))
        told = await outcome(stage, phone, forward("k", "node.list", link=link), QUICK_S)
        assert told == Unanswered("k", Fault.DOWN)

    @pytest.mark.parametrize("link", list(Link))
    async def test_before_there_was_any_gateway_too(self, tmp_path: Path, link: Link) -> None:
        async with staged("ws://127.0.0.1:9", tmp_path / "home") as stage:
            phone = stage.join(stage.node())
            told = await outcome(stage, phone, forward("k", "node.list", link=link), QUICK_S)
            assert told == Unanswered("k", Fault.DOWN)

    async def test_a_phone_that_never_joined_has_no_link(self, stage: Stage) -> None:
        await eventually(lambda: stage.operator.is_open)
        for phone in (Phone("aa" * 32), Phone(None)):
            assert await outcome(stage, phone, skills("k"), QUICK_S) == Unanswered("k", Fault.DOWN)
            stage.switchboard.report(phone, Report("i", ErrorShape("X", "x")))
            stage.switchboard.leave(phone)

    async def test_a_phone_whose_key_for_the_gateway_is_gone_has_none_either(self, stage: Stage) -> None:
        await eventually(lambda: stage.operator.is_open)
        node = stage.node()
        stage.keys.delete(node.upstream_key)
        phone = stage.join(node)
        assert await outcome(stage, phone, skills("early"), QUICK_S) == Unanswered("early", Fault.DOWN)
        assert len(stage.events("upstream-key-unusable")) == 1
        assert await outcome(stage, phone, skills("k"), QUICK_S) == Unanswered("k", Fault.DOWN)
        assert not phone.of(Ended)
        error = stage.switchboard.link_error(node.node_id) or ""
        assert "the key is missing" in error
        assert f"clawdis-bridge nodes revoke {node.node_id[:12]}" in error
        stage.switchboard.leave(phone)
        assert stage.switchboard.link_error(node.node_id) is None

    async def test_a_key_that_was_put_back_links_the_phone_that_waited(
        self, gateway: EmbeddedGateway, tmp_path: Path
    ) -> None:
        async with staged(gateway.url, tmp_path / "home", key_again_s=0.05) as stage:
            await eventually(lambda: stage.operator.is_open)
            node = stage.node()
            file = next((tmp_path / "home").rglob(f"node-{node.upstream_key}.pem"))
            kept = file.read_bytes()
            file.unlink()
            phone = stage.join(node)
            await eventually(lambda: stage.switchboard.link_error(node.node_id))
            write_private(file, kept)
            link = await eventually(lambda: stage.switchboard.link(node.node_id))
            await eventually(lambda: link.surface)
            assert stage.switchboard.link_error(node.node_id) is None
            assert isinstance(await outcome(stage, phone, skills("k")), Answered)
            assert len(stage.events("upstream-key-unusable")) == 1

    async def test_twenty_in_flight_when_the_gateway_is_killed_have_one_outcome_each(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        _, phone = await stage.linked()
        keys = [f"k{number}" for number in range(20)]
        for key in keys:
            stage.switchboard.forward(phone, agent(key))
        await eventually(lambda: len(phone.of(Answered)) == len(keys))
        await gateway.kill()
        await eventually(lambda: len(phone.of(Unanswered)) == len(keys), timeout_s=QUICK_S)
        await gateway.start()
        await eventually(lambda: stage.operator.is_open)
        assert [phone.outcomes(key) for key in keys] == [[Unanswered(key, Fault.GONE)] for key in keys]

    async def test_a_first_call_that_waits_for_its_link_does_not_outwait_the_gateway(self, tmp_path: Path) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            phone = stage.join(stage.node())
            await eventually(lambda: stage.events("node-linked"))
            stage.switchboard.forward(phone, skills("k"))
            await eventually(lambda: scripted.asked("node.list"))
            scripted.hello = never
            scripted.drop_all()
            await eventually(lambda: phone.outcomes("k"), timeout_s=QUICK_S)
            assert phone.outcomes("k") == [Unanswered("k", Fault.DOWN)]


def never(params: dict[str, object]) -> object:
    raise Silence
