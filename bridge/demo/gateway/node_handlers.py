"""One function per method of the role node: takes the gateway, the connection and checked parameters."""

from __future__ import annotations

from collections.abc import Callable

from bridge.demo.gateway.core import Core, new_id, now_ms
from bridge.demo.gateway.invokes import CHUNK_BYTES, read_answer
from bridge.demo.gateway.model import Client
from bridge.demo.gateway.node_events import Alive, Follow, HostStats, StartTurn, read_payload
from bridge.demo.gateway.nodes import Seen
from bridge.demo.gateway.refusals import invalid, pairing_changed, unavailable
from bridge.demo.gateway.sessions import canonical
from gateway_client.frames import Json, JsonObject

Handler = Callable[[Core, Client, JsonObject], Json]
"""(gateway, who asks, checked parameters) -> payload; raises Refusal."""


def _node_event(core: Core, client: Client, params: JsonObject) -> Json:
    session = core.nodes.of(client)
    if session is None or client.node_id not in core.surfaces.approved:
        raise pairing_changed()
    permissions = session.effective.permissions
    name = str(params["event"])
    answer, effect = core.node_events.judge(client.node_id, name, read_payload(params), permissions, now_ms())
    match effect:
        case StartTurn(text=text, session_key=key):
            core.start_turn(new_id(), key, text)
        case Follow(session_key=key, on=True):
            client.subscriptions.add(canonical(key))
        case Follow(session_key=key):
            client.subscriptions.discard(canonical(key))
        case HostStats(stats=stats):
            session.host_stats = {**stats, "updatedAtMs": now_ms()}
        case Alive(reason=reason):
            core.nodes.seen[client.node_id] = Seen(now_ms(), reason, client.connected_at_ms)
        case None:
            pass
    return answer


def _invoke_result(core: Core, client: Client, params: JsonObject) -> Json:
    _check_node(client, params)
    known = core.settle(client, str(params["id"]), read_answer(params))
    return {"ok": True} if known else {"ok": True, "ignored": True}


def _invoke_progress(core: Core, client: Client, params: JsonObject) -> Json:
    _check_node(client, params)
    if len(str(params["chunk"]).encode()) > CHUNK_BYTES:
        raise invalid("progress chunk too large")
    return {"ok": True, "ignored": True}  # nobody here asks for progress


def _check_node(client: Client, params: JsonObject) -> None:
    if params["nodeId"] != client.node_id:
        raise invalid("nodeId mismatch")


def _approved(core: Core, client: Client, message: str = "node pairing changed while invocation was active") -> None:
    if client.node_id not in core.surfaces.approved:
        raise pairing_changed(message)


def _pending_pull(core: Core, client: Client, params: JsonObject) -> Json:
    _approved(core, client)
    return {
        "nodeId": client.node_id,
        "actions": [action.as_json() for action in core.foreground.of(client.node_id, now_ms())],
    }


def _pending_ack(core: Core, client: Client, params: JsonObject) -> Json:
    _approved(core, client)
    given = params["ids"]
    ids = list(dict.fromkeys(str(item).strip() for item in given)) if isinstance(given, list) else []
    left = core.foreground.ack(client.node_id, ids, now_ms())
    return {"nodeId": client.node_id, "ackedIds": [*ids], "remainingCount": left}


def _pending_drain(core: Core, client: Client, params: JsonObject) -> Json:
    _approved(core, client, "node pairing changed while pending work was active")
    status: JsonObject = {"id": "baseline-status", "type": "status.request", "priority": "default"}
    item: JsonObject = {**status, "createdAtMs": now_ms(), "expiresAtMs": None}
    return {"nodeId": client.node_id, "revision": 0, "items": [item], "hasMore": False}


def _skills_update(core: Core, client: Client, params: JsonObject) -> Json:
    return {"nodeId": client.node_id, "skills": params["skills"]}


def _plugin_tools_update(core: Core, client: Client, params: JsonObject) -> Json:
    return {"nodeId": client.node_id, "tools": params["tools"]}


def _runner_inventory(core: Core, client: Client, params: JsonObject) -> Json:
    if client.client.get("id") != "node-host":
        raise invalid("unknown nodeId")
    _approved(core, client)
    return {"nodeId": client.node_id}


def _plugin_surface(core: Core, client: Client, params: JsonObject) -> Json:
    surface = params.get("surface")
    if not isinstance(surface, str) or not surface.strip():
        raise invalid("surface required")
    raise unavailable(f"{surface.strip()} plugin surface unavailable")


NODE_HANDLERS: dict[str, Handler] = {
    "node.event": _node_event,
    "node.invoke.result": _invoke_result,
    "node.invoke.progress": _invoke_progress,
    "node.pending.pull": _pending_pull,
    "node.pending.ack": _pending_ack,
    "node.pending.drain": _pending_drain,
    "node.skills.update": _skills_update,
    "node.pluginTools.update": _plugin_tools_update,
    "node.runnerInventory.update": _runner_inventory,
    "node.pluginSurface.refresh": _plugin_surface,
    "skills.bins": lambda core, client, params: {"bins": []},
}
