"""Pure: which commands a gateway admits from which platform (gateway-protocol §11.2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from gateway_client.frames import JsonObject

_DEVICE = ("device.info", "device.status")
_PERSONAL = (
    "contacts.search", "calendar.events", "reminders.list", "photos.latest", "motion.activity", "motion.pedometer",
)  # fmt: skip
_UNKNOWN = ("camera.list", "location.get", "system.notify")
_DESKTOP = (
    "system.run", "system.run.prepare", "system.which", "system.execApprovals.get", "system.execApprovals.set",
    "fs.listDir", "terminal.upload", "system.notify", "browser.proxy", "browser.proxy.upload.v1", "mcp.tools.call.v1",
    "screen.snapshot", "desktop.stream", "computer.act",
)  # fmt: skip
_DEFAULTS: dict[str, tuple[str, ...]] = {
    "ios": (*_UNKNOWN, *_DEVICE, *_PERSONAL),
    "android": (
        *_UNKNOWN, *_DEVICE, *_PERSONAL, "notifications.list", "notifications.actions", "device.permissions",
        "device.health", "device.apps", "callLog.search", "mobile.ui.observe", "mobile.ui.act",
    ),
    "macos": (*_UNKNOWN, *_DEVICE, *_PERSONAL, "camera.ptz.status", "device.apps", *_DESKTOP),
    "windows": (*_UNKNOWN, *_DEVICE, *_DESKTOP),
    "linux": ("camera.list", "location.get", *_DESKTOP),
    "watchos": (*_DEVICE, "system.notify"),
    "unknown": _UNKNOWN,
}  # fmt: skip
_TALK = ("talk.ptt.start", "talk.ptt.stop", "talk.ptt.cancel", "talk.ptt.once")
_WATCH = ("watch.status", "watch.notify")
DANGEROUS = frozenset(
    {
        "camera.snap", "camera.clip", "camera.ptz.control", "screen.record", "contacts.add", "calendar.add",
        "reminders.add", "sms.send", "sms.search", "health.summary",
    }
)  # fmt: skip
ADMIN_INVOKE = frozenset({"browser.proxy", "browser.proxy.upload.v1", "fs.listDir", "terminal.upload"})
ADMIN_APPROVE = ADMIN_INVOKE | {
    "system.run", "system.run.prepare", "system.which", "system.execApprovals.get", "system.execApprovals.set",
}  # fmt: skip
_FAMILIES = {
    "camera": {"camera.list", "camera.ptz.status", "camera.snap", "camera.clip", "camera.ptz.control"},
    "computer": {"computer.act"},
    "location": {"location.get"},
    "screen": {"screen.snapshot", "desktop.stream", "screen.record"},
}
_LABELS = (
    (re.compile(r"(?:ios|ipados) \d+(?:\.\d+){0,2}"), re.compile(r"iphone|ipad|ios"), "ios"),
    (re.compile(r"watchos \d+(?:\.\d+){0,2}"), re.compile(r"apple watch|watchos"), "watchos"),
    (re.compile(r"macos \d+(?:\.\d+){0,2}"), re.compile(r"mac"), "macos"),
    (re.compile(r"android \d+(?: \(sdk \d+\))?"), re.compile(r"android"), "android"),
    (re.compile(r"ios"), re.compile(r"|iphone|ipad|ios"), "ios"),
    (re.compile(r"android"), re.compile(r"|android"), "android"),
    (re.compile(r"macos"), re.compile(r"mac"), "macos"),
    (re.compile(r"windows"), re.compile(r"windows"), "windows"),
    (re.compile(r"linux"), re.compile(r"linux"), "linux"),
    (re.compile(r"watchos"), re.compile(r"apple watch|watchos"), "watchos"),
)


def _folded(value: object) -> str:
    spread = unicodedata.normalize("NFKD", str(value or "").strip())
    return "".join(c for c in spread if not unicodedata.category(c).startswith("M")).lower()


def platform_class(client: JsonObject) -> str:
    """Returns ios, android, macos, windows, linux, watchos or unknown, from `platform` and `deviceFamily`."""
    platform, family = _folded(client.get("platform")), _folded(client.get("deviceFamily"))
    for label, families, name in _LABELS:
        if label.fullmatch(platform):
            return name if families.fullmatch(family) else "unknown"
    return "unknown"


def allowed_commands(
    client: JsonObject, caps: Sequence[str], commands: Sequence[str], extra: Iterable[str]
) -> frozenset[str]:
    """Returns what a node of this platform may offer; `extra` is `gateway.nodes.commands.allow`."""
    name = platform_class(client)
    talks = "talk" in caps or any(command.lower().startswith("talk.") for command in commands)
    watch = _WATCH if name == "ios" and _folded(client.get("deviceFamily")) == "iphone" else ()
    return frozenset((*_DEFAULTS[name], *watch, *(_TALK if talks else ()), *(item.strip() for item in extra)))


def admitted(declared: Sequence[str], allowed: frozenset[str]) -> list[str]:
    """Returns the declared commands that policy lets pass, in order, each once."""
    return [name for name in dict.fromkeys(item.strip() for item in declared) if name in allowed]


def fulfilled_caps(caps: Sequence[str], commands: Sequence[str], withheld: Sequence[str]) -> list[str]:
    """Returns the capabilities without those whose commands were all withheld."""
    kept = []
    for cap in dict.fromkeys(item.strip() for item in caps):
        family = _FAMILIES.get(cap, set())
        if not family.intersection(withheld) or family.intersection(commands):
            kept.append(cap)
    return [cap for cap in kept if cap]


def approval_scopes(commands: Sequence[str]) -> tuple[str, ...]:
    """Returns the scopes that approving these commands needs."""
    if ADMIN_APPROVE.intersection(commands):
        return ("operator.pairing", "operator.admin")
    return ("operator.pairing", "operator.write") if commands else ("operator.pairing",)
