"""Pure: the spellings of a session's key. Events carry the gateway's own; a phone may ask by a shorter one.

The gateway reads `work` as `agent:<default agent>:work`, and `main` as whatever its owner made the main session
(gateway-protocol §7). What it made of them stands in its hello-ok.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acl.model import MAIN_SESSION
from gateway_client.frames import Json, object_of, text_of

MAIN_AGENT = "main"
_ALONE = frozenset({"global", "unknown"})  # sessions of no agent


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """How a gateway spells its sessions.

    Attributes:
        agent: whose sessions a key without an agent names.
        main_key: another word for the main session.
        main_session: the main session's own spelling.
    """

    agent: str = MAIN_AGENT
    main_key: str = MAIN_SESSION
    main_session: str = f"agent:{MAIN_AGENT}:{MAIN_SESSION}"

    def canonical(self, key: str | None) -> str:
        """Returns the gateway's spelling of a key; None and empty mean the main session."""
        words = (key or "").strip()
        if words.startswith("agent:"):
            short = words in (f"agent:{self.agent}:{MAIN_SESSION}", f"agent:{self.agent}:{self.main_key}")
            return self.main_session if short or words == f"agent:{MAIN_AGENT}:{MAIN_SESSION}" else words
        if not words or words.lower() in (MAIN_SESSION, self.main_key):
            return self.main_session
        return words.lower() if words.lower() in _ALONE else f"agent:{self.agent}:{words.lower()}"


FRESH = SessionKeys()
"""A gateway of which nobody has changed anything."""


def session_keys(gateway_hello: Mapping[str, Json]) -> SessionKeys:
    """Reads how the gateway of a hello-ok spells its sessions; what it does not say is as at a fresh gateway."""
    defaults = object_of(object_of(gateway_hello.get("snapshot")).get("sessionDefaults"))
    agent = text_of(defaults, "defaultAgentId") or MAIN_AGENT
    main_key = text_of(defaults, "mainKey") or MAIN_SESSION
    return SessionKeys(agent, main_key, text_of(defaults, "mainSessionKey") or f"agent:{agent}:{main_key}")


def of_agent(key: str, agent: str | None) -> str:
    """Returns the key that a call or an event names together with its `agentId`, which tells whose it is."""
    return key if agent is None or key.startswith("agent:") else f"agent:{agent}:{key or MAIN_SESSION}"
