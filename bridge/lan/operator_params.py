"""Pure: the members that each method of an operator socket may carry to the gateway, and their types.

Left out on purpose: where a message is delivered or said to come from, who vouches for it, secrets. What is not listed
is dropped; what is listed and has another type is refused, so that nothing invalid reaches the gateway.
"""

from __future__ import annotations

from bridge.lan.member_kinds import Kind, count, either, flag, list_of, map_of, null, number, one_of, record, text
from bridge.lan.node_calls import ParamsError
from gateway_client.frames import MAX_SAFE_INTEGER, Json, JsonObject, object_of

MAX_KEYS = 256  # words of one list: of each session that `sessions.preview` names it is decided by itself
_EXPECTATIONS = "expectedLeafEntryId expectedSessionRoutingContract expectedPermissionMode expectedToolOverrides"

PARAMS: dict[str, frozenset[str]] = {
    method: frozenset(names.split())
    for method, names in {
        "gateway.identity.get": "",
        "chat.history": """sessionKey agentId cursor limit offset pendingBefore inputRunIds messageId sessionId
            maxChars""",
        "chat.metadata": "agentId sessionKey",
        "chat.startup": "agentId sessionKey limit maxChars",
        "chat.send": f"""sessionKey agentId sessionId message intent thinking fastMode replyToId attachments timeoutMs
            suppressCommandInterpretation idempotencyKey {_EXPECTATIONS}""",
        "chat.abort": "sessionKey agentId runId preserveSideRuns",
        "config.get": "",
        "users.prefs.get": "keys",
        "agents.list": "",
        "agent.identity.get": "agentId sessionKey",
        "agent.wait": "runId timeoutMs",
        "models.list": "agentId includeProviderCapabilities preparedOnly view",
        "commands.list": "sessionKey agentId provider scope includeArgs",
        "talk.config": "",
        "sessions.list": """limit offset activeMinutes requireLastInteraction sortBy includeGlobal includeUnknown
            configuredAgentsOnly includeDerivedTitles includeLastMessage label agentId search archived""",
        "sessions.preview": "keys limit maxChars",
        "sessions.resolve": "key sessionId label shortId slugHint agentId includeGlobal includeUnknown allowMissing",
        "sessions.subscribe": "",
        "sessions.messages.subscribe": "key agentId",
        "sessions.messages.unsubscribe": "key agentId",
        "sessions.branches.list": "sessionKey agentId",
        "sessions.groups.list": "",
        "tasks.list": "status agentId sessionKey limit cursor",
        "progressCard.get": "sessionKey",
        "artifacts.download": "sessionKey runId taskId agentId artifactId",
        "skills.status": "agentId sessionKey",
        "tools.effective": "agentId sessionKey",
        "voicewake.get": "",
    }.items()
}
"""Allowed members by method; a test holds the methods to the rules of `acl` and the members to the official schema."""

REQUIRED: dict[str, frozenset[str]] = {
    "chat.history": frozenset({"sessionKey"}),
    "chat.send": frozenset({"sessionKey", "message", "idempotencyKey"}),
    "chat.abort": frozenset({"sessionKey"}),
    "agent.wait": frozenset({"runId"}),
    "sessions.preview": frozenset({"keys"}),
    "sessions.messages.subscribe": frozenset({"key"}),
    "sessions.messages.unsubscribe": frozenset({"key"}),
    "sessions.branches.list": frozenset({"sessionKey"}),
    "progressCard.get": frozenset({"sessionKey"}),
    "artifacts.download": frozenset({"artifactId", "sessionKey"}),
    "tools.effective": frozenset({"sessionKey"}),
}
"""Members without which the gateway would refuse the call, or (`artifacts.download`) look for its session by itself."""

_FLAGS = """preserveSideRuns suppressCommandInterpretation includeProviderCapabilities preparedOnly includeArgs
    requireLastInteraction includeGlobal includeUnknown configuredAgentsOnly includeDerivedTitles includeLastMessage
    allowMissing"""
_TOOLS = {
    "mcpServers": map_of(flag),
    "mcpToolsDeny": map_of(list_of(text(), MAX_KEYS)),
    "skills": map_of(flag),
    "webSearch": flag,
}
_ATTACHMENT = {
    **dict.fromkeys(("type", "mimeType", "fileName", "content"), text(empty=True)),
    **dict.fromkeys(("sizeBytes", "durationMs", "width", "height"), number),
}
_STATUS = one_of("queued", "running", "completed", "failed", "cancelled", "timed_out")
_GOAL = {"kind": one_of("session-goal-start"), "version": count(1, 1), "issuedAtMs": count(0, MAX_SAFE_INTEGER)}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_FLAGS.split(), flag),
    **dict.fromkeys(("message", "search", "thinking", "cursor"), text(empty=True)),
    **dict.fromkeys(("sessionKey", "key", "label"), text(512)),
    **dict.fromkeys(("offset", "timeoutMs"), count()),
    **dict.fromkeys(("limit", "pendingBefore", "activeMinutes", "maxChars"), count(1)),
    "keys": list_of(text(), MAX_KEYS, 1),
    "inputRunIds": list_of(text(256), 50, 1, distinct=True),
    "attachments": list_of(map_of(lambda _: True), 64),
    "intent": record(_GOAL, *_GOAL),
    "view": one_of("default", "configured", "provider-config", "all"),
    "scope": one_of("text", "native", "both"),
    "sortBy": one_of("updatedAt", "lastInteractionAt"),
    "status": either(_STATUS, list_of(_STATUS, MAX_KEYS)),
    "archived": either(flag, one_of("all")),
    "fastMode": either(flag, one_of("auto")),
    "expectedLeafEntryId": either(text(), null),
    "expectedPermissionMode": either(one_of("read-only", "guarded", "workspace", "full"), null),
    "expectedToolOverrides": either(record(_TOOLS), null),
}
"""What each member has to be, by its name; what is not listed is a text."""
_OWN_KINDS: dict[tuple[str, str], Kind] = {
    ("chat.history", "limit"): count(1, 1_000),
    ("chat.startup", "limit"): count(1, 1_000),
    ("chat.history", "maxChars"): count(1, 500_000),
    ("chat.startup", "maxChars"): count(1, 500_000),
    ("sessions.preview", "maxChars"): count(20),
    ("tasks.list", "limit"): count(1, 500),
    ("tasks.list", "cursor"): text(512, empty=True),
}
_TEXT = text()


def read_params(method: str, given: JsonObject) -> JsonObject:
    """Returns the listed members of a call.

    Raises:
        ParamsError: one has another type than the schema says, or is missing.
    """
    params: JsonObject = {name: given[name] for name in PARAMS[method] if name in given}
    missing = REQUIRED.get(method, frozenset()) - params.keys()
    if missing:
        raise ParamsError(f"invalid {method} params: {', '.join(sorted(missing))} is missing")
    for name, value in params.items():
        kind = _OWN_KINDS.get((method, name)) or _KINDS.get(name, _TEXT)
        if not kind(value):
            raise ParamsError(f"invalid {method} params: at {name}")
    if "attachments" in params:
        params["attachments"] = [_attachment(one) for one in _list(params["attachments"])]
    return params


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _attachment(value: Json) -> JsonObject:
    """One attachment, rebuilt from the members that the gateway reads.

    Raises:
        ParamsError: one of them has another type.
    """
    kept: JsonObject = {name: one for name, one in object_of(value).items() if name in _ATTACHMENT}
    if not record(_ATTACHMENT)(kept):
        raise ParamsError("invalid chat.send params: at attachments")
    return kept
