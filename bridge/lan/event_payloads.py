"""Pure: events of the gateway, rebuilt from the members that phones read: what else the gateway says stays here."""

from __future__ import annotations

from gateway_client.frames import Event, JsonObject, object_of

_MEMBERS: dict[str, frozenset[str]] = {
    event: frozenset(names.split())
    for event, names in {
        "chat": """runId sessionKey agentId spawnedBy seq state phase message deltaText replace usage stopReason yielded
            errorMessage errorKind errorDetail""",
        "agent": "runId sessionKey agentId spawnedBy seq stream ts isHeartbeat data",
        "voicewake.changed": "triggers",
        "voicewake.routing.changed": "config",
    }.items()
}


def rebuilt(event: Event) -> Event:
    """Returns the event with its known members and without `seq`: what was filtered must not look like a gap."""
    members = _MEMBERS.get(event.event, frozenset())
    payload: JsonObject = {name: value for name, value in object_of(event.payload).items() if name in members}
    return Event(event.event, payload)
