"""Frames against the gateway's official JSON schema (`protocol.schema.json` of `@openclaw/gateway-protocol`).

The schema names definitions, not which method uses which, so the name is derived: `node.invoke.result` has
`NodeInvokeResultParams`, its answer `NodeInvokeResultResult`, an event `tick` has `TickEvent`. What has no definition
is named in `ENVELOPE_ONLY`, and a frame of any other name is a violation; `checked_as` tells what a frame was held
against.

The schema is 2026.9.1, the gateway 2026.9.6. What the newer one is known to add is listed in `NEWER` and tolerated
unless `strict=True`; everything else that the schema does not know is a violation. Frames that the bridge itself makes
should pass with `strict=True`: older peers decode them by the older schema.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT7

from tests.gateway import install
from tests.support.openclaw import NotInstalledError

Json = dict[str, Any]

ENVELOPES = {"req": "RequestFrame", "res": "ResponseFrame", "event": "EventFrame"}
# Keys of the 2026.9.6 gateway that the 2026.9.1 schema refuses; `/` goes into a property, `[]` into an array's items.
NEWER: Mapping[str, frozenset[str]] = {
    "RequestFrame": frozenset({"expectedProfileId"}),
    "EventFrame": frozenset({"recipientProfileId"}),
    "HelloOk": frozenset({"controlUiLinkReaders", "controlUiUrl"}),
    "HelloOk/snapshot": frozenset({"controlUiIdentityUrl"}),
    "HelloOk/snapshot/presence/[]": frozenset({"clientId"}),
    "HelloOk/auth": frozenset({"method"}),
    "HelloOk/snapshot/health/eventLoop": frozenset({"cpuBreakdown"}),  # only while the machine is busy
    "AgentEvent": frozenset({"agentId", "sessionKey"}),
    "NodeInvokeRequestEvent": frozenset({"sessionKey"}),
    "TasksListResult/tasks/[]": frozenset({"execution", "hasTranscript"}),
}
# Members that it leaves out where the schema wants them.
LEFT_OUT: Mapping[str, frozenset[str]] = {"NodeEventResult": frozenset({"event", "handled"})}  # voice.transcript
# Names without a definition: only the envelope of these can be checked.
ENVELOPE_ONLY = frozenset(
    {
        *("ConnectChallengeEvent", "NodeInvokeCancelEvent", "VoicewakeChangedEvent", "VoicewakeRoutingChangedEvent"),
        *("HealthParams", "GatewayIdentityGetParams", "NodePendingPullParams", "UsersPrefsGetParams"),
        *("VoicewakeGetParams", "HealthResult", "AgentResult", "AgentWaitResult", "NodeListResult", "NodeInvokeResult"),
        *("NodeInvokeResultResult", "NodeInvokeProgressResult", "NodePendingPullResult", "NodePendingAckResult"),
        *("NodePluginToolsUpdateResult", "NodeRunnerInventoryUpdateResult", "NodeSkillsUpdateResult"),
        *("ChatHistoryResult", "ChatSendResult", "ConfigGetResult", "GatewayIdentityGetResult", "SessionsListResult"),
        *("SessionsPreviewResult", "SkillsStatusResult"),
        *("SessionsSubscribeResult", "SessionsMessagesSubscribeResult", "SessionsMessagesUnsubscribeResult"),
        *("UsersPrefsGetResult", "VoicewakeGetResult", "HealthEvent", "PresenceEvent"),
        *("NodePairRequestedEvent", "NodePairResolvedEvent"),
    }
)
# Values that it sends as null where the schema wants a string.
NULLABLE: Mapping[str, frozenset[str]] = {"NodeInvokeRequestEvent": frozenset({"paramsJSON"})}


class SchemaViolation(AssertionError):
    """A frame does not fit the official schema.

    Attributes:
        definition: the schema's definition that was broken.
        path: where in the frame, such as `$.params.client.id`.
    """

    def __init__(self, definition: str, path: str, message: str) -> None:
        super().__init__(f"{definition} at {path}: {message}")
        self.definition = definition
        self.path = path


def checked_as(frame: Mapping[str, Any], *, method: str | None = None) -> list[str]:
    """Return the definitions a frame is held against, the envelope first.

    Args:
        frame: a decoded frame.
        method: for a `res`, the method of its request.

    Raises:
        SchemaViolation: neither the schema nor `ENVELOPE_ONLY` knows what the frame is about.
    """
    kind = frame.get("type")
    outer = ENVELOPES.get(str(kind), "GatewayFrame")
    if kind == "req":
        inner = params_definition(str(frame.get("method")))
    elif kind == "event":
        inner = _camel(str(frame.get("event"))) + "Event"
    elif kind == "res" and frame.get("ok"):
        inner = _result_definition(frame, method)
    else:
        return [outer]
    if inner in _definitions():
        return [outer, inner]
    if inner not in ENVELOPE_ONLY:
        raise SchemaViolation(outer, "$", f"there is no definition of {inner or 'an answer to nothing'}")
    return [outer]


def is_known(frame: Mapping[str, Any], *, method: str | None = None) -> bool:
    """Tell whether the schema or `ENVELOPE_ONLY` knows what a frame is about.

    A gateway tells its own operators much that the bridge passes to nobody: `cron`, `update.available`, answers to
    methods that the bridge does not call. Only the envelope of those can be checked, by `validate`.
    """
    try:
        checked_as(frame, method=method)
    except SchemaViolation:
        return False
    return True


def validate_frame(frame: Mapping[str, Any], *, method: str | None = None, strict: bool = False) -> None:
    """Check one decoded frame: its envelope, and its params or payload where the schema defines them.

    Args:
        frame: a decoded `req`, `res` or `event`.
        method: for a `res`, the method of its request; a hello-ok is recognised without it.
        strict: hold it against 2026.9.1 to the letter, without `NEWER`, `LEFT_OUT` and `NULLABLE`.

    Raises:
        SchemaViolation: it does not fit.
        NotInstalledError: the package with the schema is not installed.
    """
    outer, *inner = checked_as(frame, method=method)
    _check(outer, frame, "$", strict=strict)
    key = "params" if frame["type"] == "req" else "payload"
    for name in inner:
        _check(name, frame.get(key, {}), f"$.{key}", strict=strict)


def validate(definition: str, value: Any, *, strict: bool = False) -> None:
    """Check a value against one definition of the schema, such as `HelloOk`.

    Raises:
        SchemaViolation: it does not fit.
        KeyError: the schema has no such definition.
    """
    if definition not in _definitions():
        raise KeyError(definition)
    _check(definition, value, "$", strict=strict)


def params_definition(method: str) -> str:
    """Return the name that the definition of a method's parameters has, if there is one."""
    return _camel(method) + "Params"


def definition_of(name: str) -> Json:
    """Return one definition of the schema.

    Raises:
        KeyError: there is none of this name.
    """
    found: Json = _definitions()[name]
    return found


def known_methods() -> frozenset[str]:
    """Return the methods that the schema lists."""
    return frozenset(_document()["methods"])


def _result_definition(frame: Mapping[str, Any], method: str | None) -> str:
    payload = frame.get("payload")
    if isinstance(payload, Mapping) and payload.get("type") == "hello-ok":
        return "HelloOk"
    return _camel(method) + "Result" if method else ""


def _camel(dotted: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in dotted.split("."))


def _check(definition: str, value: Any, root: str, *, strict: bool) -> None:
    error = best_match(_validator(definition, strict).iter_errors(value))
    if error is not None:
        path = root + error.json_path.removeprefix("$")
        raise SchemaViolation(definition, path, error.message[:400])


@functools.cache
def _document() -> Json:
    folder = install.installed()
    if folder is None:
        raise NotInstalledError("the official schema is not installed; run `make test`")
    path = Path(folder, "node_modules", "@openclaw", "gateway-protocol", "protocol.schema.json")
    document: Json = json.loads(path.read_text())
    return document


def _definitions() -> Json:
    definitions: Json = _document()["definitions"]
    return definitions


@functools.cache
def _registry(strict: bool) -> Registry[Any]:
    document = _document() if strict else _widened()
    registry: Registry[Any] = Registry().with_resource(document["$id"], DRAFT7.create_resource(document))
    return registry


@functools.cache
def _validator(definition: str, strict: bool) -> Draft7Validator:
    reference = {"$ref": f"{_document()['$id']}#/definitions/{definition}"}
    return Draft7Validator(reference, registry=_registry(strict))


def _widened() -> Json:
    document = copy.deepcopy(_document())
    for place, keys in NEWER.items():
        name, *inner = place.split("/")
        definition = document["definitions"][name]
        for key in inner:
            definition = definition["items"] if key == "[]" else definition["properties"][key]
        for key in keys:
            definition["properties"].setdefault(key, {})
    for name, keys in LEFT_OUT.items():
        definition = document["definitions"][name]
        definition["required"] = [key for key in definition["required"] if key not in keys]
    for name, keys in NULLABLE.items():
        properties = document["definitions"][name]["properties"]
        properties.update({key: {"anyOf": [properties[key], {"type": "null"}]} for key in keys})
    return document
