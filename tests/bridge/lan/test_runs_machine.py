"""Whatever runs, sessions, losses and subscriptions are mixed, no app drops its socket or shows a wrong text.

Sockets of two phones hear the same gateway. What each is told goes into a model of the app; what the gateway really
has said is known, so a text with a hole is seen. Red when a run is not withheld after a gap (`RunFilter.gap`), after
a jump of `seq` (`OperatorTraffic._count`), or when no `Gap` or `LinkLost` of a node's link gets there; when a first
word needs no text (`_words_of`), or a text no beginning of its own (`_continues`); when a node sees all runs of its
link.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from acl.model import Policy
from acl.permissions import Permission
from bridge.lan.events import Answered, Command, Forward, Gap, LinkLost, Oversized
from gateway_client.frames import Event
from tests.bridge.lan.app_rules import App
from tests.bridge.lan.phones import ANDROID, IPHONE
from tests.bridge.lan.playbook import Talk, good, node_in, operator_in

Json = dict[str, Any]
ALL = frozenset(Permission)
POLICY = Policy(agent_sessions=frozenset({"main", "work", "agent:main:work"}))
SPELLINGS = {"agent:main:main": ("main", "agent:main:main"), "agent:main:work": ("work", "agent:main:work")}
MAIN, WORK = SPELLINGS
WORDS = st.sampled_from(["a", "b ", "ab"])
SESSIONS = st.sampled_from([MAIN, MAIN, WORK])
RUNS = st.integers(0, 2)
MOSTLY, RARELY = st.sampled_from([True, True, False]), st.sampled_from([False, False, False, True])
SOCKETS = ("iphone", "second iphone", "android", "iphone node")
WHO = st.sampled_from(SOCKETS)


class Quick(Talk):
    """A conversation whose frames are not held against the schema: they carry numbers of these tests."""

    def _hold_against_schema(self, command: Command) -> None:
        pass


@dataclass
class Run:
    """What the gateway has really said of one run.

    Attributes:
        id: its id; a gateway that restarts may go on with it.
        session: the gateway's spelling.
        texts: by stream and text, up to now.
        said: how many words, by stream.
        firsts: which words of the agent stream begin a text.
    """

    id: str
    session: str
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=lambda: {"chat": 0, "agent": 0})
    firsts: set[int] = field(default_factory=set)


class Socket:
    """One socket of a phone, and the app that reads it."""

    def __init__(self, name: str) -> None:
        self.is_node = name.endswith("node")
        phone = ANDROID if name.startswith("android") else IPHONE
        made = node_in(phone, ALL, policy=POLICY) if self.is_node else operator_in(phone, ALL, policy=POLICY)
        self.talk = Quick.__new__(Quick)
        self.talk.__dict__ = made.__dict__
        self.app = App()
        self.followed: set[str] = set()
        self.whole: set[tuple[str, str]] = set()
        """Streams of runs of which it must be shown everything."""

    def asks(self, method: str, params: Json) -> None:
        self.talk.asks(method, params)
        for forward in [one for one in self.talk.did if isinstance(one, Forward)]:
            self.talk.gets(Answered(forward.key, good({"ok": True})))

    def follow(self, session: str, spelled: str) -> None:
        if self.is_node:
            self.asks("node.event", {"event": "chat.subscribe", "payload": {"sessionKey": spelled}})
        else:
            self.asks("chat.history", {"sessionKey": spelled})
        self.followed.add(session)

    def leave(self, session: str, spelled: str) -> None:
        if self.is_node:
            self.asks("node.event", {"event": "chat.unsubscribe", "payload": {"sessionKey": spelled}})
        else:
            self.asks("sessions.messages.unsubscribe", {"key": spelled})
        self.followed.discard(session)
        self.whole.clear()

    def hears(self, event: Event, *, too_long: bool = False) -> None:
        self.talk.gateway_says(event.event, event.payload, None if self.is_node else event.seq)
        for frame in self.talk.sent:
            if too_long:
                self.talk.gets(Oversized(event, 2**25))
                self.whole.clear()
            else:
                self.app.take(frame)


class Runs(RuleBasedStateMachine):
    """The mix."""

    @initialize()
    def open(self) -> None:
        self.sockets = {name: Socket(name) for name in SOCKETS}
        self.count = self.seq = 0
        for socket in self.sockets.values():
            socket.follow(MAIN, MAIN)
        self.runs = [self.new_run(session) for session in (MAIN, MAIN, WORK)]

    def new_run(self, session: str) -> Run:
        self.count += 1
        run = Run(f"r{self.count}", session)
        for socket in self.sockets.values():
            if session in socket.followed:
                socket.whole |= {("chat", run.id), ("agent", run.id)}
        return run

    def say(self, event: str, payload: Json, lost: bool = False, too_long_for: str = "") -> None:
        """The gateway says it; lost: the bridge never reads it, and learns of that from the next `seq`."""
        self.seq += 1
        for name, socket in self.sockets.items():
            if not lost:
                socket.hears(Event(event, payload, self.seq), too_long=name == too_long_for)
            elif socket.is_node:
                socket.talk.gets(Gap())  # there is no `seq` on its link; what could not be read is told
        if lost:
            self.forget()

    def forget(self) -> None:
        for socket in self.sockets.values():
            socket.whole.clear()

    @rule(name=WHO, session=SESSIONS, which=st.integers(0, 1))
    def follow(self, name: str, session: str, which: int) -> None:
        self.sockets[name].follow(session, SPELLINGS[session][which])

    @rule(name=WHO, session=SESSIONS, which=st.integers(0, 1))
    def leave(self, name: str, session: str, which: int) -> None:
        self.sockets[name].leave(session, SPELLINGS[session][which])

    @rule(which=RUNS, words=st.lists(st.tuples(WORDS, MOSTLY, RARELY, RARELY), min_size=1, max_size=4))
    def chat(self, which: int, words: list[tuple[str, bool, bool, bool]]) -> None:
        for word, carried, anew, lost in words:
            self.say("chat", self.chat_word(self.runs[which], word, carried, anew), lost)

    def chat_word(self, run: Run, word: str, carried: bool = False, anew: bool = False) -> Json:
        run.texts["chat", ""] = text = word if anew else run.texts.get(("chat", ""), "") + word
        payload: Json = {"runId": run.id, "sessionKey": run.session, "state": "delta", "usage": {"n": run.said["chat"]}}
        payload |= {"deltaText": word, "replace": True} if anew else {"deltaText": word}
        payload |= {"message": {"role": "assistant", "content": text}} if carried else {}
        if not carried and run.said["chat"] == 0:
            self.excuse("chat", run)
        run.said["chat"] += 1
        return payload

    @rule(
        which=RUNS, words=st.lists(st.tuples(WORDS, MOSTLY, st.sampled_from(["", "a"]), RARELY), min_size=1, max_size=4)
    )
    def agent(self, which: int, words: list[tuple[str, bool, str, bool]]) -> None:
        for word, carried, item, lost in words:
            self.say("agent", self.agent_word(self.runs[which], word, carried, item), lost)

    def agent_word(self, run: Run, word: str, carried: bool, item: str) -> Json:
        if ("agent", item) not in run.texts:
            run.firsts.add(run.said["agent"])
            if not carried:
                self.excuse("agent", run)
        run.texts["agent", item] = text = run.texts.get(("agent", item), "") + word
        data: Json = {"delta": word, "n": run.said["agent"], **({"itemId": item} if item else {})}
        data |= {"text": text} if carried else {}
        run.said["agent"] += 1
        payload = {"runId": run.id, "sessionKey": run.session, "seq": run.said["agent"], "stream": "assistant", "ts": 1}
        return {**payload, "data": data}

    def excuse(self, stream: str, run: Run) -> None:
        """The gateway itself has left a beginning out."""
        for socket in self.sockets.values():
            socket.whole.discard((stream, run.id))

    @rule(which=RUNS)
    def status(self, which: int) -> None:
        run = self.runs[which]
        self.say(
            "chat", {"runId": run.id, "sessionKey": run.session, "state": "status", "phase": "thinking"}, lost=False
        )

    @rule(which=RUNS, how=st.sampled_from(["final", "error", "aborted"]), session=SESSIONS)
    def end(self, which: int, how: str, session: str) -> None:
        """A run ends; another begins in its place."""
        run = self.runs[which]
        self.say("chat", {"runId": run.id, "sessionKey": run.session, "state": how})
        for socket in self.sockets.values():
            assert (run.id in socket.app.ended) is (run.session in socket.followed)
            for stream in ("chat", "agent"):
                if (stream, run.id) in socket.whole:
                    assert socket.app.seen.get((stream, run.id), []) == list(range(run.said[stream])), "not all of it"
        self.runs[which] = self.new_run(session)

    @rule(name=WHO, which=RUNS)
    def too_long(self, name: str, which: int) -> None:
        self.say("chat", self.chat_word(self.runs[which], "x", carried=True), too_long_for=name)

    @rule(name=WHO, which=RUNS)
    def look_away(self, name: str, which: int) -> None:
        """An app leaves a session and comes back to it in the middle of a run."""
        run, socket = self.runs[which], self.sockets[name]
        socket.leave(run.session, run.session)
        self.say("chat", self.chat_word(run, "y"))
        socket.follow(run.session, run.session)

    @rule()
    def restart(self) -> None:
        """The gateway restarts: it counts anew, and goes on with its runs before the bridge is back."""
        self.seq = 0
        for socket in self.sockets.values():
            socket.talk.gets(LinkLost())
        for run in self.runs:
            self.chat_word(run, "z")
        self.forget()

    @rule(name=WHO)
    def reconnect(self, name: str) -> None:
        self.sockets[name] = Socket(name)

    @invariant()
    def whole(self) -> None:
        """Of each stream the words follow each other without a hole; the last text shown is what was said."""
        for socket in getattr(self, "sockets", {}).values():
            for numbers in socket.app.seen.values():
                assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a hole"
            for run in self.runs:
                self.compare(socket.app, run)

    def compare(self, app: App, run: Run) -> None:
        """Who was told a run to the last word shows what the gateway has said, from the first word of a text on."""
        agent = app.seen.get(("agent", run.id), [])
        assert not agent or agent[0] in run.firsts
        for (stream, text), said in run.texts.items():
            numbers = app.seen.get((stream, run.id), [])
            shown = app.texts.get((stream, run.id, run.session, text))
            if numbers and numbers[-1] == run.said[stream] - 1 and (shown is not None or numbers[0] == 0):
                assert shown == said


TestRuns = Runs.TestCase
TestRuns.settings = settings(stateful_step_count=30)
