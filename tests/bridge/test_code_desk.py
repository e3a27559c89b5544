"""Invitations, as a person at the machine makes them: the window, codes, links, and their end."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from acl.permissions import PROFILES
from bridge.code_desk import CodeDesk
from bridge.discovery import DiscoveryState, DiscoveryStatus
from bridge.errors import AmbiguousId, BridgeError, NotAllowed, UnknownId, UsageError
from bridge.pairing.native_link import read_link
from bridge.pairing.reception import WINDOW
from bridge.pairing.setup_code import code_hash
from tests.bridge.house import HOST_NAME, House
from tests.bridge.lan.phones import ANDROID, IPHONE, PHONE


@pytest.fixture
def desk(bridge: House) -> CodeDesk:
    return bridge.operations.codes


def decoded(code: str) -> dict[str, object]:
    return dict(json.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))))


async def test_where_no_app_is_let_in_no_setup_code_is_made_and_no_window_opened(bridge: House) -> None:
    desk = CodeDesk(
        bridge.reception,
        bridge.codes,
        bridge.certificates,
        nodes=bridge.nodes,
        apps=None,
        discovery=lambda: bridge.discovery,
        host=HOST_NAME,
        profiles=lambda: PROFILES,
    )
    with pytest.raises(NotAllowed, match=r"auth\.require_mtls") as refused:
        await desk.mint_setup_code(None, None, 300, None)
    assert "clawdis-bridge pair --qr --native" in (refused.value.fix or "")
    assert bridge.reception.window_opened is None
    assert await desk.tokens() == []
    assert (await desk.mint_native_link(None, None, 300, None)).url.endswith(f":{bridge.nodes.port}")


# Setup codes.


async def test_a_setup_code_lets_the_first_phone_in_and_no_other(bridge: House, desk: CodeDesk) -> None:
    code = (await desk.mint_setup_code(None, None, 300, None)).to_json()
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
    (row,) = await desk.tokens()
    assert (row.id, row.state, row.used_by) == (code["id"], "used", IPHONE.node_id)


async def test_a_code_for_a_phone_that_does_not_find_names(bridge: House, desk: CodeDesk) -> None:
    code = await desk.mint_setup_code(["screen"], None, 60, "127.0.0.1")
    assert (code.url, code.permissions) == (f"wss://127.0.0.1:{bridge.apps.port}", ["screen"])
    bridge.discovery = DiscoveryStatus(DiscoveryState.OFF)
    assert (await desk.mint_setup_code(None, "voice", 60, None)).url == code.url


# What both kinds have in common.


@pytest.mark.parametrize("native", [False, True])
async def test_what_cannot_be_made_is_refused_and_leaves_no_code(desk: CodeDesk, native: bool) -> None:
    mint = desk.mint_native_link if native else desk.mint_setup_code
    with pytest.raises(NotAllowed):
        await mint(None, None, 60, "192.0.2.1")
    with pytest.raises(UsageError) as refused:
        await mint(None, "no-such-profile", 60, None)
    assert refused.value.message == "'no-such-profile' is no profile."
    assert refused.value.fix == f"Profiles: {', '.join(PROFILES)}"
    assert await desk.tokens() == []


@pytest.mark.parametrize("native", [False, True])
async def test_a_code_opens_the_window(bridge: House, desk: CodeDesk, native: bool) -> None:
    before = datetime.now(UTC)
    await (desk.mint_native_link if native else desk.mint_setup_code)(None, None, 60, None)
    assert bridge.reception.window_opened is not None
    assert bridge.reception.window_opened >= before


@pytest.mark.parametrize("native", [False, True])
async def test_a_disk_that_refuses_is_told_and_no_code_is_shown(bridge: House, desk: CodeDesk, native: bool) -> None:
    file = bridge.home / "bridge.sqlite3"
    for each in bridge.home.glob("bridge.sqlite3*"):
        each.unlink()
    file.mkdir()
    with pytest.raises(BridgeError, match="cannot be read or written") as failed:
        await (desk.mint_native_link if native else desk.mint_setup_code)(None, None, 60, None)
    assert failed.value.code == "STORE"
    assert bridge.reception.window_opened is None


# Native links.


async def test_a_native_link_says_where_and_which_key_and_carries_a_token(bridge: House, desk: CodeDesk) -> None:
    before = datetime.now(UTC)
    made = await desk.mint_native_link(["screen", "voice"], None, 90, None)
    link = read_link(made.link, before)
    assert (link.host, link.port, link.spki) == (HOST_NAME, bridge.nodes.port, bridge.identity.spki)
    assert (made.id, made.spki, made.pin) == (link.token_id, bridge.identity.spki, bridge.identity.pin)
    assert made.permissions == ["screen", "voice"]
    assert made.expires_at == link.expires_at
    assert timedelta(seconds=85) < link.expires_at - before <= timedelta(seconds=90)
    known = bridge.codes.native(link.token_id)
    assert known is not None
    assert known.permissions == {"screen", "voice"}


async def test_no_token_is_on_disk_in_the_clear(bridge: House, desk: CodeDesk) -> None:
    made = read_link((await desk.mint_native_link(None, None, 60, None)).link, datetime.now(UTC))
    code = decoded((await desk.mint_setup_code(None, None, 60, None)).setup_code)
    stored = b"".join(file.read_bytes() for file in bridge.home.glob("bridge.sqlite3*"))
    assert made.token not in stored
    assert made.token.hex().encode() not in stored
    assert str(code["bootstrapToken"]).encode() not in stored


async def test_an_address_is_named_instead_of_the_name(bridge: House, desk: CodeDesk) -> None:
    made = await desk.mint_native_link(None, None, 60, "127.0.0.1")
    assert read_link(made.link, datetime.now(UTC)).host == "127.0.0.1"
    assert made.url == f"wss://127.0.0.1:{bridge.nodes.port}"


# The window, and the list.


async def test_the_window_says_until_when(bridge: House, desk: CodeDesk) -> None:
    before = datetime.now(UTC)
    window = await desk.open_window()
    assert before + WINDOW <= window.open_until <= datetime.now(UTC) + WINDOW
    assert bridge.reception.is_open


async def test_codes_are_listed_newest_first_with_their_state(bridge: House, desk: CodeDesk) -> None:
    old = await desk.mint_setup_code(None, "voice", 60, None)
    gone = await desk.mint_native_link(["screen"], None, 1, None)
    bridge.codes.bind(code_hash(str(decoded(old.setup_code)["bootstrapToken"])), IPHONE.node_id, datetime.now(UTC))
    rows = await desk.tokens()
    assert [(row.id, row.kind, row.permissions) for row in rows] == [
        (gone.id, "native", ["screen"]),
        (old.id, "openclaw", ["voice"]),
    ]
    assert (rows[1].state, rows[1].used_by) == ("used", IPHONE.node_id)
    assert rows[0].state in {"unused", "expired"}


async def test_a_code_that_was_taken_back_lets_nobody_in(bridge: House, desk: CodeDesk) -> None:
    code = await desk.mint_setup_code(None, None, 60, None)
    assert (await desk.revoke_token(code.id[:5])).state == "revoked"
    assert (await desk.tokens())[0].state == "revoked"
    async with bridge.call(IPHONE) as caller:
        await caller.connects({"bootstrapToken": str(decoded(code.setup_code)["bootstrapToken"])})
        assert (await caller.read())["error"]["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"


async def test_an_id_that_fits_none_takes_nothing_back(desk: CodeDesk) -> None:
    await desk.mint_setup_code(None, None, 60, None)
    for id in ("zzzz", "a", ""):
        with pytest.raises((UnknownId, AmbiguousId)):
            await desk.revoke_token(id)
    assert [row.state for row in await desk.tokens()] == ["unused"]
