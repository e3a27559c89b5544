"""Why a link is not up is said with what to do, and with the place of the secret that was refused."""

from __future__ import annotations

import re

import pytest

from bridge.upstream.channel import explain
from gateway_client.errors import (
    ConnectRefusedError,
    GatewayError,
    GatewayGoneError,
    GatewayUnreachableError,
    NotLoopbackError,
)
from gateway_client.frames import ErrorShape

URL = "ws://127.0.0.1:18789"
ORIGIN = "the token from the environment variable OPENCLAW_GATEWAY_TOKEN"


def refused(code: str) -> ConnectRefusedError:
    return ConnectRefusedError(ErrorShape("UNAUTHORIZED", "no", details={"code": code}))


@pytest.mark.parametrize(
    "error, words",
    [
        (GatewayUnreachableError(f"{URL}: [Errno 111] refused"), (URL, "openclaw gateway", "gateway.url")),
        (NotLoopbackError("192.0.2.1 is not on this machine"), ("192.0.2.1 is not on", "Set gateway.url")),
        (refused("AUTH_TOKEN_MISMATCH"), (ORIGIN, "AUTH_TOKEN_MISMATCH", "gateway.token_source")),
        (refused("PROTOCOL_MISMATCH"), ("different protocols", "npm install -g openclaw@latest")),
        (GatewayGoneError(1006, ""), ("(1006)",)),
        (GatewayGoneError(1012, "restart"), ("(1012 restart)",)),
    ],
)
def test_each_way_to_be_down_has_its_words(error: GatewayError, words: tuple[str, ...]) -> None:
    said = explain(error, URL, ORIGIN)
    assert all(word in said for word in words), said
    assert not re.search(r"Errno|\[\d", said)


def test_without_a_place_it_is_the_bridges_token() -> None:
    assert "the bridge's token" in explain(refused("AUTH_TOKEN_MISSING"), URL, "")
