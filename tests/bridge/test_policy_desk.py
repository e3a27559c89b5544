"""The policy read again while phones are connected: whole or not at all, and only those come again that it concerns."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from acl.model import Direction, Policy
from acl.permissions import Permission
from bridge.config_file import CONFIG_NAME
from bridge.errors import RefusedError
from bridge.policy_desk import PolicyDesk
from bridge.policy_file import POLICY_NAME
from tests.bridge.house import House, house
from tests.bridge.lan.phones import ANDROID, IPHONE, Phone
from tests.bridge.lan.rooms import Caller
from tests.support.waiting import eventually


def deny(direction: Direction, key: str, name: str, node: str = "*", id: str = "mine") -> str:
    when = f'{{direction = "{direction}", {key} = "{name}", node = "{node}"}}'
    return f'[[rules]]\nid = "{id}"\nwhen = {when}\ndecision = "deny"\n'


def write(bridge: House, text: str) -> Path:
    path = bridge.home / POLICY_NAME
    path.write_text(text)
    path.chmod(0o600)
    return path


async def enters(stack: AsyncExitStack, bridge: House, phone: Phone, role: str) -> Caller:
    caller = await stack.enter_async_context(bridge.call(phone))
    await caller.gets_in(role)
    return caller


async def test_only_the_sockets_come_again_whose_methods_it_changes(bridge: House) -> None:
    """Red when a reload closes everybody, or nobody."""
    await bridge.pair(IPHONE)
    await bridge.pair(ANDROID)
    async with AsyncExitStack() as stack:
        node = await enters(stack, bridge, IPHONE, "node")
        operator = await enters(stack, bridge, IPHONE, "operator")
        other = await enters(stack, bridge, ANDROID, "node")
        write(bridge, deny(Direction.FROM_OPERATOR, "method", "chat.history", IPHONE.node_id))
        told = await bridge.policy.reload()
        assert (told.reconnecting, told.policy.source, told.policy.rules) == (1, "file", 1)
        assert await operator.ended() == (1012, "policy changed")
        for stays in (node, other):
            await stays.asks("health")
            assert (await stays.read())["ok"] is True
        again = await enters(stack, bridge, IPHONE, "operator")
        await again.asks("chat.history", {"sessionKey": "main"})
        assert (await again.read())["error"]["details"]["code"] == "MISSING_SCOPE"


async def test_a_lent_command_is_offered_and_a_denied_one_is_not(bridge: House) -> None:
    await bridge.pair(IPHONE)
    async with AsyncExitStack() as stack:
        node = await enters(stack, bridge, IPHONE, "node")
        first = await eventually(lambda: bridge.stage.switchboard.link(IPHONE.node_id))
        assert "screen.show" in first.offer.commands
        write(bridge, deny(Direction.TO_NODE, "command", "screen.show"))
        await bridge.policy.reload()
        assert await node.ended() == (1012, "policy changed")
        await enters(stack, bridge, IPHONE, "node")
        link = await eventually(lambda: bridge.stage.switchboard.link(IPHONE.node_id))
        assert "screen.show" not in link.offer.commands
        assert link.offer.commands


async def test_a_link_that_offers_what_is_denied_now_ends_with_its_phone_and_does_not_linger(tmp_path: Path) -> None:
    """Red when the link is only told to the phone: with that gone, the gateway would count on it for ten minutes."""
    async with house(tmp_path / "home", linger_s=60.0) as bridge, AsyncExitStack() as stack:
        switchboard = bridge.stage.switchboard
        await bridge.pair(IPHONE)
        await bridge.pair(ANDROID)
        node = await enters(stack, bridge, IPHONE, "node")
        await enters(stack, bridge, ANDROID, "node")
        await eventually(lambda: switchboard.link(IPHONE.node_id) and switchboard.link(ANDROID.node_id))
        write(bridge, deny(Direction.TO_NODE, "command", "screen.show", IPHONE.node_id))
        await bridge.policy.reload()
        assert await node.ended() == (1012, "policy changed")
        await eventually(lambda: switchboard.link(IPHONE.node_id) is None, what="its link ends")
        await stack.aclose()
        await eventually(lambda: switchboard.lingers(ANDROID.node_id), what="another's lingers")
        write(bridge, deny(Direction.TO_NODE, "command", "location.get", ANDROID.node_id))
        await bridge.policy.reload()
        assert switchboard.lingers(ANDROID.node_id), "it is not granted that anyway"
        write(bridge, deny(Direction.TO_NODE, "command", "screen.hide", ANDROID.node_id))
        await bridge.policy.reload()
        assert switchboard.link(ANDROID.node_id) is None, "at once, when its phone is away"


BAD = {
    "a typo": ("[agnet]", "agnet: there is no such key. Did you mean 'agent'?"),
    "no TOML": ("agent = [", "it is not TOML"),
    "an unknown permission": ('[profiles.k]\npermissions = ["everything"]', "there is no such permission"),
    "a wildcard": (deny(Direction.TO_NODE, "command", "*"), "* is no wildcard"),
    "one rule twice": (deny(Direction.TO_NODE, "command", "screen.eval") * 2, "two rules have the id mine"),
    "a wrong type": ("[agent]\nsessions = true", "must be a list"),
}


@pytest.mark.parametrize("text, why", BAD.values(), ids=BAD.keys())
async def test_a_bad_file_keeps_the_old_policy_and_says_why(bridge: House, text: str, why: str) -> None:
    """Red when the policy is put into force before all of the file is understood."""
    await bridge.pair(IPHONE)
    write(bridge, deny(Direction.FROM_NODE, "method", "agent"))
    await bridge.policy.reload()
    before = bridge.hub.policy
    async with AsyncExitStack() as stack:
        node = await enters(stack, bridge, IPHONE, "node")
        path = write(bridge, text)
        with pytest.raises(RefusedError) as refused:
            await bridge.policy.reload()
        assert why in refused.value.message
        assert str(path) in refused.value.message
        assert refused.value.fix == f"Check it: clawdis-bridge acl check {path}"
        assert bridge.hub.policy is before
        assert bridge.policy.source.rules == 1
        await node.asks("agent", {"message": "hi", "idempotencyKey": "k"})
        assert (await node.read())["error"]["code"] == "FORBIDDEN"
    await bridge.policy.reload_on_signal()  # says it to the log, and to nobody else
    assert bridge.hub.policy is before


async def test_a_policy_without_the_default_profile_is_refused_and_says_where_that_is_named(bridge: House) -> None:
    """Red when `acl check` is advised whatever file is at fault: it would call a good bridge.toml a wrong policy."""
    desk = PolicyDesk(bridge.home, "kiosk", bridge.in_force, bridge.hub, bridge.stage.log)
    path = write(bridge, '[profiles.kiosk]\npermissions = ["screen"]\n')
    await desk.reload()
    path.write_text("")
    with pytest.raises(RefusedError, match="'kiosk' is no profile") as refused:
        await desk.reload()
    config = bridge.home / CONFIG_NAME
    assert refused.value.fix == (
        f"Put that profile into {path}, or name another one in {config} and start the bridge again."
    )
    assert bridge.hub.default_permissions == {Permission.SCREEN}


async def test_a_file_that_others_could_have_written_is_refused_with_the_command_that_closes_it(bridge: House) -> None:
    """Red when `acl check` is advised, which reads any file and would find nothing wrong with this one."""
    path = write(bridge, deny(Direction.FROM_NODE, "method", "agent"))
    path.chmod(0o666)
    with pytest.raises(RefusedError, match="other users can write it") as refused:
        await bridge.policy.reload()
    assert (refused.value.fix or "").endswith(f"chmod 600 {path}")
    assert not bridge.hub.policy.rules


async def test_a_file_that_has_gone_is_not_taken_for_an_empty_one(bridge: House) -> None:
    path = write(bridge, deny(Direction.FROM_NODE, "method", "agent"))
    await bridge.policy.reload()
    path.unlink()
    with pytest.raises(RefusedError, match="has gone") as refused:
        await bridge.policy.reload()
    assert refused.value.fix == f"Put it back; or, for the built-in policy: : > {path}"
    assert bridge.hub.policy.rules
    write(bridge, "")
    assert (await bridge.policy.reload()).policy.rules == 0
    assert bridge.hub.policy == Policy()


async def test_without_a_file_a_reload_changes_nothing(bridge: House) -> None:
    told = await bridge.policy.reload()
    assert (told.policy.source, told.policy.file, told.reconnecting) == ("built-in", None, 0)


async def test_reloads_at_the_same_moment_are_done_one_after_the_other(bridge: House) -> None:
    write(bridge, deny(Direction.FROM_NODE, "method", "agent"))
    told = await asyncio.gather(*(bridge.policy.reload() for _ in range(8)))
    assert {each.policy.rules for each in told} == {1}


async def test_profiles_and_what_a_prompt_proposes_are_those_of_the_policy(bridge: House) -> None:
    write(bridge, '[profiles.kiosk]\npermissions = ["screen"]\n')
    await bridge.policy.reload()
    code = await bridge.operations.codes.mint_setup_code(None, "kiosk", 300, None)
    assert code.permissions == ["screen"]
    report = await bridge.policy.show()
    assert (report.own_profiles, report.profiles["kiosk"]) == (["kiosk"], ["screen"])
    assert bridge.hub.default_permissions == {Permission.VOICE, Permission.SCREEN, Permission.DEVICE}


async def test_the_status_tells_where_the_policy_comes_from(bridge: House) -> None:
    before = (await bridge.operations.status()).to_json()["policy"]
    assert isinstance(before, dict)
    assert (before["source"], before["rules"], "file" in before) == ("built-in", 0, False)
    path = write(bridge, deny(Direction.FROM_NODE, "method", "agent"))
    await bridge.policy.reload()
    after = (await bridge.operations.status()).to_json()["policy"]
    assert isinstance(after, dict)
    assert (after["source"], after["file"], after["rules"]) == ("file", str(path), 1)
    assert after["loadedAt"] > before["loadedAt"]


async def test_a_session_follows_the_policy_at_its_next_call(bridge: House) -> None:
    """Sessions of the agent change without a reconnect: each call is decided by the policy of its moment."""
    await bridge.pair(IPHONE)
    async with AsyncExitStack() as stack:
        operator = await enters(stack, bridge, IPHONE, "operator")
        await operator.asks("chat.history", {"sessionKey": "kitchen"})
        assert (await operator.read())["error"]["code"] == "FORBIDDEN"
        write(bridge, '[agent]\nsessions = ["kitchen"]\n')
        assert (await bridge.policy.reload()).reconnecting == 0
        await operator.asks("chat.history", {"sessionKey": "kitchen"})
        assert (await operator.read())["error"]["code"] == "UNAVAILABLE"  # the gateway's turn, and there is none
        await operator.asks("chat.history", {"sessionKey": "main"})
        assert (await operator.read())["error"]["code"] == "FORBIDDEN"
