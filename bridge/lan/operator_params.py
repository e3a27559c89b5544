"""Pure: the members that each method of an operator socket may carry to the gateway, and their types.

Left out on purpose: where a message is delivered or said to come from, who vouches for it, secrets. What is not listed
is dropped; what is listed and has another type is refused, so that nothing invalid reaches the gateway.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.lan.node_calls import ParamsError
from gateway_client.frames import Json, JsonObject

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
}
"""Members without which the gateway would refuse the call."""

_BOOLEANS = frozenset(
    """preserveSideRuns suppressCommandInterpretation includeProviderCapabilities preparedOnly includeArgs
    requireLastInteraction includeGlobal includeUnknown configuredAgentsOnly includeDerivedTitles includeLastMessage
    allowMissing""".split()  # noqa: SIM905 - one word a line would hide the list
)
_COUNTS = frozenset({"limit", "offset", "pendingBefore", "maxChars", "timeoutMs", "activeMinutes"})
_WORDS = frozenset({"keys", "inputRunIds"})
_OBJECTS = frozenset({"intent"})
_LISTS = frozenset({"attachments"})
# Unions in the schema: any of these may be a word, a flag or null.
_CHOICES = frozenset({"fastMode", "archived", *_EXPECTATIONS.split()})
_TEXTS_MAY_BE_EMPTY = frozenset({"message", "search"})


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
        if not _kind_of(name)(value):
            raise ParamsError(f"invalid {method} params: at {name}")
    return params


def _kind_of(name: str) -> Callable[[Json], bool]:
    if name in _BOOLEANS:
        return lambda value: isinstance(value, bool)
    if name in _COUNTS:
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10_000_000
    if name in _WORDS:
        return lambda value: isinstance(value, list) and len(value) <= MAX_KEYS and all(map(_is_word, value))
    if name in _OBJECTS:
        return lambda value: isinstance(value, dict)
    if name in _LISTS:
        return lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value)
    if name in _CHOICES:
        return lambda value: value is None or isinstance(value, str | bool | int | dict)
    return lambda value: isinstance(value, str) and (value != "" or name in _TEXTS_MAY_BE_EMPTY)


def _is_word(value: Json) -> bool:
    return isinstance(value, str) and value != ""
