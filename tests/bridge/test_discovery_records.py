"""Names and TXT records: golden values, hostile names, limits of DNS-SD."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.discovery_records import DiscoveryNames, build_records, choose_names

PIN = "ab" * 32
NAMES = choose_names("Anna's Mac", "0a1b2c3d")

any_text = st.text(alphabet=st.characters(), max_size=120)


def instance(name: str) -> str:
    return choose_names(name, "00000000").instance


def test_the_names_are_made_of_the_bridges_name_and_chance() -> None:
    assert NAMES.instance == "Anna's Mac (Clawdis Bridge)"
    assert NAMES.host == "clawdis-bridge-0a1b2c3d.local"
    assert NAMES.display_name == "Anna's Mac"


def test_both_records_as_the_clients_read_them() -> None:
    app, node = build_records(NAMES, PIN.upper(), app_port=18794, node_port=18790)
    assert app.full_name == "Anna's Mac (Clawdis Bridge)._openclaw-gw._tcp.local."
    assert app.host == "clawdis-bridge-0a1b2c3d.local"
    assert app.port == 18794
    assert list(app.txt.items()) == [
        ("txtvers", "1"),
        ("role", "gateway"),
        ("transport", "gateway"),
        ("gatewayPort", "18794"),
        ("lanHost", "clawdis-bridge-0a1b2c3d.local"),
        ("gatewayTls", "1"),
        ("gatewayTlsSha256", PIN),
        ("displayName", "Anna's Mac"),
    ]
    assert node.full_name == "Anna's Mac (Clawdis Bridge)._clawdis-bridge._tcp.local."
    assert node.port == 18790
    assert node.txt == app.txt | {"gatewayPort": "18790"}


def test_without_a_node_listener_there_is_no_node_record() -> None:
    records = build_records(NAMES, PIN, app_port=18794, node_port=None)
    assert [record.service for record in records] == ["_openclaw-gw._tcp.local."]


def test_without_an_app_listener_there_is_no_app_record() -> None:
    records = build_records(NAMES, PIN, app_port=None, node_port=18790)
    assert [record.service for record in records] == ["_clawdis-bridge._tcp.local."]


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_was_not_taken_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        build_records(NAMES, PIN, app_port=port, node_port=None)
    with pytest.raises(ValueError, match="port"):
        build_records(NAMES, PIN, app_port=18794, node_port=port)


def test_a_text_that_is_no_pin_is_refused() -> None:
    with pytest.raises(ValueError, match="a pin is"):
        build_records(NAMES, "none", app_port=18794, node_port=None)


@pytest.mark.parametrize("text", ["", "0a1b2c3", "0A1B2C3D", "0a1b2c3d0", "zzzzzzzz", "0a1b2c3\n"])
def test_chance_must_be_8_hexadecimal_digits(text: str) -> None:
    with pytest.raises(ValueError, match="8 lower-case"):
        choose_names("Mac", text)


@pytest.mark.parametrize(
    "name, shown",
    [
        ("Mac\0Book", "MacBook"),
        ("Mac\nBook", "Mac Book"),
        ("  Mac \t\r\n Book  ", "Mac Book"),
        ("user=anna", "user=anna"),
        ('"Mac"', '"Mac"'),
        ("Mac\\032Book", "Mac 032Book"),
        ("Mr. Smith's Mac", "Mr Smith's Mac"),
        ("a._openclaw-gw._tcp.local.", "a _openclaw-gw _tcp local"),
        ("Mac \U0001f99e", "Mac \U0001f99e"),
        ("\u202eMac\u200b", "Mac"),
        ("\ud800Mac", "Mac"),
        ("Bu\u0308ro", "Büro"),
        ("", "Clawdis"),
        (" .\\\0 ", "Clawdis"),
        ("x" * 200, "x" * 46),
        ("\U0001f99e" * 40, "\U0001f99e" * 11),
        ("x" * 45 + " y", "x" * 45),
        # The letter whose second mark does not fit goes as a whole.
        ("x" * 42 + "q\u0323\u0307", "x" * 42),
    ],
)
def test_hostile_and_long_names(name: str, shown: str) -> None:
    names = choose_names(name, "00000000")
    assert names.instance == f"{shown} (Clawdis Bridge)"
    assert names.display_name == shown


@given(any_text)
def test_an_instance_is_one_printable_label_whatever_the_name(name: str) -> None:
    label = instance(name)
    assert 0 < len(label.encode("utf-8")) <= 63
    assert label.endswith(" (Clawdis Bridge)")
    assert not set(label) & set(".\\")
    assert not [character for character in label if unicodedata.category(character).startswith("C")]
    assert unicodedata.is_normalized("NFC", label)


@given(any_text)
def test_kept_names_stay_valid(name: str) -> None:
    names = choose_names(name, "00000000")
    assert DiscoveryNames(names.instance, names.host) == names


@given(any_text, st.integers(min_value=1, max_value=65535))
def test_a_txt_record_is_small_and_each_string_fits(name: str, port: int) -> None:
    for record in build_records(choose_names(name, "00000000"), PIN, app_port=port, node_port=port):
        strings = [f"{key}={value}".encode() for key, value in record.txt.items()]
        assert all(len(string) <= 255 for string in strings)
        assert sum(1 + len(string) for string in strings) <= 400


@given(any_text)
def test_no_name_adds_a_key(name: str) -> None:
    (record,) = build_records(choose_names(name, "00000000"), PIN, app_port=1, node_port=None)
    assert set(record.txt) == {
        "txtvers", "role", "transport", "gatewayPort", "lanHost", "gatewayTls", "gatewayTlsSha256", "displayName",
    }  # fmt: skip


@pytest.mark.parametrize(
    "label, host",
    [
        ("Mac", "clawdis-bridge-00000000.local"),
        (" (Clawdis Bridge)", "clawdis-bridge-00000000.local"),
        ("a.b (Clawdis Bridge)", "clawdis-bridge-00000000.local"),
        ("a\nb (Clawdis Bridge)", "clawdis-bridge-00000000.local"),
        (f"{'x' * 47} (Clawdis Bridge)", "clawdis-bridge-00000000.local"),
        ("Mac (Clawdis Bridge)", "mac.local"),
        ("Mac (Clawdis Bridge)", "clawdis-bridge-00000000.local."),
        ("Mac (Clawdis Bridge)", "clawdis-bridge-00000000.example.com"),
        ("Mac (Clawdis Bridge)", ""),
    ],
)
def test_names_from_an_edited_file_are_refused(label: str, host: str) -> None:
    with pytest.raises(ValueError, match="of a bridge"):
        DiscoveryNames(label, host)
