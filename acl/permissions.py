"""Pure: the permissions a person grants, and the one table that maps commands, capabilities and events to them.

What a table does not list is granted by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Permission(StrEnum):
    """What a person grants to a node (design §9)."""

    SCREEN = "screen"
    VOICE = "voice"
    CAMERA = "camera"
    LOCATION = "location"
    NOTIFY = "notify"
    DEVICE = "device"
    PERSONAL = "personal"
    CHAT = "chat"
    NODES = "nodes"
    SYSTEM = "system"


Permissions = frozenset[Permission]

_P = Permission

PROFILES: dict[str, Permissions] = {
    "voice": frozenset({_P.VOICE}),
    "voice+screen": frozenset({_P.VOICE, _P.SCREEN, _P.DEVICE}),
    "phone": frozenset({_P.VOICE, _P.SCREEN, _P.DEVICE, _P.NOTIFY, _P.CHAT}),
    "full": frozenset(set(_P) - {_P.SYSTEM}),
}
"""Named sets; `voice+screen` is what a prompt proposes, `phone` what a setup code carries."""

_COMMANDS_OF: dict[Permission, str] = {
    _P.SCREEN: """screen.show screen.hide screen.navigate screen.eval screen.snapshot screen.setMode
        canvas.present canvas.hide canvas.navigate canvas.eval canvas.snapshot
        canvas.a2ui.push canvas.a2ui.pushJSONL canvas.a2ui.reset""",
    _P.VOICE: "talk.ptt.start talk.ptt.stop talk.ptt.cancel talk.ptt.once",
    _P.CAMERA: "camera.list camera.snap camera.clip camera.ptz.control camera.ptz.status screen.record",
    _P.LOCATION: "location.get",
    _P.NOTIFY: "system.notify chat.push watch.notify",
    _P.DEVICE: "device.info device.status device.permissions device.health watch.status",
    _P.PERSONAL: """contacts.search contacts.add calendar.events calendar.add reminders.list reminders.add photos.latest
        motion.activity motion.pedometer health.summary""",
    _P.SYSTEM: """system.run system.run.prepare system.which system.execApprovals.get system.execApprovals.set
        fs.listDir dir.fetch dir.list file.create file.fetch file.stat file.write browser.proxy browser.proxy.upload.v1
        desktop.stream computer.act mobile.ui.observe mobile.ui.act mcp.tools.call.v1 ollama.chat ollama.models
        terminal.upload workspace.memory workspace.skills""",
}

COMMANDS: dict[str, Permission] = {name: grant for grant, names in _COMMANDS_OF.items() for name in names.split()}
"""Every command that may reach a node, with the permission it needs.

Reading and answering what other apps notify, the call log, text messages and the list of apps are in nobody's table:
no permission is said to grant them.
"""

CAPABILITIES: dict[str, Permission] = {
    "screen": _P.SCREEN,
    "canvas": _P.SCREEN,
    "camera": _P.CAMERA,
    "voiceWake": _P.VOICE,
    "voice": _P.VOICE,
    "talk": _P.VOICE,
    "location": _P.LOCATION,
    "notifications": _P.NOTIFY,
    "watch": _P.NOTIFY,
    "device": _P.DEVICE,
    "photos": _P.PERSONAL,
    "contacts": _P.PERSONAL,
    "calendar": _P.PERSONAL,
    "reminders": _P.PERSONAL,
    "motion": _P.PERSONAL,
    "health": _P.PERSONAL,
    "system": _P.SYSTEM,
    "file": _P.SYSTEM,
    "browser": _P.SYSTEM,
    "mcp": _P.SYSTEM,
    "local-inference": _P.SYSTEM,
}
"""What a node says it is able to do in general (`caps`), with the permission that lets the gateway know."""

OS_PERMISSIONS: dict[str, Permission] = {
    "camera": _P.CAMERA,
    "camera.capture": _P.CAMERA,
    "screenRecording": _P.CAMERA,
    "microphone": _P.VOICE,
    "speechRecognition": _P.VOICE,
    "location": _P.LOCATION,
    "notifications": _P.NOTIFY,
    "photos": _P.PERSONAL,
    "contacts": _P.PERSONAL,
    "calendar": _P.PERSONAL,
    "reminders": _P.PERSONAL,
    "motion": _P.PERSONAL,
    "accessibility": _P.SYSTEM,
}
"""What the phone's operating system has allowed the app (`permissions` of `connect`), likewise."""

FOREGROUND_FAMILIES = ("screen.", "canvas.", "camera.", "talk.")
"""Commands that need the app in the foreground (design §11)."""

SYSTEM_CLASS = frozenset(
    {
        "system.run",
        "system.run.prepare",
        "system.which",
        "browser.proxy",
        "browser.proxy.upload.v1",
        "fs.listDir",
        "system.execApprovals.get",
        "system.execApprovals.set",
        "terminal.upload",
    }
)
"""Commands whose approval at the gateway needs `operator.admin` (gateway-protocol §4)."""


class UnknownPermissionError(ValueError):
    """A word that is no permission.

    Attributes:
        word: what was asked for.
    """

    def __init__(self, word: str) -> None:
        super().__init__(f"{word!r} is no permission; there are: {', '.join(sorted(Permission))}")
        self.word = word


def read_permissions(words: Iterable[str]) -> Permissions:
    """Reads permissions by their exact names; an empty list grants nothing.

    Raises:
        UnknownPermissionError: a word is no permission.
    """
    known = {permission.value: permission for permission in Permission}
    out: set[Permission] = set()
    for word in words:
        if word not in known:
            raise UnknownPermissionError(word)
        out.add(known[word])
    return frozenset(out)


def needs_foreground(command: str) -> bool:
    """Tells whether a command cannot be done while the app is in the background."""
    return command.startswith(FOREGROUND_FAMILIES)
