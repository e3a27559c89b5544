"""Pure: which session a call or an event is about, in the spelling that the policy compares (gateway-protocol §6).

The gateway names its main session in its hello-ok, and phones use that name; a member `agentId` moves a key to another
agent's session. Both are told apart here, so that a key means one session and not a spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acl.model import MAIN_SESSION, canonical_session
from gateway_client.frames import Json, JsonObject, object_of, text_of

_MAIN_AGENT = "main"
_ALONE = frozenset({"global", "unknown"})  # sessions of no agent


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
        return _whole(key if key.startswith(f"agent:{agent}:") else f"agent:{agent}:{key}", own_agent)
    mains = {text_of(defaults, "mainSessionKey"), text_of(defaults, "mainKey"), f"agent:{own_agent}:{MAIN_SESSION}"}
    return MAIN_SESSION if key in mains else _whole(key, own_agent)


def _whole(key: str, own_agent: str) -> str:
    """Returns a key so that the policy does not take the main session of an agent `main` beside the default one for it.

    The policy reads `agent:main:main` as `main`. Whether there is such an agent, the gateway does not say.
    """
    is_anothers = own_agent != _MAIN_AGENT and canonical_session(key) != key
    return f"agent:{_MAIN_AGENT}:{key}" if is_anothers else key


def told_by_key(fields: JsonObject) -> JsonObject:
    """Returns the members with `agentId` told by `sessionKey`, for a method that has no member for an agent."""
    key, agent = text_of(fields, "sessionKey"), text_of(fields, "agentId")
    return fields if key is None else {**fields, "sessionKey": of_agent(key, agent)}


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """How a gateway spells its sessions.

    Attributes:
        agent: whose sessions a key without an agent names.
        main_key: another word for the main session.
        main_session: the main session's own spelling.
    """

    agent: str = _MAIN_AGENT
    main_key: str = MAIN_SESSION
    main_session: str = f"agent:{_MAIN_AGENT}:{MAIN_SESSION}"

    def canonical(self, key: str | None) -> str:
        """Returns the gateway's spelling of a key; None and empty mean the main session."""
        words = (key or "").strip()
        if words.startswith("agent:"):
            short = words in (f"agent:{self.agent}:{MAIN_SESSION}", f"agent:{self.agent}:{self.main_key}")
            return self.main_session if short or words == f"agent:{_MAIN_AGENT}:{MAIN_SESSION}" else words
        if not words or words.lower() in (MAIN_SESSION, self.main_key):
            return self.main_session
        return words.lower() if words.lower() in _ALONE else f"agent:{self.agent}:{words.lower()}"


FRESH = SessionKeys()
"""A gateway of which nobody has changed anything."""


def session_keys(gateway_hello: Mapping[str, Json]) -> SessionKeys:
    """Reads how the gateway of a hello-ok spells its sessions; what it does not say is as at a fresh gateway."""
    defaults = object_of(object_of(gateway_hello.get("snapshot")).get("sessionDefaults"))
    agent = text_of(defaults, "defaultAgentId") or _MAIN_AGENT
    main_key = text_of(defaults, "mainKey") or MAIN_SESSION
    return SessionKeys(agent, main_key, text_of(defaults, "mainSessionKey") or f"agent:{agent}:{main_key}")


def of_agent(key: str, agent: str | None) -> str:
    """Returns the key that a call or an event names together with its `agentId`, which tells whose it is."""
    return key if agent is None or key.startswith("agent:") else f"agent:{agent}:{key or MAIN_SESSION}"
