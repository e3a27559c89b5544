"""Setup codes and questions about the policy, as a person at the machine asks for them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.code_desk import CodeDesk
from bridge.discovery import DiscoveryState, DiscoveryStatus
from bridge.errors import NotAllowed, UsageError
from bridge.operations import BridgeOperations
from tests.bridge.house import HOST_NAME, House, house
from tests.bridge.lan.phones import ANDROID, IPHONE, PHONE


@pytest_asyncio.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as built:
        yield built


@pytest.fixture
def operations(bridge: House) -> BridgeOperations:
    return bridge.operations


def decoded(code: str) -> dict[str, object]:
    return dict(json.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))))


async def test_a_setup_code(bridge: House, operations: BridgeOperations) -> None:
    code = (await operations.codes.mint_setup_code(None, None, 300, None)).to_json()
    url = f"wss://{HOST_NAME}:{bridge.apps.port}"
    text = str(code["setupCode"])
    assert code["link"] == f"oc-pair://{text}"
    assert (code["url"], code["pin"], code["permissions"]) == (url, bridge.identity.pin, sorted(PHONE))
    inside = decoded(text)
    assert inside.keys() == {"url", "tlsFingerprint", "expiresAtMs", "bootstrapToken"}
    assert (inside["url"], inside["tlsFingerprint"]) == (url, bridge.identity.pin)
    async with bridge.call(IPHONE) as caller:
        await caller.connects({"bootstrapToken": str(inside["bootstrapToken"])})
        auth = (await caller.read())["payload"]["auth"]
    assert {entry["role"] for entry in auth["deviceTokens"]} == {"operator"}
    async with bridge.call(ANDROID) as caller:
        await caller.connects({"bootstrapToken": str(inside["bootstrapToken"])})
        assert (await caller.read())["error"]["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"


async def test_a_code_for_a_phone_that_does_not_find_names(bridge: House, operations: BridgeOperations) -> None:
    code = await operations.codes.mint_setup_code(["screen"], None, 60, "127.0.0.1")
    assert (code.url, code.permissions) == (f"wss://127.0.0.1:{bridge.apps.port}", ["screen"])
    bridge.discovery = DiscoveryStatus(DiscoveryState.OFF)
    assert (await operations.codes.mint_setup_code(None, "voice", 60, None)).url == code.url
    with pytest.raises(NotAllowed):
        await operations.codes.mint_setup_code(None, None, 60, "192.0.2.1")
    with pytest.raises(UsageError):
        await operations.codes.mint_setup_code(None, "no-such-profile", 60, None)


async def test_a_code_invites_those_who_were_turned_away(bridge: House, operations: BridgeOperations) -> None:
    before = datetime.now(UTC)
    await operations.codes.mint_setup_code(None, None, 60, None)
    assert bridge.reception.window_opened is not None
    assert bridge.reception.window_opened >= before


async def test_where_no_app_is_let_in_no_setup_code_is_made_and_no_window_opened(bridge: House) -> None:
    desk = CodeDesk(
        bridge.reception,
        bridge.codes,
        bridge.certificates,
        nodes=bridge.nodes,
        apps=None,
        discovery=lambda: bridge.discovery,
        host=HOST_NAME,
    )
    with pytest.raises(NotAllowed, match=r"auth\.require_mtls") as refused:
        await desk.mint_setup_code(None, None, 300, None)
    assert "clawdis-bridge pair --qr --native" in (refused.value.fix or "")
    assert bridge.reception.window_opened is None
    assert await desk.tokens() == []
    assert (await desk.mint_native_link(None, None, 300, None)).url.endswith(f":{bridge.nodes.port}")


# Questions.


@pytest.mark.parametrize(
    ("method", "command", "decision", "rule"),
    [
        ("health", None, "allow", "node-health"),
        ("node.invoke", "screen.show", "allow", "command-screen"),
        ("screen.show", None, "allow", "command-screen"),
        ("node.invoke", "system.run", "deny", "command-system"),
        ("node.event", "voice.transcript", "allow", "event-agent-turn"),
        ("node.event", "exec.started", "deny", "event-exec"),
        ("chat.send", None, "allow", "operator-write"),
        ("config.set", None, "deny", "default-deny"),
    ],
)
async def test_explaining(bridge: House, method: str, command: str | None, decision: str, rule: str) -> None:
    await bridge.pair(IPHONE)
    explained = (await bridge.operations.explain(IPHONE.node_id[:6], method, command)).to_json()
    assert (explained["decision"], explained["rule"]) == (decision, rule)
    assert explained["reason"]


async def test_a_revoked_node_may_do_nothing(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE, revoked_at=datetime.now(UTC))
    explained = await operations.explain(IPHONE.node_id, "health", None)
    assert (explained.decision, explained.rule) == ("deny", "revoked")
