"""An independent statement of who may do what, written from the design, and a decision over it in a few lines."""

from __future__ import annotations

import unicodedata

from acl.model import Call, Direction, Policy, Subject

EVERYONE = "everyone"

# (direction, names, permissions of which one is needed, operator scope)
TABLE: list[tuple[str, str, str, str]] = [
    ("from-node", "health node.event node.list node.invoke.result node.invoke.progress", EVERYONE, ""),
    ("from-node", "node.pending.pull node.pending.ack node.pending.drain node.pluginSurface.refresh", EVERYONE, ""),
    ("from-node", "node.pluginTools.update node.skills.update node.runnerInventory.update skills.bins", EVERYONE, ""),
    ("from-node", "node.invoke", "nodes", ""),
    ("from-node", "agent agent.wait", "voice chat", ""),
    ("from-node", "voicewake.get", "voice", ""),
    ("node-event", "node.presence.alive node.presence.activity node.host.stats node.state", EVERYONE, ""),
    ("node-event", "voice.transcript agent.request", "voice", ""),
    ("node-event", "chat.subscribe chat.unsubscribe", "chat", ""),
    ("node-event", "push.apns.register notifications.changed", "notify", ""),
    ("node-event", "exec.started exec.finished exec.denied", "system", ""),
    ("from-operator", "health", EVERYONE, ""),
    ("from-operator", "gateway.identity.get", "notify", "operator.read"),
    ("from-operator", "chat.history chat.metadata chat.startup config.get users.prefs.get", "chat", "operator.read"),
    ("from-operator", "agents.list agent.identity.get models.list commands.list talk.config", "chat", "operator.read"),
    ("from-operator", "sessions.list sessions.preview sessions.resolve sessions.subscribe", "chat", "operator.read"),
    ("from-operator", "sessions.messages.subscribe sessions.messages.unsubscribe", "chat", "operator.read"),
    ("from-operator", "sessions.branches.list sessions.groups.list progressCard.get", "chat", "operator.read"),
    ("from-operator", "tasks.list artifacts.download skills.status tools.effective", "chat", "operator.read"),
    ("from-operator", "voicewake.get", "chat", "operator.read"),
    ("from-operator", "chat.send chat.abort agent.wait", "chat", "operator.write"),
    ("to-node", "screen.show screen.hide screen.navigate screen.eval screen.snapshot screen.setMode", "screen", ""),
    ("to-node", "canvas.present canvas.hide canvas.navigate canvas.eval canvas.snapshot", "screen", ""),
    ("to-node", "canvas.a2ui.push canvas.a2ui.pushJSONL canvas.a2ui.reset", "screen", ""),
    ("to-node", "talk.ptt.start talk.ptt.stop talk.ptt.cancel talk.ptt.once", "voice", ""),
    ("to-node", "camera.list camera.snap camera.clip camera.ptz.control camera.ptz.status", "camera", ""),
    ("to-node", "screen.record", "camera", ""),
    ("to-node", "location.get", "location", ""),
    ("to-node", "system.notify chat.push watch.notify", "notify", ""),
    ("to-node", "device.info device.status device.permissions device.health watch.status", "device", ""),
    ("to-node", "contacts.search contacts.add calendar.events calendar.add reminders.list", "personal", ""),
    ("to-node", "reminders.add photos.latest motion.activity motion.pedometer health.summary", "personal", ""),
    ("to-node", "system.run system.run.prepare system.which system.execApprovals.get", "system", ""),
    ("to-node", "system.execApprovals.set fs.listDir dir.fetch dir.list file.create file.fetch", "system", ""),
    ("to-node", "file.stat file.write browser.proxy browser.proxy.upload.v1 desktop.stream", "system", ""),
    ("to-node", "computer.act mobile.ui.observe mobile.ui.act mcp.tools.call.v1 ollama.chat", "system", ""),
    ("to-node", "ollama.models terminal.upload workspace.memory workspace.skills", "system", ""),
    ("event-to-node", "node.invoke.cancel node.invoke.input", EVERYONE, ""),
    ("event-to-node", "voicewake.changed voicewake.routing.changed", "voice", ""),
    ("event-to-node", "chat agent", "chat", ""),
    ("event-to-operator", "chat agent", "chat", "operator.read"),
    ("event-to-operator", "voicewake.changed voicewake.routing.changed", "voice", "operator.read"),
]
LISTED: dict[tuple[Direction, str], tuple[str, str]] = {
    (Direction(way), name): (grants, scope) for way, names, grants, scope in TABLE for name in names.split()
}
# Of the addresses tried, where a screen may be sent: the host for a list of hosts, and what has to be allowed.
PLACES = {
    "https://ok.example/": ("ok.example", ""),
    "http://ok.example/": ("ok.example", "http"),
    "https://127.1/": ("127.0.0.1", "private"),
    "canvas://main/": ("", ""),
}
TURN_EVENTS = ("voice.transcript", "agent.request", "notifications.changed")
TURNS = {("from-node", "agent"), *(("node-event", name) for name in TURN_EVENTS)}
# What is about a session: "must" means the main one when none is named, "may" means none then.
SESSIONED: dict[tuple[str, str], str] = {
    **dict.fromkeys((("node-event", f"chat.{verb}subscribe") for verb in ("", "un")), "may"),
    **dict.fromkeys((("from-operator", f"chat.{verb}") for verb in ("history", "startup", "send", "abort")), "must"),
    **dict.fromkeys((("from-operator", f"sessions.messages.{verb}subscribe") for verb in ("", "un")), "must"),
    **dict.fromkeys((("from-operator", f"sessions.{verb}") for verb in ("list", "preview", "resolve")), "may"),
    **dict.fromkeys((("from-operator", name) for name in ("chat.metadata", "commands.list")), "may"),
    ("from-operator", "agent.identity.get"): "may",
    **dict.fromkeys((("from-operator", name) for name in ("tasks.list", "skills.status")), "may"),
    **dict.fromkeys((("from-operator", name) for name in ("sessions.branches.list", "progressCard.get")), "must"),
    **dict.fromkeys((("from-operator", name) for name in ("artifacts.download", "tools.effective")), "must"),
    **dict.fromkeys(((f"event-to-{who}", name) for who in ("node", "operator") for name in ("chat", "agent")), "may"),
}


def allowed(policy: Policy, subject: Subject, call: Call) -> bool:
    """Return what `decide` has to answer, as the design says it."""
    if (call.direction, call.name) not in LISTED:
        return False
    grants, scope = LISTED[call.direction, call.name]
    mine = [r for r in policy.rules if (r.direction, r.name) == (call.direction, call.name)]
    said = [r.allow for r in mine if r.node in (None, subject.node_id)]
    held = {str(permission) for permission in subject.permissions}
    if not (said[0] if said else grants == EVERYONE or held.intersection(grants.split())):
        return False
    if scope and scope not in subject.scopes:
        return False
    way = (str(call.direction), call.name)
    if call.url is not None and not _may_go(policy, call.url):
        return False
    if way == ("from-node", "node.invoke"):
        return _may_invoke(policy, subject, call)
    open_sessions = {_session(key) for key in policy.agent_sessions}
    if way in TURNS:
        return _session(call.session) in open_sessions and (policy.agent_commands or not is_order(call.text or ""))
    if SESSIONED.get(way) == "must" or (SESSIONED.get(way) == "may" and call.session):
        return _session(call.session) in open_sessions
    return True


def _may_go(policy: Policy, url: str) -> bool:
    rules = policy.navigation
    host, needs = PLACES.get(url, ("", "a miracle"))
    held = {"", *(["http"] if rules.allow_http else []), *(["private"] if rules.allow_private else [])}
    return needs in held and (not host or not rules.hosts or host in rules.hosts)


def _may_invoke(policy: Policy, subject: Subject, call: Call) -> bool:
    if call.target is None or call.target not in {subject.node_id, *policy.invoke_targets}:
        return False
    for pattern in policy.invoke_commands:
        family = pattern.removesuffix("*") if pattern.endswith(".*") else None
        if family is None and call.command == pattern:
            return True
        if family and (Direction.TO_NODE, call.command) in LISTED and str(call.command).startswith(family):
            return True
    return False


def _session(key: str | None) -> str:
    return "main" if key in (None, "", "agent:main:main") else str(key)


def is_order(text: str) -> bool:
    """Tell whether the first character that anybody sees is a slash or an exclamation mark, of any form."""
    seen = [c for c in text if unicodedata.category(c) not in UNSEEN and c not in BLANK_LETTERS]
    return bool(seen) and unicodedata.normalize("NFKC", seen[0])[0] in "/!"


UNSEEN = {"Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me"}
BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
