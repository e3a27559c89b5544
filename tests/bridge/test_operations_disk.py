"""Operations on a disk that refuses: what is in force all the same, what is not, and what is said."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from acl.permissions import PROFILES
from bridge.control.requests import RevokeBody
from bridge.errors import BridgeError
from bridge.operations import BridgeOperations
from tests.bridge.house import House
from tests.bridge.lan.phones import ANDROID, IPHONE, PHONE
from tests.support.waiting import eventually

WIDEST: list[str] = sorted(PROFILES["full"])


async def test_an_approval_that_cannot_be_written_leaves_the_request_waiting(bridge: House) -> None:
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        request_id = await bridge.waiting()
        (bridge.home / "paired-nodes.json").mkdir()  # what cannot be replaced by a file
        with pytest.raises(BridgeError, match="could not be written down"):
            await bridge.operations.approve(request_id, None, None)
        assert [request.id for request in bridge.reception.desk.pending()] == [request_id]
        (bridge.home / "paired-nodes.json").rmdir()
        await bridge.operations.approve(request_id, None, None)
        assert (await caller.read())["ok"] is True


async def test_on_a_disk_that_refuses_only_what_takes_away_is_in_force(
    bridge: House, operations: BridgeOperations
) -> None:
    """Red without `takes_away` in `set_permissions`, and likewise in `Registrar.revoke`: the node keeps it all.

    And what is in force leaves its trace: red when it is said only after the disk has taken the change.
    """
    await bridge.pair(IPHONE)
    assert refuses(bridge.home / "paired-nodes.json")
    for change in (operations.rename(IPHONE.node_id, "Kitchen"), operations.set_permissions(IPHONE.node_id, WIDEST)):
        with pytest.raises(BridgeError, match="could not be written down") as failed:
            await change
        assert failed.value.code == "STORE"
    node = await operations.node(IPHONE.node_id)
    assert (node.display_name, node.permissions) == ("Anna's iPhone", sorted(PHONE))
    for less in (operations.set_permissions(IPHONE.node_id, ["voice"]), operations.revoke(RevokeBody(all=True))):
        with pytest.raises(BridgeError, match="is in force, but not written down"):
            await less
    node = await operations.node(IPHONE.node_id)
    assert (node.permissions, node.state) == (["voice"], "revoked")
    (narrowed,), (revoked,) = bridge.stage.events("permissions-narrowed"), bridge.stage.events("revoked")
    assert (narrowed["permissions"], narrowed["before"]) == (["voice"], sorted(PHONE))
    assert IPHONE.node_id.startswith(revoked["node"])


def refuses(file: Path) -> bool:
    """Put what no file can replace in a file's place; False: the bridge has just written it once more."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):
        file.mkdir()
    return file.is_dir()


async def test_revoking_all_goes_on_over_a_disk_that_refuses(bridge: House, operations: BridgeOperations) -> None:
    async with bridge.call(IPHONE) as phone, bridge.call(ANDROID) as other:
        for caller, who in ((phone, IPHONE), (other, ANDROID)):
            await bridge.pair(who)
            await caller.gets_in()
        await eventually(lambda: refuses(bridge.home / "paired-nodes.json"))
        with pytest.raises(BridgeError) as failed:
            await operations.revoke(RevokeBody(all=True))
        assert all(who.node_id[:12] in str(failed.value) for who in (IPHONE, ANDROID))
        assert [(await caller.ended())[0] for caller in (phone, other)] == [4001, 4001]
