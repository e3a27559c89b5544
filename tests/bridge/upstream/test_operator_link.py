"""The operator link: it comes back by itself, does not hammer, and answers at once while it is down."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.upstream.channel import LinkDownError
from bridge.upstream.operator_link import SCOPES, OperatorLink, operator_profile
from bridge.upstream.secret import SecretReader, SecretSource
from gateway_client.errors import GatewayGoneError, RequestTimeoutError, UnreadableAnswerError
from gateway_client.frames import Event
from gateway_client.retry import FIRST_S
from tests.bridge.upstream.scripted import HELLO, Params, Refused, ScriptedGateway, Silence
from tests.bridge.upstream.stage import TOKEN, Stage, embedded, staged
from tests.support.waiting import eventually

WATCH_S = FIRST_S * 1.5  # seconds: longer than any first pause of the back-off, to see that nothing happens
GROWTH_S = FIRST_S * 3.8  # seconds: three attempts with growing pauses, four with pauses that do not grow


@pytest.fixture
def url(scripted: ScriptedGateway) -> str:
    return scripted.url


async def opened(link: OperatorLink) -> None:
    await eventually(lambda: link.is_open, what="operator link")


class TestOpening:
    async def test_it_asks_for_no_more_than_the_phones_calls_need(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        await opened(stage.operator)
        [connect] = scripted.connects
        assert connect["role"] == "operator"
        assert connect["scopes"] == ["operator.read", "operator.write"] == [*SCOPES]
        assert (connect["client"]["id"], connect["client"]["mode"]) == ("gateway-client", "backend")
        assert "device" not in connect
        assert connect["auth"] == {"token": TOKEN}

    async def test_its_state_and_the_gateways_version_are_known(self, stage: Stage) -> None:
        assert (stage.operator.state, stage.operator.version, stage.operator.is_open) == ("connecting", None, False)
        await opened(stage.operator)
        assert (stage.operator.state, stage.operator.version) == ("connected", "2026.9.6")
        assert stage.operator.detail is None
        assert stage.operator.hello == HELLO

    async def test_listeners_hear_of_opening_and_ending_and_of_events(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        changes: list[bool] = []
        events: list[Event] = []
        stage.operator.on_change(changes.append)
        stage.operator.on_event(events.append)
        await opened(stage.operator)
        await scripted.say("chat", {"n": 1})
        await eventually(lambda: events)
        assert (events[0].event, events[0].payload) == ("chat", {"n": 1})
        scripted.drop_all()
        await eventually(lambda: changes == [True, False, True])

    @pytest.mark.parametrize("hello", [{**HELLO, "server": None}, {**HELLO, "server": {"version": 5}}, {}])
    async def test_a_hello_of_another_form_is_borne(
        self, scripted: ScriptedGateway, stage: Stage, hello: Params
    ) -> None:
        scripted.hello = lambda params: hello
        await opened(stage.operator)
        assert stage.operator.version is None


class TestRequests:
    async def test_an_answer_comes_back(self, scripted: ScriptedGateway, stage: Stage) -> None:
        scripted.answers["node.list"] = lambda params: {"nodes": [params]}
        await opened(stage.operator)
        answer = await stage.operator.request("node.list", {"a": 1})
        assert answer.ok
        assert answer.payload == {"nodes": [{"a": 1}]}

    async def test_while_it_is_down_it_says_so_at_once(self, tmp_path: Path) -> None:
        async with staged("ws://127.0.0.1:9", tmp_path / "home", run_operator=False) as stage:
            with pytest.raises(LinkDownError):
                async with asyncio.timeout(0.2):
                    await stage.operator.request("health", {})

    async def test_what_is_in_flight_when_it_ends_fails_once(self, scripted: ScriptedGateway, stage: Stage) -> None:
        await opened(stage.operator)
        waiting = asyncio.gather(*(stage.operator.request("agent", {}) for _ in range(20)), return_exceptions=True)
        await eventually(lambda: len(scripted.requests) == 20)
        scripted.drop_all()
        async with asyncio.timeout(1.0):
            assert [type(outcome) for outcome in await waiting] == [GatewayGoneError] * 20

    async def test_an_answer_that_does_not_come_is_given_up(self, scripted: ScriptedGateway, stage: Stage) -> None:
        await opened(stage.operator)
        with pytest.raises(RequestTimeoutError):
            await stage.operator.request("agent", {}, wait_s=0.1)
        scripted.answers["health"] = lambda params: {"ok": True}
        assert (await stage.operator.request("health", {})).payload == {"ok": True}


class TestGarbage:
    @pytest.mark.parametrize(
        "garbage",
        [
            "{",
            b"\xff\xfe",
            "[]",
            '{"type":"event"}',
            "[" * 100,
            '{"a":1,"a":1}',
            '{"type":"event","event":"chat","a":[',
        ],
    )
    async def test_it_costs_that_frame_and_what_is_streamed_has_a_gap(
        self, scripted: ScriptedGateway, stage: Stage, garbage: bytes | str
    ) -> None:
        gaps: list[str] = []
        stage.operator.on_gap(lambda: gaps.append("gap"))
        scripted.answers["health"] = lambda params: {"ok": True}
        await opened(stage.operator)
        waiting = asyncio.gather(stage.operator.request("agent", {}, wait_s=0.5), return_exceptions=True)
        await eventually(lambda: scripted.requests)
        await scripted.say_raw(garbage)
        assert (await stage.operator.request("health", {})).ok
        assert gaps == ["gap"]
        assert [type(outcome) for outcome in await waiting] == [RequestTimeoutError]
        assert len(scripted.connects) == 1
        (line,) = stage.events("frame-dropped")
        assert line["bytes"] == len(garbage)

    async def test_an_unreadable_answer_costs_its_request_and_nothing_that_is_streamed(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        gaps: list[str] = []
        stage.operator.on_gap(lambda: gaps.append("gap"))
        scripted.answers["node.invoke"] = lambda params: [[]] * 200_001
        scripted.answers["health"] = lambda params: {"ok": True}
        await opened(stage.operator)
        with pytest.raises(UnreadableAnswerError, match="too-many-items"):
            await stage.operator.request("node.invoke", {})
        assert (await stage.operator.request("health", {})).ok
        assert (gaps, len(scripted.connects)) == ([], 1)
        (line,) = stage.events("frame-dropped")
        assert (line["what"], line["fault"]) == ("res", "too-many-items")


class TestComingBack:
    async def test_after_a_cut_connection(self, scripted: ScriptedGateway, stage: Stage) -> None:
        await opened(stage.operator)
        scripted.drop_all()
        await eventually(lambda: len(scripted.connects) == 2 and stage.operator.is_open)

    async def test_after_the_gateway_was_killed_and_started_again(self, tmp_path: Path) -> None:
        async with embedded() as gateway, staged(gateway.url, tmp_path / "home") as stage:
            await opened(stage.operator)
            await gateway.kill()
            await eventually(lambda: stage.operator.state == "down")
            with pytest.raises(LinkDownError):
                await stage.operator.request("health", {})
            await gateway.start()
            await opened(stage.operator)
            assert (await stage.operator.request("health", {})).ok

    async def test_a_wrong_id_a_second_answer_and_an_unknown_event_are_borne(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        scripted.answers["health"] = lambda params: {"ok": True}
        await opened(stage.operator)
        await scripted.say_raw('{"type":"res","id":"never-asked","ok":true}')
        await scripted.say("no.such.event", None)
        assert (await stage.operator.request("health", {})).ok
        assert len(scripted.connects) == 1

    async def test_after_a_fault_of_a_listener(self, scripted: ScriptedGateway, stage: Stage) -> None:
        def faulty(event: Event) -> None:
            raise ZeroDivisionError

        await opened(stage.operator)
        stage.operator.on_event(faulty)
        await scripted.say("chat", {})
        await eventually(lambda: len(scripted.connects) == 2 and stage.operator.is_open)
        assert stage.events("operator-link-failed")

    @pytest.mark.parametrize("challenge", ["{}", '{"type":"event","event":"tick"}', "x"])
    async def test_a_bad_challenge_is_no_end(self, scripted: ScriptedGateway, stage: Stage, challenge: str) -> None:
        good, scripted.challenge = scripted.challenge, challenge
        await eventually(lambda: stage.operator.state == "down")
        scripted.challenge = good
        await opened(stage.operator)


class TestRefusals:
    @pytest.mark.parametrize(
        "code",
        [
            "AUTH_TOKEN_MISMATCH",
            "AUTH_TOKEN_MISSING",
            "AUTH_PASSWORD_MISMATCH",
            "AUTH_RATE_LIMITED",
            "PROTOCOL_MISMATCH",
        ],
    )
    async def test_one_that_needs_a_person_stops_the_hammering(
        self, scripted: ScriptedGateway, stage: Stage, code: str
    ) -> None:
        scripted.hello = lambda params: refuse(code)
        await eventually(lambda: stage.operator.state == "refused")
        assert code in str(stage.operator.detail)
        await asyncio.sleep(WATCH_S)
        assert len(scripted.connects) == 1
        assert len(stage.events("gateway-not-connected")) == 1

    async def test_without_a_secret_nothing_is_sent_and_it_is_not_looked_for_again_and_again(
        self, scripted: ScriptedGateway, tmp_path: Path
    ) -> None:
        looks: list[str] = []

        class Watched(dict[str, str]):
            def get(self, name: str, default: object = None) -> str:
                looks.append(name)
                return ""

        async with staged(scripted.url, tmp_path / "home", run_operator=False) as stage:
            secret = SecretSource(SecretReader(stage.reader.settings, Watched(), tmp_path))
            link = OperatorLink(scripted.url, secret, stage.log)
            stage.tasks.spawn("operator-link", link.run())
            await eventually(lambda: link.state == "refused")
            assert "OPENCLAW_GATEWAY_TOKEN" in str(link.detail)
            await asyncio.sleep(WATCH_S)
            assert looks == ["OPENCLAW_GATEWAY_TOKEN"]
            assert scripted.connects == []
            secret.close()

    async def test_a_gateway_that_starts_is_asked_again_soon(self, scripted: ScriptedGateway, stage: Stage) -> None:
        def starting(params: Params) -> Params:
            if len(scripted.connects) < 3:
                raise Refused("UNAVAILABLE", "gateway starting; retry shortly")
            return HELLO

        scripted.hello = starting
        await opened(stage.operator)
        assert len(scripted.connects) == 3

    async def test_a_gateway_beyond_this_machine_gets_no_token(self, tmp_path: Path) -> None:
        async with staged("ws://192.0.2.1:18789", tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.state == "refused")
            assert "not on this machine" in str(stage.operator.detail)

    async def test_a_gateway_that_says_hello_and_goes_is_not_hammered(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        scripted.hangs_up = True
        await eventually(lambda: scripted.connects)
        await asyncio.sleep(GROWTH_S)
        assert 2 <= len(scripted.connects) <= 3


def refuse(code: str) -> Params:
    raise Refused("INVALID_REQUEST", "unauthorized", code=code)


def test_the_profile_has_the_scopes_that_were_asked_for() -> None:
    assert operator_profile(("operator.pairing",)).scopes == ("operator.pairing",)
    assert operator_profile(()).role == "operator"


async def test_without_hello_it_is_not_open(scripted: ScriptedGateway, stage: Stage) -> None:
    def never(params: Params) -> Params:
        raise Silence

    scripted.hello = never
    await eventually(lambda: scripted.connects)
    assert stage.operator.state == "connecting"
    assert not stage.operator.is_open
