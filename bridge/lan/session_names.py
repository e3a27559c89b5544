"""Pure: which session a call or an event is about, in the spelling that the policy compares (gateway-protocol §6).

The gateway names its main session in its hello-ok, and phones use that name; a member `agentId` moves a key to another
agent's session. Both are told apart here, so that a key means one session and not a spelling.
"""

from __future__ import annotations

from collections.abc import Mapping

from acl.model import MAIN_SESSION
from gateway_client.frames import Json, JsonObject, object_of, text_of

_MAIN_AGENT = "main"


def named_session(fields: JsonObject, gateway_hello: Mapping[str, Json]) -> str | None:
    """Returns the session that these members name; None: none.

    Args:
        fields: of a call or an event: `sessionKey` or `key`, and `agentId`.
        gateway_hello: the gateway's hello-ok, which says what it calls its main session; may be empty.
    """
    key, agent = text_of(fields, "sessionKey", "key"), text_of(fields, "agentId")
    return None if key is None else plain_session(key, agent, gateway_hello)


def plain_session(key: str, agent: str | None, gateway_hello: Mapping[str, Json]) -> str:
    """Returns the one spelling of a session's key.

    Args:
        key: as given.
        agent: the agent that was named beside it; None: none.
        gateway_hello: as for `named_session`.
    """
    defaults = object_of(object_of(gateway_hello.get("snapshot")).get("sessionDefaults"))
    own_agent = text_of(defaults, "defaultAgentId") or _MAIN_AGENT
    if agent is not None and agent != own_agent:
        # A key of another agent's, or one that contradicts itself: whole, so that it is none that anybody listed.
        return key if key.startswith(f"agent:{agent}:") else f"agent:{agent}:{key}"
    mains = {text_of(defaults, "mainSessionKey"), text_of(defaults, "mainKey"), f"agent:{own_agent}:{MAIN_SESSION}"}
    return MAIN_SESSION if key in mains else key
