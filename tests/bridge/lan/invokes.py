"""Verbs of a conversation about an invoke: it comes, it is answered, the phone falls asleep."""

from __future__ import annotations

from typing import Any

from acl.permissions import Permission, Permissions
from tests.bridge.lan.phones import IPHONE, Json
from tests.bridge.lan.playbook import Talk, node_in

LAN, GATEWAY = IPHONE.node_id, IPHONE.gateway_id
PARAMS = {
    "screen.navigate": '{"url":"https://example.com/"}',
    "screen.eval": '{"javaScript":"1"}',
    "screen.setMode": '{"mode":"web"}',
}
"""Parameters of the commands that need some."""
TEXT = '{"url":"https:\\/\\/example.com",  "n":1.10}'


def invoked(talk: Talk, command: str = "screen.show", invoke_id: str = "i1", **members: Any) -> Talk:
    payload: Json = {"id": invoke_id, "nodeId": GATEWAY, "command": command, "timeoutMs": 30_000}
    payload["paramsJSON"] = PARAMS.get(command)
    return talk.gateway_says("node.invoke.request", {**payload, **members})


def result(invoke_id: str = "i1", **members: Any) -> Json:
    return {"id": invoke_id, "nodeId": LAN, "ok": True, **members}


def answered(talk: Talk, **members: Any) -> Talk:
    return talk.asks("node.invoke.result", result(**members))


def asleep(permissions: Permissions = frozenset(Permission)) -> Talk:
    talk = node_in(IPHONE, permissions).asks("node.event", {"event": "node.state", "payload": {"state": "background"}})
    assert talk.session.in_background
    return talk


def upstream(talk: Talk) -> Json:
    """Returns the parameters of the one request that the last thing sent to the gateway."""
    return dict(talk.forward.params)
