"""Every permission is said in words."""

from __future__ import annotations

import pytest

from acl.permissions import COMMANDS, Permission
from acl.rules import RULES
from bridge.control.plain_words import PLAIN_WORDS, in_plain_words

P = Permission
# What of a permission's words covers which commands, and which methods and events that nobody else may use.
PHRASES: dict[Permission, dict[str, str]] = {
    P.SCREEN: {
        "show pages on its screen": """screen.show screen.hide screen.navigate screen.setMode canvas.present canvas.hide
            canvas.navigate canvas.a2ui.push canvas.a2ui.pushJSONL canvas.a2ui.reset""",
        "run scripts in them": "screen.eval canvas.eval",
        "see what they show": "screen.snapshot canvas.snapshot",
    },
    P.VOICE: {
        "give orders to your agent": "voice.transcript agent.request agent agent.wait",
        "by voice": "voicewake.get voicewake.changed voicewake.routing.changed",
        "turn its microphone on": "talk.ptt.start talk.ptt.stop talk.ptt.cancel talk.ptt.once",
    },
    P.CAMERA: {
        "take pictures and videos": "camera.list camera.snap camera.clip",
        "turn its camera": "camera.ptz.control camera.ptz.status",
        "record its screen": "screen.record",
    },
    P.LOCATION: {"ask where it is": "location.get"},
    P.NOTIFY: {
        "send it notifications": """system.notify chat.push watch.notify push.apns.register
            gateway.identity.get""",
        "what other apps notify on it may reach your agent and set it to work": "notifications.changed",
    },
    P.DEVICE: {
        "model, battery, storage and state": "device.info device.status device.health watch.status",
        "what its apps are allowed": "device.permissions",
    },
    P.PERSONAL: {
        "contacts": "contacts.search",
        "calendar": "calendar.events",
        "reminders": "reminders.list",
        "latest photos": "photos.latest",
        "motion": "motion.activity motion.pedometer",
        "health": "health.summary",
        "add contacts, calendar entries and reminders": "contacts.add calendar.add reminders.add",
    },
    P.CHAT: {
        "read and write your chats": """chat chat.subscribe chat.unsubscribe chat.history chat.metadata chat.startup
            sessions.list sessions.preview sessions.resolve sessions.subscribe sessions.messages.subscribe
            sessions.messages.unsubscribe sessions.branches.list sessions.groups.list tasks.list progressCard.get
            artifacts.download chat.send chat.abort""",
        "give it orders": "agent agent.wait",
        "read the gateway's settings": """config.get users.prefs.get agents.list agent.identity.get models.list
            commands.list skills.status tools.effective talk.config voicewake.get""",
    },
    P.NODES: {"use the ones": "node.invoke"},
    P.SYSTEM: {
        "run commands": "system.run system.run.prepare system.which system.execApprovals.get system.execApprovals.set",
        "read and write its files": """fs.listDir dir.fetch dir.list file.create file.fetch file.stat file.write
            terminal.upload workspace.memory workspace.skills""",
        "see and operate its screen": "desktop.stream computer.act mobile.ui.observe mobile.ui.act",
        "browser": "browser.proxy browser.proxy.upload.v1",
        "tools": "mcp.tools.call.v1 ollama.chat ollama.models exec.started exec.finished exec.denied",
    },
}


@pytest.mark.parametrize("permission", Permission)
def test_all_that_a_permission_grants_is_said_in_its_words(permission: Permission) -> None:
    phrases = PHRASES[permission]
    granted = {name for name, needed in COMMANDS.items() if needed is permission}
    granted |= {name for rule in RULES if permission in rule.any_of for name in rule.names}
    assert {name for names in phrases.values() for name in names.split()} == granted
    for phrase in phrases:
        assert phrase in PLAIN_WORDS[permission]


@pytest.mark.parametrize(
    "command",
    ["notifications.list", "notifications.actions", "sms.send", "sms.search", "callLog.search", "device.apps"],
)
def test_what_no_words_say_is_granted_by_nothing(command: str) -> None:
    assert command not in COMMANDS


def test_every_permission_has_words() -> None:
    assert set(PLAIN_WORDS) == set(Permission)
    assert len(set(PLAIN_WORDS.values())) == len(PLAIN_WORDS)


def test_voice_is_said_to_give_orders() -> None:
    assert "may give orders to your agent" in PLAIN_WORDS[Permission.VOICE]


def test_the_order_is_that_of_the_table_whatever_was_given() -> None:
    assert [name for name, _ in in_plain_words(["voice", "screen", "voice"])] == ["screen", "voice"]
    assert in_plain_words([]) == []


def test_an_unknown_permission_is_shown_and_called_unknown() -> None:
    assert in_plain_words(["warp", "voice"]) == [
        ("voice", PLAIN_WORDS[Permission.VOICE]),
        ("warp", "unknown to this version"),
    ]
