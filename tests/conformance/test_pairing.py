"""The two approvals: of a device, and of what it may do."""

from __future__ import annotations

import pytest

from tests.conformance.target import SCREEN, Target, approve_surface, pending_surface
from tests.conformance.wire import Json, new_identity, node_params, refused, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Declared by an iPhone -> what is left when policy has cut it down (the screen commands are on the allow list).
SURFACES: dict[str, tuple[list[str], list[str]]] = {
    "defaults and allowed": (["device.info", "screen.navigate", "location.get"],) * 2,
    "dangerous": (["camera.list", "camera.snap", "screen.record", "contacts.add"], ["camera.list"]),
    "system": (["system.notify", "system.run", "fs.listDir"], ["system.notify"]),
    "unknown": (["bogus.command", "device.status"], ["device.status"]),
    "talk": (["talk.ptt.start", "talk.ptt.once", "talk.other"], ["talk.ptt.start", "talk.ptt.once"]),
    "watch": (["watch.status", "watch.notify"], ["watch.status", "watch.notify"]),
    "canvas": (["canvas.navigate", "canvas.eval"], []),
}


@pytest.mark.parametrize("name", SURFACES)
async def test_policy_cuts_the_declared_surface_down(gateway: Target, name: str) -> None:
    declared, kept = SURFACES[name]
    async with gateway.operator() as operator, gateway.node(commands=declared) as (_, node_id):
        request = await pending_surface(operator, node_id)
    assert request is not None
    assert request["commands"] == kept


# Platform and device family -> the class that decides; the markers are commands that only some classes have.
MARKERS = ["camera.list", "device.info", "notifications.list", "mobile.ui.observe", "system.run", "contacts.search"]
CLASSES: dict[str, tuple[str, str, list[str]]] = {
    "iOS with version": ("iOS 26.1", "iPhone", ["camera.list", "device.info", "contacts.search"]),
    "iPadOS": ("iPadOS 26.1.2", "iPad", ["camera.list", "device.info", "contacts.search"]),
    "bare ios": ("ios", "iPhone", ["camera.list", "device.info", "contacts.search"]),
    "iOS without a family": ("iOS 26.1", "", ["camera.list"]),
    "iOS beta": ("iOS 26.1 beta", "iPhone", ["camera.list"]),
    "Android": ("Android 15", "Android", MARKERS[:4] + MARKERS[5:]),
    "Android with SDK": ("Android 15 (SDK 35)", "Android", MARKERS[:4] + MARKERS[5:]),
    "Linux": ("linux", "Linux", ["camera.list", "system.run"]),
    "macOS": ("macOS 26.0", "Mac", ["camera.list", "device.info", "system.run", "contacts.search"]),
    "something else": ("TempleOS", "iPhone", ["camera.list"]),
}


@pytest.mark.parametrize("name", CLASSES)
async def test_platform_decides_which_commands_are_known(gateway: Target, name: str) -> None:
    platform, family, kept = CLASSES[name]
    about: Json = {"platform": platform, "deviceFamily": family}
    identity = new_identity()
    async with gateway.operator() as operator, wire(gateway.url) as client:
        params = node_params(client, identity, auth={"token": gateway.token}, about=about, commands=MARKERS)
        if not family:
            del params["client"]["deviceFamily"]
        await client.ok("connect", params)
        request = await pending_surface(operator, identity.device_id)
    assert request is not None
    assert request["commands"] == kept


async def test_capability_goes_when_its_whole_family_is_withheld(gateway: Target) -> None:
    caps, commands = ["screen", "camera", "location"], ["camera.snap", "location.get", "screen.record"]
    async with gateway.operator() as operator, gateway.node(caps=caps, commands=commands) as (_, node_id):
        request = await pending_surface(operator, node_id)
    assert request is not None
    assert request["caps"] == ["location"]


async def test_request_and_row_of_a_new_node(gateway: Target) -> None:
    permissions = {"camera": True, "location": False}
    async with gateway.operator() as operator, gateway.node(permissions=permissions) as (_, node_id):
        announced = await operator.event("node.pair.requested", lambda payload: payload["nodeId"] == node_id)
        request = await pending_surface(operator, node_id)
        row = await operator.ok("node.describe", {"nodeId": node_id})
    assert request is not None
    assert announced["payload"] == request
    assert request["requiredApproveScopes"] == ["operator.pairing", "operator.write"]
    assert (request["permissions"], request["silent"]) == (permissions, True)
    assert (request["clientId"], request["platform"], request["deviceFamily"]) == ("openclaw-ios", "iOS 26.1", "iPhone")
    expected = {"approvalState": "pending-approval", "commands": [], "caps": [], "paired": True, "connected": True}
    assert {key: row[key] for key in expected} == expected
    assert row["pendingRequestId"] == request["requestId"]
    assert row["pendingDeclaredCommands"] == ["device.info", "screen.navigate"]


async def test_approval_reaches_operators_and_the_node(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.node() as (node, node_id):
        answer = await approve_surface(operator, node_id)
        at_node = await node.event("node.pair.resolved")
        at_operator = await operator.event("node.pair.resolved", lambda payload: payload["nodeId"] == node_id)
        row = await operator.ok("node.describe", {"nodeId": node_id})
        again = await operator.error("node.pair.approve", {"requestId": answer["requestId"]})
    assert answer["node"]["commands"] == ["screen.navigate", "device.info"]
    assert at_node["payload"] == at_operator["payload"]
    assert at_node["payload"]["decision"] == "approved"
    assert (row["approvalState"], row["commands"]) == ("approved", ["device.info", "screen.navigate"])
    assert (again["code"], again["message"]) == ("INVALID_REQUEST", "unknown requestId")


async def test_wider_declaration_waits_and_the_old_part_stays(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.operator() as operator:
        async with gateway.approved_node(operator, identity, commands=["device.info", "screen.show"]):
            pass
        async with gateway.node(identity, commands=["device.info", "screen.hide"]) as (_, node_id):
            row = await operator.ok("node.describe", {"nodeId": node_id})
            request = await pending_surface(operator, node_id)
            await approve_surface(operator, node_id)
            after = await operator.ok("node.describe", {"nodeId": node_id})
    assert (row["approvalState"], row["commands"]) == ("pending-reapproval", ["device.info"])
    assert request is not None
    assert request["commands"] == ["device.info", "screen.hide"]
    assert (after["approvalState"], after["commands"]) == ("approved", ["device.info", "screen.hide"])


async def test_smaller_declaration_needs_nobody(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.operator() as operator:
        async with gateway.approved_node(operator, identity, commands=["device.info", "screen.show"]):
            pass
        async with gateway.node(identity, commands=["device.info"], caps=[]) as (_, node_id):
            row = await operator.ok("node.describe", {"nodeId": node_id})
    assert (row["approvalState"], row["commands"], row["caps"]) == ("approved", ["device.info"], [])


async def test_same_declaration_keeps_its_request_and_another_replaces_it(gateway: Target) -> None:
    identity = new_identity()
    found = []
    async with gateway.operator() as operator:
        for commands in (["device.info"], ["device.info"], ["device.status"]):
            async with gateway.node(identity, commands=commands) as (_, node_id):
                request = await pending_surface(operator, node_id)
                assert request is not None
                found.append(request["requestId"])
        resolved = await operator.event("node.pair.resolved", lambda payload: payload["nodeId"] == node_id)
    assert found[0] == found[1] != found[2]
    assert (resolved["payload"]["requestId"], resolved["payload"]["decision"]) == (found[0], "rejected")


async def test_rejected_surface_is_gone(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.node() as (_, node_id):
        request = await pending_surface(operator, node_id)
        assert request is not None
        rejected = await operator.ok("node.pair.reject", {"requestId": request["requestId"]})
        row = await operator.ok("node.describe", {"nodeId": node_id})
    assert (rejected["requestId"], rejected["nodeId"]) == (request["requestId"], node_id)
    assert (row["approvalState"], row["commands"]) == ("unapproved", [])


async def test_approving_system_commands_needs_admin(gateway: Target) -> None:
    about = {"id": "node-host", "platform": "linux", "deviceFamily": "Linux"}
    scopes = ("operator.pairing", "operator.write")
    async with gateway.operator(scopes) as operator, gateway.node(about=about, commands=["system.run"]) as (_, node_id):
        request = await pending_surface(operator, node_id)
        assert request is not None
        error = await operator.error("node.pair.approve", {"requestId": request["requestId"]})
    assert request["requiredApproveScopes"] == ["operator.pairing", "operator.admin"]
    assert (error["code"], error["details"]["missingScope"]) == ("FORBIDDEN", "operator.admin")


async def test_approving_ordinary_commands_needs_write(gateway: Target) -> None:
    async with gateway.operator(("operator.pairing",)) as operator, gateway.node() as (_, node_id):
        request = await pending_surface(operator, node_id)
        assert request is not None
        error = await operator.error("node.pair.approve", {"requestId": request["requestId"]})
    assert error["details"] == {
        "code": "MISSING_SCOPE",
        "missingScope": "operator.write",
        "requiredScopes": ["operator.pairing", "operator.write"],
    }


@pytest.mark.parametrize(("method", "key"), [("node.pair.remove", "nodeId"), ("device.pair.remove", "deviceId")])
async def test_removal_closes_the_node_and_ends_its_token(gateway: Target, method: str, key: str) -> None:
    identity = new_identity()
    async with gateway.operator() as operator, gateway.approved_node(operator, identity) as (node, node_id):
        token = node.hello["auth"]["deviceToken"]
        removed = await operator.ok(method, {key: node_id})
        assert await node.closed() == (4001, "device removed")
        gone = await operator.error("node.describe", {"nodeId": node_id})
        again = await operator.error(method, {key: node_id})
    assert removed == {key: node_id}
    assert (gone["code"], gone["message"]) == ("INVALID_REQUEST", "unknown nodeId")
    assert (again["code"], again["message"]) == ("INVALID_REQUEST", f"unknown {key}")
    async with wire(gateway.url) as client:
        end = await refused(client, node_params(client, identity, auth={"deviceToken": token}))
    assert end.detail == "AUTH_DEVICE_TOKEN_MISMATCH"


async def test_a_name_that_an_operator_gave_outlasts_what_the_node_calls_itself(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.operator() as operator:
        async with gateway.approved_node(operator, identity) as (_, node_id):
            renamed = await operator.ok("node.rename", {"nodeId": node_id, "displayName": " K\u00fcche "})
            while_connected = await operator.ok("node.describe", {"nodeId": node_id})
        async with gateway.node(identity, about={"displayName": "Another"}):
            again = await operator.ok("node.describe", {"nodeId": node_id})
    assert renamed == {"nodeId": node_id, "displayName": "K\u00fcche"}
    assert (while_connected["displayName"], again["displayName"]) == ("K\u00fcche", "K\u00fcche")


async def test_newer_system_of_an_app_is_the_same_device(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.node(identity):
        pass
    about = {"platform": "iOS 27.0", "displayName": "Renamed"}
    async with gateway.node(identity, about=about) as (client, _):
        assert client.hello["auth"]["role"] == "node"


@pytest.mark.parametrize(
    "about", [{"platform": "Android 15", "deviceFamily": "Android"}, {"deviceFamily": "iPad"}, {"platform": "linux"}]
)
async def test_other_machine_under_a_paired_key_is_refused(gateway: Target, about: Json) -> None:
    identity = new_identity()
    async with gateway.node(identity):
        pass
    async with wire(gateway.url) as client:
        end = await refused(client, node_params(client, identity, auth={"token": gateway.token}, about=about))
    assert (end.code, end.detail, end.close_code) == ("NOT_PAIRED", "PAIRING_REQUIRED", 1008)
    assert end.error is not None
    assert end.error["details"]["reason"] == "metadata-upgrade"
    assert end.error["details"]["approvedRoles"] == ["node"]


async def test_node_that_asks_for_scopes_is_not_paired_silently(gateway: Target) -> None:
    async with wire(gateway.url) as client:
        params = node_params(client, new_identity(), auth={"token": gateway.token}, scopes=["operator.read"])
        end = await refused(client, params)
    assert (end.code, end.detail) == ("NOT_PAIRED", "PAIRING_REQUIRED")


async def test_allow_list_is_what_admits_the_screen(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=SCREEN) as (_, node_id):
        row = await operator.ok("node.describe", {"nodeId": node_id})
    assert row["commands"] == sorted(SCREEN)
