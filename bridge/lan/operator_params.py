"""Pure: the members that each method of an operator socket may carry to the gateway.

Left out on purpose: where a message is delivered or said to come from, who vouches for it, secrets. What is not listed
is dropped.
"""

from __future__ import annotations

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
