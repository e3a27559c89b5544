"""Pure: commands to a screen, before they reach a device and when they come back (design §§9, 19).

Down: typed parameters, the rules of navigation, another command where that stands for the one asked. Up: typed results,
and the rules once more for the place where a navigation has ended up. What a guard remembers of a command is bounded by
what may be in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from acl import navigation
from acl.engine import decide
from acl.model import Allow, Call, Direction, Policy, Reason, Subject
from acl.navigation import NAVIGATING
from bridge.lan import answers, screen_params, screen_results
from bridge.lan.events import Note
from bridge.lan.node_calls import InvokeResult, ParamsError
from bridge.lan.screen_page import ScreenPage, Shown
from bridge.lan.screen_params import ScreenCaps, ScreenParams, TooLargeError
from bridge.lan.screen_results import Asked, ResultError
from bridge.upstream.outcomes import Invoke
from gateway_client.frames import ErrorShape, Json, JsonObject, object_of, text_of

READING = frozenset({"screen.eval", "screen.snapshot", "screen.record", "canvas.eval", "canvas.snapshot"})
"""Commands whose results are what the screen shows, or come from it."""
NOT_BEGUN = frozenset({answers.BACKGROUND, "NODE_NOT_READY", "INVALID_REQUEST"})
"""Errors of a device that has not tried (mobile-clients §7)."""
_FORBIDDEN = "what the screen shows is not allowed by the policy; navigate to an allowed address first"
_MOVED = "the screen was sent elsewhere before the device answered; ask again when that has ended"
_UNKNOWN = "the last navigation has not been confirmed; wait for its result, or navigate again"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A command that may go to the device.

    Attributes:
        invoke: as the device gets it.
        asked: what its result is held against; None: it is passed on as it is.
    """

    invoke: Invoke
    asked: Asked | None = None

    @property
    def moves(self) -> bool:
        """Whether the page on the screen changes; `canvas.present` without an address only shows it."""
        sent = self.invoke.command
        return sent == "canvas.navigate" or (self.asked is not None and self.asked.url is not None)


@dataclass(frozen=True, slots=True)
class Judged:
    """A result as the gateway gets it.

    Attributes:
        result: the device's, or a refusal in its place.
        notes: what is worth a trace.
    """

    result: InvokeResult
    notes: tuple[Note, ...] = ()


@dataclass(slots=True)
class ScreenGuard:
    """The screen of one connection.

    Args:
        subject: whom the ACL sees.
        page: what is known of its page.
        aliases: those that its surface was approved with, command -> what stands for it.
        caps: sizes.
    """

    subject: Subject
    page: ScreenPage
    aliases: Mapping[str, str] = field(default_factory=dict)
    caps: ScreenCaps = field(default_factory=ScreenCaps)
    _asked: dict[str, tuple[Admitted, int]] = field(default_factory=dict)  # with the page's turn

    def __len__(self) -> int:
        return len(self._asked)

    def admit(self, invoke: Invoke, policy: Policy) -> Admitted | ErrorShape:
        """Decides a command, and returns it as the device gets it; nothing is remembered yet.

        Args:
            invoke: granted to the device and offered by it.
            policy: the one in force.
        """
        name = self.aliases.get(invoke.command, invoke.command)
        if name != invoke.command and policy.aliases.get(invoke.command) != name:
            return ErrorShape("FORBIDDEN", f"{invoke.command} is not granted to this node: its alias is no longer set")
        if invoke.command in READING and self.page.shown is not Shown.ALLOWED:
            return self._unread(invoke.command)
        if not screen_params.is_typed(invoke.command):
            return Admitted(invoke, Asked(invoke.command) if invoke.command in READING else None)
        try:
            params = screen_params.read(invoke.command, invoke.params_json, policy.snapshot_max_width, self.caps)
        except ParamsError as exc:
            return ErrorShape("PAYLOAD_TOO_LARGE" if isinstance(exc, TooLargeError) else "INVALID_REQUEST", str(exc))
        for asked_name in dict.fromkeys((invoke.command, name)):
            refusal = self._denied(asked_name, params.url, policy)
            if refusal is not None:
                return refusal
        return self._rebuilt(invoke, name, params, policy)

    def _unread(self, command: str) -> ErrorShape:
        if self.page.shown is Shown.FORBIDDEN:
            return ErrorShape("FORBIDDEN", f"{command}: {_FORBIDDEN}")
        return ErrorShape("UNAVAILABLE", f"{command}: {_UNKNOWN}")

    def _denied(self, command: str, url: str | None, policy: Policy) -> ErrorShape | None:
        decision = decide(policy, self.subject, Call(Direction.TO_NODE, command, url=url))
        if isinstance(decision, Allow):
            return None
        if decision.reason is not Reason.NAVIGATION:
            return ErrorShape("FORBIDDEN", f"{command} is not granted to this node")
        fault = navigation.check(url or "", policy.navigation)
        words = navigation.FAULT_WORDS[fault] if isinstance(fault, navigation.Fault) else "not allowed"
        return ErrorShape("FORBIDDEN", f"{command}: {words}")

    def _rebuilt(self, invoke: Invoke, name: str, params: ScreenParams, policy: Policy) -> Admitted:
        members, url = params.members, params.url
        if url is not None:
            target = navigation.check(url, policy.navigation)
            url = target.url if isinstance(target, navigation.Target) else url
            members = {**members, "url": url}
        sent = replace(invoke, command=name, params_json=orjson.dumps(members).decode() if members else None)
        return Admitted(sent, Asked(invoke.command, url, params.max_width, alias=name != invoke.command))

    def begin(self, admitted: Admitted, is_open: Callable[[str], bool]) -> None:
        """The command goes to the device.

        Args:
            admitted: what `admit` returned.
            is_open: whether an invoke still waits for its result: what does not is forgotten, so that never more is
                remembered than is in flight.
        """
        for invoke_id in [known for known in self._asked if not is_open(known)]:
            del self._asked[invoke_id]
        if admitted.asked is not None:
            self._asked[admitted.invoke.id] = admitted, self.page.turn
        if admitted.moves:
            self.page.begin(admitted.invoke.id)

    def actions(self, actions: list[Json], policy: Policy) -> list[JsonObject | None]:
        """Decides what waited at the gateway for the device (`node.pending.pull`), as commands are.

        Args:
            actions: rebuilt from known members, each granted and offered.
            policy: the one in force.

        Returns:
            Each as the device gets it, or None for one that is refused. After one that navigates the page is unknown,
            for those behind it as well: nobody is told where it ended up.
        """
        out: list[JsonObject | None] = []
        for action in actions:
            admitted = self.admit(_invoke_of(action), policy)
            out.append(_action_of(object_of(action), admitted.invoke) if isinstance(admitted, Admitted) else None)
            if isinstance(admitted, Admitted) and admitted.moves:
                self.page.begin("")
        return out

    def judge(self, result: InvokeResult, policy: Policy) -> Judged:
        """Judges what the device answered to a command that `begin` has seen.

        Args:
            result: the device's.
            policy: the one in force.
        """
        admitted, turn = self._asked.pop(result.id, (None, 0))
        if admitted is None or admitted.asked is None:
            return Judged(result)
        command, is_begun = admitted.asked.command, result.ok or result.code not in NOT_BEGUN
        if command in READING and is_begun and (why_not := self._unanswered(command, turn)) is not None:
            return _refused(result, why_not.code, why_not.message)
        if not result.ok:
            if admitted.moves and not is_begun:
                self.page.not_begun(result.id)
            return Judged(result)
        try:
            payload = self._payload(admitted.asked, result)
        except ResultError as exc:
            return _refused(result, "INVALID_RESULT", str(exc), Note("invoke-result-invalid", {"command": command}))
        url = text_of(payload, "url") if command in NAVIGATING else None
        target = navigation.check(url, policy.navigation) if url is not None else None
        if isinstance(target, navigation.Fault):
            return self._strayed(result, command, url or "", target)
        if admitted.moves:
            self.page.arrived(result.id)
        return Judged(_with(result, payload) if screen_results.is_typed(command) else result)

    def _unanswered(self, command: str, turn: int) -> ErrorShape | None:
        """Why the agent may not have what was read, nor the words of a script that threw: it may be of another page."""
        if self.page.shown is Shown.FORBIDDEN:
            return self._unread(command)
        return ErrorShape("UNAVAILABLE", f"{command}: {_MOVED}") if turn != self.page.turn else None

    def _payload(self, asked: Asked, result: InvokeResult) -> JsonObject:
        is_text = "payloadJSON" in result.members
        raw = result.members.get("payloadJSON" if is_text else "payload")
        if screen_results.is_typed(asked.command):
            payload = screen_results.read_payload(asked.command, raw, self.caps, is_text=is_text)
            return screen_results.read(asked, payload, self.caps)
        if asked.command not in NAVIGATING:
            return {}  # an older app's own command: passed on as it is
        return object_of(screen_results.read_payload(asked.command, raw, self.caps, is_text=is_text))

    def _strayed(self, result: InvokeResult, command: str, url: str, fault: navigation.Fault) -> Judged:
        self.page.strayed()
        fields: dict[str, Json] = {"command": command, "why": fault.value, "host": navigation.host_of(url)}
        words = f"{command} ended up at another address: {navigation.FAULT_WORDS[fault]}"
        return _refused(result, "FORBIDDEN", words, Note("navigation-violation", fields))


def _refused(result: InvokeResult, code: str, message: str, *notes: Note) -> Judged:
    error: JsonObject = {"code": code, "message": message}
    return Judged(InvokeResult(result.id, False, {"error": error}), notes)


def _with(result: InvokeResult, payload: JsonObject) -> InvokeResult:
    """Returns a result with another payload, in the form in which the device sent its own."""
    if "payloadJSON" in result.members:
        return InvokeResult(result.id, True, {"payloadJSON": orjson.dumps(payload).decode()})
    return InvokeResult(result.id, True, {"payload": payload})


def _invoke_of(action: Json) -> Invoke:
    params = object_of(action).get("paramsJSON")
    text = params if isinstance(params, str) else None
    return Invoke(text_of(action, "id") or "", text_of(action, "command") or "", text, 0, None, 0.0)


def _action_of(action: JsonObject, sent: Invoke) -> JsonObject:
    """Returns an action with the command and the parameters that the device gets."""
    out: JsonObject = {**action, "command": sent.command, "paramsJSON": sent.params_json}
    if sent.params_json is None:
        del out["paramsJSON"]
    return out
