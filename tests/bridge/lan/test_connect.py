"""The schema of `connect`: each member, each limit, and which client may be what."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.lan.connect import (
    MODES,
    NODE_CLIENTS,
    OPERATOR_CLIENTS,
    Auth,
    ConnectShapeError,
    read_connect,
)
from bridge.pairing.records import Role
from tests.bridge.lan.phones import ALL_PHONES, IPHONE, Json, Phone

# Every id of the schema (gateway-protocol §2.2), and one that it does not know.
GATEWAY_CLIENTS = [
    *("webchat-ui", "openclaw-control-ui", "openclaw-browser-copilot", "openclaw-tui", "webchat", "cli"),
    *("gateway-client", "openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-watchos", "openclaw-android"),
    *("node-host", "openclaw-worker", "test", "fingerprint", "openclaw-probe", "ios-node"),
]


def changed(path: str, value: Any) -> Json:
    """Returns good parameters with one member replaced, wherever it is."""
    params = IPHONE.signed(IPHONE.params(auth={"token": "t"}))
    *outer, last = path.split(".")
    inside = params
    for name in outer:
        inside[name] = dict(inside[name])
        inside = inside[name]
    inside[last] = value
    return params


@pytest.mark.parametrize("phone", ALL_PHONES, ids=lambda phone: phone.client_id)
def test_what_real_clients_send_is_understood(phone: Phone) -> None:
    connect = read_connect(phone.signed(phone.params(auth={"deviceToken": "t"})))

    assert connect.role is Role.NODE
    assert connect.client.id == phone.client_id
    assert connect.device is not None
    assert connect.device.id == phone.node_id
    assert connect.surface().commands == tuple(sorted(phone.commands))
    assert connect.labels() == phone.labels()


@pytest.mark.parametrize("params", [None, [], "connect", 4, True])
def test_parameters_that_are_no_object_are_refused(params: Any) -> None:
    with pytest.raises(ConnectShapeError, match="not an object"):
        read_connect(params)


@pytest.mark.parametrize(
    "path",
    ["bogus", "client.bogus", "device.bogus", "auth.bogus", "pathEnv", "locale", "userAgent", "computerUse"],
)
def test_unknown_members_are_ignored(path: str) -> None:
    assert read_connect(changed(path, {"any": [1]})) == read_connect(changed("scopes", []))


LONG = "x" * 10_000
TEXTS = ["client.version", "client.platform"]
OPTIONAL = ["client.deviceFamily", "client.modelIdentifier", "client.instanceId"]
NOT_TEXT = [4, True, None, ["x"], {"a": "b"}, 1.5]


@pytest.mark.parametrize("path", [*TEXTS, *OPTIONAL, "client.displayName", "device.publicKey", "device.nonce"])
@pytest.mark.parametrize("value", [*NOT_TEXT, LONG], ids=repr)
def test_a_text_of_another_type_or_too_long_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ConnectShapeError, match=path.replace(".", "/")):
        read_connect(changed(path, value))


@pytest.mark.parametrize("path", [*TEXTS, *OPTIONAL])
@pytest.mark.parametrize("value", ["iOS\n26", "i\u0399OS", "\u202eSOi", "zero\u200bwidth", "\x00", "del\x7f"])
def test_a_label_is_printable_ascii(path: str, value: str) -> None:
    with pytest.raises(ConnectShapeError):
        read_connect(changed(path, value))


@pytest.mark.parametrize("path", TEXTS)
def test_a_required_label_is_not_empty_and_has_64_characters_at_most(path: str) -> None:
    with pytest.raises(ConnectShapeError):
        read_connect(changed(path, ""))
    with pytest.raises(ConnectShapeError):
        read_connect(changed(path, "x" * 65))
    read_connect(changed(path, "x" * 64))


def test_a_display_name_may_have_any_letters_and_is_cleaned() -> None:
    connect = read_connect(changed("client.displayName", "  Änna\u202e's\tPhone\u200b 📱  "))
    assert connect.labels().display_name == "Änna's Phone 📱"


def test_a_display_name_of_nothing_visible_falls_back_to_the_family() -> None:
    assert read_connect(changed("client.displayName", "\u202e\u200b")).labels().display_name == "iPhone"


@pytest.mark.parametrize("path", ["commands", "caps", "scopes"])
@pytest.mark.parametrize(
    "value",
    [
        "screen.show",
        None,
        {"screen.show": True},
        [""],
        ["a b"],
        ["screen.sho\u0461"],
        [4],
        [None],
        ["x" * 129],
        ["x"] * 257,
        [["x"]],
    ],
    ids=lambda value: repr(value)[:24],
)
def test_lists_hold_names_and_nothing_else(path: str, value: Any) -> None:
    with pytest.raises(ConnectShapeError, match=path):
        read_connect(changed(path, value))


def test_there_are_at_most_32_scopes() -> None:
    read_connect(changed("scopes", ["x"] * 32))
    with pytest.raises(ConnectShapeError, match="scopes"):
        read_connect(changed("scopes", ["x"] * 33))


@pytest.mark.parametrize(
    "value", [["camera"], {"camera": 1}, {"camera": "true"}, {"": True}, {f"p{n}": True for n in range(65)}, None]
)
def test_permissions_are_a_small_map_of_booleans(value: Any) -> None:
    with pytest.raises(ConnectShapeError, match="permissions"):
        read_connect(changed("permissions", value))


@pytest.mark.parametrize("path", ["minProtocol", "maxProtocol"])
@pytest.mark.parametrize("value", [0, -1, 2**31, "4", 4.0, True, None])
def test_a_protocol_version_is_a_small_integer(path: str, value: Any) -> None:
    with pytest.raises(ConnectShapeError, match=path):
        read_connect(changed(path, value))


@pytest.mark.parametrize("path", ["minProtocol", "maxProtocol", "client", "client.id", "client.mode", "client.version"])
def test_required_members_are_required(path: str) -> None:
    params = changed(path, None)
    *outer, last = path.split(".")
    inside = params
    for name in outer:
        inside = inside[name]
    del inside[last]
    with pytest.raises(ConnectShapeError, match=path.replace(".", "/")):
        read_connect(params)


@pytest.mark.parametrize("name", ["id", "publicKey", "signature", "signedAt", "nonce"])
def test_a_device_block_is_complete(name: str) -> None:
    params = changed("device.id", IPHONE.node_id)
    del params["device"][name]
    with pytest.raises(ConnectShapeError, match=f"device/{name}"):
        read_connect(params)


@pytest.mark.parametrize("value", ["", "A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 63 + "\n", " " + "a" * 63])
def test_a_device_id_is_64_lower_case_hex_digits(value: str) -> None:
    with pytest.raises(ConnectShapeError, match="device/id"):
        read_connect(changed("device.id", value))


@pytest.mark.parametrize("value", [-1, 2**53 + 1, 1.5, "1795208478080", True, None])
def test_signed_at_is_a_count_of_milliseconds(value: Any) -> None:
    with pytest.raises(ConnectShapeError, match="device/signedAt"):
        read_connect(changed("device.signedAt", value))


@pytest.mark.parametrize("name", ["token", "deviceToken", "bootstrapToken", "password"])
def test_a_secret_is_a_text_of_bounded_length(name: str) -> None:
    read_connect(changed("auth", {name: "x" * 512}))
    for value in (5, ["x"], "x" * 513):
        with pytest.raises(ConnectShapeError, match=f"auth/{name}"):
            read_connect(changed("auth", {name: value}))


def test_an_error_never_repeats_what_was_sent() -> None:
    with pytest.raises(ConnectShapeError) as failed:
        read_connect(changed("auth", {"token": "hunter2" * 100}))
    assert "hunter2" not in str(failed.value)
    assert "hunter2" not in repr(Auth(token="hunter2"))


@pytest.mark.parametrize("value", ["Node", "node ", "", "admin", "worker", None, 1, ["node"], True])
def test_a_role_is_one_of_two(value: Any) -> None:
    with pytest.raises(ConnectShapeError, match="role"):
        read_connect(changed("role", value))


def test_without_a_role_it_is_an_operator() -> None:
    params = IPHONE.params("operator")
    del params["role"]
    assert read_connect(params).role is Role.OPERATOR


@pytest.mark.parametrize("role", ["node", "operator"])
@pytest.mark.parametrize("mode", ["node", "ui", "webchat", "cli", "backend", "worker", "probe", "test"])
@pytest.mark.parametrize("client_id", GATEWAY_CLIENTS)
def test_only_phones_and_node_hosts_with_the_mode_of_their_role_get_in(role: str, mode: str, client_id: str) -> None:
    params = IPHONE.params(role)
    params["client"] |= {"id": client_id, "mode": mode}
    phones = {"openclaw-ios", "openclaw-android", "openclaw-watchos", "openclaw-macos", "openclaw-linux"}
    allowed = {("node", "node"): phones | {"node-host"}, ("operator", "ui"): phones}.get((role, mode), set())

    if client_id in allowed:
        assert read_connect(params).client.id == client_id
    else:
        with pytest.raises(ConnectShapeError, match=r"at client: not a client that may be a (node|operator) here"):
            read_connect(params)


def test_the_tables_of_clients_are_those_of_the_matrix() -> None:
    assert OPERATOR_CLIENTS < NODE_CLIENTS < set(GATEWAY_CLIENTS)
    assert MODES == {Role.NODE: "node", Role.OPERATOR: "ui"}


@pytest.mark.parametrize(
    ("auth", "signed"),
    [
        ({}, ""),
        ({"token": "t", "deviceToken": "d", "bootstrapToken": "b", "password": "p"}, "t"),
        ({"deviceToken": "d", "bootstrapToken": "b"}, "d"),
        ({"bootstrapToken": "b"}, "b"),
        ({"password": "p"}, ""),
        ({"token": "", "deviceToken": "d"}, ""),
        ({"token": None, "deviceToken": "d"}, "d"),
        ({"token": None, "deviceToken": "", "bootstrapToken": "b"}, ""),
    ],
)
def test_the_signed_token_is_the_first_present_and_an_empty_text_is_present(auth: Json, signed: str) -> None:
    assert read_connect(changed("auth", auth)).auth.signed_token == signed


def test_the_order_of_a_declaration_is_never_a_change() -> None:
    one = read_connect(changed("commands", ["screen.show", "device.info", "screen.show"]))
    other = read_connect(changed("commands", ["device.info", "screen.show"]))
    assert one.surface() == other.surface()
