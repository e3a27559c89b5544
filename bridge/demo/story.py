"""The demo's story: each step shows one promise of the bridge, with real messages, and fails loudly."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bridge.demo.agent import Call, ScriptedAgent
from bridge.demo.gateway import EmbeddedGateway, GatewaySetup
from bridge.demo.stage import BridgeProcess, StageError, tell_agent
from bridge.demo.view import Stopwatch, View
from bridge.demo.words import refusal, refused_by, short, told
from bridge.errors import BridgeError
from bridge.node.phone import Phone
from bridge.node.phone_probe import ingress, read_pin
from bridge.node.phone_state import SCREEN_COMMANDS, PhoneSetup
from gateway_client.errors import GatewayError
from gateway_client.frames import Json, JsonObject, object_of

EXIT_STOPPED = 130  # as shells say it of a program that Ctrl-C ended
LIMIT_S = 60.0  # seconds for the whole story, whatever happens
HOST = "127.0.0.1"
DASHBOARD = "https://home.example/dashboard"
WEATHER = "https://weather.example/berlin"
_FAILURES = (StageError, BridgeError, GatewayError, TimeoutError, OSError, ExceptionGroup)


class UnexpectedError(Exception):
    """A step did not show what it should.

    Attributes:
        expected: what should have been.
    """

    def __init__(self, expected: str, observed: str) -> None:
        super().__init__(observed)
        self.expected = expected


def play(console: Console | None = None) -> int:
    """Plays the whole story; returns the exit status: 0, 1 when a step failed, `EXIT_STOPPED`."""
    view = View(console or Console(highlight=False, markup=False, emoji=False))
    home = Path(tempfile.mkdtemp(prefix="clawdis-demo-"))
    watch = Stopwatch()
    try:
        asyncio.run(_play(view, home))
    except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):  # SystemExit: nobody reads what is printed
        shutil.rmtree(home, ignore_errors=True)
        sys.stderr.write("The demo was stopped. Nothing is left behind.\n")
        return EXIT_STOPPED
    except UnexpectedError as exc:
        view.failure(exc.expected, str(exc), home)
        return 1
    except _FAILURES as exc:
        view.failure("the step to get through", told(exc), home)
        return 1
    shutil.rmtree(home, ignore_errors=True)
    view.summary(watch.seconds)
    return 0


async def _play(view: View, home: Path) -> None:
    playing = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):  # as after Ctrl-C: everything is taken down first
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel if playing is not None else int)
    async with asyncio.timeout(LIMIT_S), AsyncExitStack() as stack:
        story = Story(view, home, stack)
        await view.opening()
        for chapter in (
            story.everything_starts,
            story.phone_finds_the_bridge,
            story.connect_is_held_until_approved,
            story.agent_uses_the_screen,
            story.forbidden_is_refused,
            story.stranger_gets_nothing,
            story.voice_starts_a_turn,
            story.background_is_told_at_once,
            story.revoke_ends_it_at_once,
        ):
            await chapter()


class Story:
    """The steps, in order; each uses what the ones before it set up.

    Args:
        view: where it is told.
        home: an empty private folder.
        stack: owns what was started.
    """

    def __init__(self, view: View, home: Path, stack: AsyncExitStack) -> None:
        self._view = view
        self._stack = stack
        self._bridge = BridgeProcess(home)
        self._agent = ScriptedAgent(self._show_call)
        self._setup = GatewaySetup(token=uuid.uuid4().hex, commands_allow=(*SCREEN_COMMANDS, "camera.snap"))
        self._gateway = EmbeddedGateway(self._setup, self._agent.turn)
        self._phone_setup = PhoneSetup(HOST, 0, "")
        self._phone: Phone
        self._agent.plans = {
            "Show the dashboard.": [
                ("screen.navigate", {"url": DASHBOARD}),
                ("screen.eval", {"javaScript": "document.title"}),
                ("screen.snapshot", {"maxWidth": 320}),
            ],
            "Take a photo.": [("camera.snap", {})],
            "What is the weather in Berlin?": [("screen.navigate", {"url": WEATHER})],
            "Look at the screen.": [("screen.snapshot", {"maxWidth": 320})],
        }

    async def everything_starts(self) -> None:
        """Gateway and bridge come up."""
        async with self._view.step("Gateway and bridge start"):
            await self._stack.enter_async_context(self._gateway)
            await self._view.says("gateway", "loopback", f"listens on {self._gateway.url}, nowhere else")
            self._bridge.configure(self._gateway.url, self._setup.token)
            self._stack.push_async_callback(self._bridge.stop)
            await self._view.types("clawdis-bridge run")
            status = await self._bridge.start()
            port = next(item.port for item in status.listeners if item.name == "apps")
            self._phone_setup = replace(self._phone_setup, port=port, pin=status.pin)
            await self._view.says("bridge", "gateway", f"connected as operator to gateway {status.gateway.version}")
            await self._view.says("bridge", "phones", f"listens on {HOST}:{port} (here loopback too; else the LAN)")
            await self._view.proves("the bridge alone faces the phones; the gateway stays on loopback")

    async def phone_finds_the_bridge(self) -> None:
        """The phone reads the pin and asks for a page."""
        setup = self._phone_setup
        async with self._view.step("The phone reads the bridge's certificate before it trusts anything"):
            await self._view.says("phone", "bridge", "TLS handshake, given up after the certificate")
            pin = await read_pin(setup.host, setup.port)
            await self._view.hears("phone", "bridge", f"certificate {pin[:16]}... shown to the phone's user")
            _require(pin == setup.pin, f"the pin that `status` tells, {setup.pin}", pin)
            status = await ingress(setup.host, setup.port, pin)
            await self._view.says("phone", "bridge", "GET / over pinned TLS 1.3")
            await self._view.hears("phone", "bridge", f"{status}: nothing to see for a browser or a scanner")
            _require(status == 404, "404 for a plain GET", str(status))
            await self._view.proves("phone and Mac show the same certificate pin; a plain GET learns nothing")

    async def connect_is_held_until_approved(self) -> None:
        """The first connect waits for a person."""
        async with self._view.step("The first connect is held until you approve it"):
            self._phone = await self._stack.enter_async_context(Phone(self._phone_setup))
            await self._view.says("phone", "bridge", "connect as Anna's iPhone: key, signature, no secret")
            request = await self._bridge.until(self._bridge.pending)
            if request is None:
                raise UnexpectedError("a pairing request", "none within 5 s")
            _require(not self._phone.connected, "the phone held outside", "it was let in")
            await self._view.hears("phone", "bridge", f"held; request {request.id} waits for you")
            await self._view.says("you", "phone", "compare the pins, and tap Trust")
            await self._view.types(f"clawdis-bridge approve {request.id} --yes")
            approval = object_of(json.loads(await self._bridge.command("approve", request.id, *_YES, "--json")))
            await self._phone.wait_connected()
            _require(not self._phone.refusals, "hello-ok on the held socket", "it was refused before")
            granted = ", ".join(map(str, _list(approval.get("permissions"))))
            await self._view.hears("phone", "bridge", f"hello-ok on the same socket; granted: {granted}")
            row = await self._bridge.until(self._gateway_row, lambda found: found["approvalState"] == "approved")
            if row is None:
                raise UnexpectedError("the phone as an approved node of the gateway", "it is none after 5 s")
            self._agent.node_id = str(row["nodeId"])
            commands = [str(name) for name in _list(row["commands"])]
            await self._view.says("bridge", "gateway", f"{row['displayName']}: {len(commands)} commands, approved")
            _require("camera.snap" not in commands, "only granted commands at the gateway", "camera.snap is there")
            await self._view.proves("one approval paired the phone here and at the gateway, for what was granted only")

    async def agent_uses_the_screen(self) -> None:
        """The agent drives the phone's screen."""
        async with self._view.step("The agent uses the phone's screen"):
            await self._tell("Show the dashboard.")
            seen = [call.command for call in self._agent.calls if call.error is None]
            _require(len(seen) == 3, "three results", f"{seen}, then {self._last_error()}")
            _require(self._phone.screen.url == DASHBOARD, DASHBOARD, self._phone.screen.url)
            await self._view.proves("screen.navigate, screen.eval and screen.snapshot ran on the phone and came back")

    async def forbidden_is_refused(self) -> None:
        """What was not granted is refused, in both directions."""
        async with self._view.step("What was not granted is refused"):
            await self._view.says("phone", "bridge", "can do camera.snap as well, which you did not grant")
            await self._view.says("bridge", "gateway", "never offered it, although this gateway would allow it")
            await self._tell("Take a photo.")
            _require(self._agent.calls[-1].error is not None, "camera.snap refused", "it ran")
            reached = [item for item in self._phone.commands if item.get("command") == "camera.snap"]
            _require(not reached, "nothing at the phone", "camera.snap reached it")
            await self._explain("camera.snap")
            await self._view.says("phone", "bridge", "config.set {...}   (a method of the gateway's owner)")
            answer = await self._phone.node_request("config.set", {"raw": "{}"})
            error = answer.error
            _require(not answer.ok and error is not None, "config.set refused", "it was accepted")
            text = error.message if error else ""
            await self._view.hears("phone", "bridge", f"refused: {text}")
            await self._view.proves("an ungranted command never reached the phone, nor an owner's call the gateway")

    async def _explain(self, command: str) -> None:
        """Asks the bridge which rule withholds a command."""
        node = self._phone.identity.device_id[:12]
        await self._view.types(f"clawdis-bridge acl explain {node} {command}")
        verdict = object_of(json.loads(await self._bridge.command("acl", "explain", node, command, "--json")))
        _require(verdict.get("decision") == "deny", f"{command} denied by the policy", str(verdict))
        await self._view.hears("you", "bridge", f"deny, by the rule {verdict['rule']}: {verdict['reason']}")

    async def stranger_gets_nothing(self) -> None:
        """Another device with a copied token stays outside."""
        async with self._view.step("A second phone gets nothing, not even with a copied token"):
            setup = replace(self._phone_setup, name="Unknown phone", kind="android")
            stranger = Phone(setup)
            stranger.tokens.node = self._phone.tokens.node
            async with stranger:
                await self._view.says("phone 2", "bridge", "connect with Anna's token, but a key of its own")
                request = await self._bridge.until(self._bridge.pending)
                if request is None:
                    raise UnexpectedError("the second phone held as a new request", "no request within 5 s")
                await self._view.hears("phone 2", "bridge", f"held as a stranger; request {request.id}")
                await self._view.types(f"clawdis-bridge deny {request.id}")
                await self._bridge.command("deny", request.id)
                error = await stranger.wait_refused()
                await self._view.hears("phone 2", "bridge", f"{error.code}: {error.message}")
                stranger.resume()
                await self._view.says("phone 2", "bridge", "connect again")
                await stranger.until(lambda: len(stranger.refusals) > 1, "second refusal")
                await self._view.hears("phone 2", "bridge", stranger.refusals[-1].message)
                asked = await asyncio.to_thread(self._bridge.pending)
                _require(asked is None, "no second prompt", "you were asked again")
                _require(not stranger.received, "nothing but refusals", "it received events")
            await self._view.proves("a key that you did not approve gets no event, no token and no second prompt")

    async def voice_starts_a_turn(self) -> None:
        """What is said to the phone reaches the agent."""
        async with self._view.step("What you say to the phone reaches the agent"):
            text = "What is the weather in Berlin?"
            await self._view.says("phone", "bridge", f'voice.transcript "{text}"')
            before = len(self._agent.calls)
            answer = await self._phone.say(text)
            _require(answer.ok, "the transcript accepted", answer.error.message if answer.error else "no answer")
            await self._phone.until(lambda: self._phone.screen.url == WEATHER, f"navigation to {WEATHER}")
            done = await self._bridge.until(lambda: len(self._agent.calls) > before or None)
            _require(done is True, "the result back at the agent", "none after 5 s")
            _require(text in self._agent.heard, "the agent to hear it", f"it heard {self._agent.heard}")
            await self._view.proves("a transcript started an agent turn, and the agent answered on the screen")

    async def background_is_told_at_once(self) -> None:
        """A backgrounded phone is known as such, and comes back."""
        async with self._view.step("The phone goes to the background, and comes back"):
            await self._view.says("phone", "bridge", "node.presence.alive, trigger background")
            await self._phone.background()
            before = len(self._phone.commands)
            watch = Stopwatch()
            await self._tell("Look at the screen.")
            took, error = watch.seconds, self._agent.calls[-1].error
            found = error.message if error else "a picture"
            _require("NODE_BACKGROUND_UNAVAILABLE" in found, "NODE_BACKGROUND_UNAVAILABLE", found)
            _require(took < 1, "an answer within a second", f"{took:.1f} s")
            _require(len(self._phone.commands) == before, "the phone left alone", "it was asked")
            await self._phone.foreground()
            await self._view.says("phone", "bridge", "back in the foreground")
            await self._tell("Look at the screen.")
            _require(self._agent.calls[-1].error is None, "a picture again", self._last_error())
            await self._view.proves("the agent learned of the background at once, without waking the phone")

    async def revoke_ends_it_at_once(self) -> None:
        """Revoking closes the phone's socket."""
        async with self._view.step("You revoke the phone"):
            node = self._phone.identity.device_id[:12]
            await self._view.types(f"clawdis-bridge nodes revoke {node} --yes")
            revoking = asyncio.get_running_loop().time()
            await self._bridge.command("nodes", "revoke", node, *_YES)
            end = await self._phone.wait_closed()
            took = asyncio.get_running_loop().time() - revoking
            await self._view.hears(
                "phone", "bridge", f"closed: {end.code} {end.reason}, {took:.1f} s after your return key"
            )
            _require(end.code == 4001, "close 4001", f"{end.code} {end.reason}")
            error = await self._phone.wait_refused()
            await self._view.says("phone", "bridge", "connect again, with its token")
            await self._view.hears("phone", "bridge", f"{error.code}: {error.message}")
            gone = await self._bridge.until(lambda: self._gateway_row() is None or None)
            _require(gone is True, "the node removed from the gateway", "it is still there after 5 s")
            await self._view.proves("revoking closed the phone's socket at once and removed it from the gateway")

    # -- what several steps use

    async def _tell(self, text: str) -> None:
        await self._view.says("you", "agent", text)
        await tell_agent(self._gateway.url, self._setup, text, uuid.uuid4().hex)

    async def _show_call(self, call: Call) -> None:
        answered_by = refused_by(call) or "phone"
        await self._view.says("agent", answered_by, f"{call.command} {short(call.params)}")
        await self._view.hears("agent", answered_by, refusal(call.error) if call.error else short(call.result))

    def _gateway_row(self) -> JsonObject | None:
        core = self._gateway.core
        rows = core.nodes.rows(core.devices.paired.values(), core.surfaces)
        return rows[0] if rows else None

    def _last_error(self) -> str:
        error = self._agent.calls[-1].error if self._agent.calls else None
        return error.message if error else "nothing"


_YES = ("--yes",)  # nobody is there to be asked


def _require(holds: bool, expected: str, observed: str) -> None:
    if not holds:
        raise UnexpectedError(expected, observed)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
