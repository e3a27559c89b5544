"""One function per method of an operator, and the table of all methods; each returns its payload or refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bridge.demo.gateway.core import Core, now_ms, routing
from bridge.demo.gateway.hello import DEFAULT_TRIGGERS, health
from bridge.demo.gateway.invokes import normalize_result, read_call
from bridge.demo.gateway.methods import satisfies
from bridge.demo.gateway.model import Client
from bridge.demo.gateway.node_handlers import NODE_HANDLERS, Handler
from bridge.demo.gateway.policy import ADMIN_INVOKE
from bridge.demo.gateway.refusals import Refusal, invalid, missing_scope, unavailable
from bridge.demo.gateway.sessions import AGENT, Run, agent_of
from gateway_client.frames import ErrorShape, Json, JsonObject
from gateway_client.identity import DeviceIdentity

Interim = Callable[[JsonObject], None]
"""Sends a first answer; the returned payload is the second."""
SlowHandler = Callable[[Core, Client, JsonObject, Interim], Awaitable[Json]]

WAIT_MS = 30_000  # how long `agent.wait` waits when it does not say


# -- nodes, as an operator sees them


def _node_list(core: Core, client: Client, params: JsonObject) -> Json:
    return {"ts": now_ms(), "nodes": [*core.nodes.rows(core.devices.paired.values(), core.surfaces)]}


def _node_describe(core: Core, client: Client, params: JsonObject) -> Json:
    for row in core.nodes.rows(core.devices.paired.values(), core.surfaces):
        if row["nodeId"] == str(params["nodeId"]).strip():
            return {"ts": now_ms(), **row}
    raise invalid("unknown nodeId")


async def _node_invoke(core: Core, client: Client, params: JsonObject, interim: Interim) -> Json:
    call = read_call(params)
    if call.command in ADMIN_INVOKE and not satisfies(client.scopes, "operator.admin"):
        raise missing_scope("operator.admin")
    return await core.invoke(call)


def _node_pair_list(core: Core, client: Client, params: JsonObject) -> Json:
    return {
        "pending": [request.as_json() for request in reversed(core.surfaces.pending.values())],
        "paired": [approved.as_json() for approved in core.surfaces.approved.values()],
    }


def _node_pair_approve(core: Core, client: Client, params: JsonObject) -> Json:
    approved = core.surfaces.approve(str(params["requestId"]), client.scopes, now_ms())
    session = core.nodes.sessions.get(approved.node_id)
    if session is not None:
        session.effective = session.declared.within(approved.surface)
    request_id = str(params["requestId"])
    payload = core.resolved("node.pair.resolved", request_id, "nodeId", approved.node_id, "approved")
    peer = core.peer_of(session.conn_id) if session else None
    if peer is not None:
        peer.event("node.pair.resolved", payload)
    return {"requestId": request_id, "node": approved.as_json()}


def _node_pair_reject(core: Core, client: Client, params: JsonObject) -> Json:
    request = core.surfaces.reject(str(params["requestId"]))
    core.resolved("node.pair.resolved", request.request_id, "nodeId", request.node_id, "rejected")
    return {"requestId": request.request_id, "nodeId": request.node_id}


def _node_pair_remove(core: Core, client: Client, params: JsonObject) -> Json:
    node_id = str(params["nodeId"]).strip()
    device = core.devices.paired.get(node_id)
    if device is None or "node" not in device.tokens:
        raise invalid("unknown nodeId")
    del device.tokens["node"]
    if not device.tokens:
        core.devices.remove(node_id)
    _forget_node(core, node_id)
    core.resolved("node.pair.resolved", "", "nodeId", node_id, "removed")
    core.disconnect(node_id, "node")
    return {"nodeId": node_id}


def _node_rename(core: Core, client: Client, params: JsonObject) -> Json:
    node_id, name = str(params["nodeId"]).strip(), str(params["displayName"]).strip()
    if not name:
        raise invalid("displayName required")
    device = core.devices.paired.get(node_id)
    if device is None or "node" not in device.tokens:
        raise invalid("unknown nodeId")
    core.nodes.names[node_id] = name
    return {"nodeId": node_id, "displayName": name}


def _forget_node(core: Core, node_id: str) -> None:
    core.surfaces.forget(node_id)
    core.foreground.forget(node_id)
    core.nodes.sessions.pop(node_id, None)
    core.nodes.names.pop(node_id, None)


# -- devices


def _device_pair_list(core: Core, client: Client, params: JsonObject) -> Json:
    return {
        "pending": [request.as_json() for request in reversed(core.devices.pending(now_ms()))],
        "paired": [device.as_json() for device in core.devices.paired.values()],
    }


def _device_pair_approve(core: Core, client: Client, params: JsonObject) -> Json:
    request_id = str(params["requestId"]).strip()
    device = core.devices.approve(request_id, client.scopes, now_ms())
    core.resolved("device.pair.resolved", request_id, "deviceId", device.device_id, "approved")
    return {"requestId": request_id, "device": device.as_json()}


def _device_pair_reject(core: Core, client: Client, params: JsonObject) -> Json:
    request = core.devices.reject(str(params["requestId"]))
    core.resolved("device.pair.resolved", request.request_id, "deviceId", request.device_id, "rejected")
    return {"requestId": request.request_id, "deviceId": request.device_id}


def _device_pair_remove(core: Core, client: Client, params: JsonObject) -> Json:
    device = core.devices.remove(str(params["deviceId"]))
    _forget_node(core, device.device_id)
    core.disconnect(device.device_id)
    return {"deviceId": device.device_id}


# -- the agent


def _check_session(key: str) -> None:
    if agent_of(key) != AGENT:
        raise invalid(f'Agent "{agent_of(key)}" no longer exists in configuration')


async def _agent(core: Core, client: Client, params: JsonObject, interim: Interim) -> Json:
    run_id, key = str(params["idempotencyKey"]), str(params.get("sessionKey") or "main")
    if params.get("agentId", AGENT) != AGENT:
        raise invalid(f'invalid agent params: unknown agent id "{params["agentId"]}"')
    _check_session(key)
    if not str(params["message"]).strip():
        raise unavailable("Message (--message) is required")
    known = core.sessions.runs.get(run_id)
    if known is not None:
        return {"runId": run_id, "status": "in_flight"} if known.status == "running" else _final(known)
    run, task = core.start_turn(run_id, key, str(params["message"]))
    accepted: JsonObject = {"runId": run_id, "sessionKey": run.session_key, "agentId": AGENT}
    interim({**accepted, "status": "accepted", "acceptedAt": run.started_at_ms})
    await asyncio.wait([task])
    return _final(run)


def _final(run: Run) -> Json:
    if run.status != "ok":
        raise Refusal(ErrorShape("UNAVAILABLE", run.text), run.result())
    return run.result()


async def _agent_wait(core: Core, client: Client, params: JsonObject, interim: Interim) -> Json:
    run_id, limit = str(params["runId"]), params.get("timeoutMs")
    task = core.turn_of(run_id)
    if task is not None:
        await asyncio.wait([task], timeout=(limit if isinstance(limit, int | float) else WAIT_MS) / 1000)
    run = core.sessions.runs.get(run_id)
    return run.waited() if run is not None else {"runId": run_id, "status": "timeout"}


def _chat_send(core: Core, client: Client, params: JsonObject) -> Json:
    run_id = str(params["idempotencyKey"])
    if not str(params["message"]).strip() and not params.get("attachments"):
        raise invalid("message or attachment required")
    if params.get("agentId", AGENT) != AGENT:
        raise invalid(f'Unknown agent id "{params["agentId"]}"')
    _check_session(str(params["sessionKey"]))
    known = core.sessions.runs.get(run_id)
    if known is not None:
        return {"runId": run_id, "status": "in_flight" if known.status == "running" else known.status}
    core.start_turn(run_id, str(params["sessionKey"]), str(params["message"]))
    return {"runId": run_id, "status": "started"}


def _chat_history(core: Core, client: Client, params: JsonObject) -> Json:
    limit = params.get("limit")
    return core.sessions.history(str(params["sessionKey"]), int(limit) if isinstance(limit, int | float) else 200)


def _chat_abort(core: Core, client: Client, params: JsonObject) -> Json:
    run_id = params.get("runId")
    stopped: list[Json] = []
    for run in core.sessions.active(str(params["sessionKey"]), str(run_id) if run_id else None):
        task = core.turn_of(run.run_id)
        if task is not None:
            task.cancel()
            stopped.append(run.run_id)
    return {"ok": True, "aborted": bool(stopped), "runIds": stopped}


def _sessions_list(core: Core, client: Client, params: JsonObject) -> Json:
    limit = params.get("limit")
    return core.sessions.listed(int(limit) if isinstance(limit, int | float) else 100, now_ms())


# -- the rest of an operator's methods


def _voicewake_get(core: Core, client: Client, params: JsonObject) -> Json:
    return {"triggers": [*core.triggers]}


def _voicewake_set(core: Core, client: Client, params: JsonObject) -> Json:
    wanted = params.get("triggers")
    if not isinstance(wanted, list):
        raise invalid("voicewake.set requires triggers: string[]")
    names = [item.strip() for item in wanted if isinstance(item, str) and item.strip()]
    core.triggers = names or list(DEFAULT_TRIGGERS)
    payload: JsonObject = {"triggers": [*core.triggers]}
    for peer in list(core.peers.values()):
        if peer.client is not None and peer.client.role == "node":
            peer.event("voicewake.changed", payload)
        else:
            peer.broadcast("voicewake.changed", payload)
    return payload


def _config_get(core: Core, client: Client, params: JsonObject) -> Json:
    config: JsonObject = {"gateway": {"nodes": {"commands": {"allow": [*core.setup.commands_allow]}}}}
    return {"path": "", "exists": True, "valid": True, "config": config, "parsed": config}


def _models_list(core: Core, client: Client, params: JsonObject) -> Json:
    if params.get("agentId", AGENT) != AGENT:
        raise invalid(f'unknown agent id "{params["agentId"]}"')
    return {"models": []}


def _agents_list(core: Core, client: Client, params: JsonObject) -> Json:
    agent: JsonObject = {"id": AGENT}
    return {"defaultId": AGENT, "mainKey": "main", "scope": "per-sender", "agents": [agent]}


def identity_answer(identity: DeviceIdentity) -> Handler:
    """Returns the handler of `gateway.identity.get` for this key."""

    def answer(core: Core, client: Client, params: JsonObject) -> Json:
        return {"deviceId": identity.device_id, "publicKey": identity.public_key_text}

    return answer


HANDLERS: dict[str, Handler] = {
    **NODE_HANDLERS,
    "health": lambda core, client, params: health(now_ms()),
    "node.list": _node_list,
    "node.describe": _node_describe,
    "node.pair.list": _node_pair_list,
    "node.pair.approve": _node_pair_approve,
    "node.pair.reject": _node_pair_reject,
    "node.pair.remove": _node_pair_remove,
    "node.rename": _node_rename,
    "device.pair.list": _device_pair_list,
    "device.pair.approve": _device_pair_approve,
    "device.pair.reject": _device_pair_reject,
    "device.pair.remove": _device_pair_remove,
    "chat.send": _chat_send,
    "chat.history": _chat_history,
    "chat.abort": _chat_abort,
    "sessions.list": _sessions_list,
    "voicewake.get": _voicewake_get,
    "voicewake.set": _voicewake_set,
    "voicewake.routing.get": lambda core, client, params: {"config": routing()},
    "config.get": _config_get,
    "agents.list": _agents_list,
    "models.list": _models_list,
    "talk.config": lambda core, client, params: {"config": {}},
    "users.prefs.get": lambda core, client, params: {"status": "no_durable_identity"},
    "exec.approval.list": lambda core, client, params: [],
}
SLOW_HANDLERS: dict[str, SlowHandler] = {"node.invoke": _node_invoke, "agent": _agent, "agent.wait": _agent_wait}
"""Methods whose answer may take its time: they run beside the connection's other requests."""

NORMALIZERS: dict[str, Callable[[Json], Json]] = {"node.invoke.result": normalize_result}
"""What the gateway mends before it checks."""
