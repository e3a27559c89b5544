"""Setup codes: exactly the form that the apps' decoder takes, and a token that shows nowhere else."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.permissions import PROFILES
from bridge.pairing.setup_code import CodeState, SetupCode, code_hash, is_spent_by, may_bind, may_finish, setup_url
from tests.bridge.pairing.samples import NOON

TOKEN = "k" * 43
PIN = "ab" * 32


def code(url: str = "wss://clawdis-bridge-0a1b2c3d.local:18794") -> SetupCode:
    return SetupCode("c1", TOKEN, url, PIN, PROFILES["phone"], NOON + timedelta(minutes=5))


def decoded(made: SetupCode) -> dict[str, object]:
    text = made.text()
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


class TestText:
    def test_it_is_base64url_of_compact_json_with_the_decoders_keys(self) -> None:
        text = code().text()
        assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        assert json.dumps(json.loads(raw), separators=(",", ":"), ensure_ascii=False).encode() == raw
        assert decoded(code()) == {
            "url": "wss://clawdis-bridge-0a1b2c3d.local:18794",
            "tlsFingerprint": PIN,
            "expiresAtMs": int((NOON + timedelta(minutes=5)).timestamp()) * 1000,
            "bootstrapToken": TOKEN,
        }

    def test_the_expiry_is_an_integer_and_there_is_one_url_only(self) -> None:
        assert type(decoded(code())["expiresAtMs"]) is int
        assert "urls" not in decoded(code())

    def test_the_link_is_the_scheme_and_the_code(self) -> None:
        assert code().link() == f"oc-pair://{code().text()}"

    def test_the_token_is_in_no_repr(self) -> None:
        assert TOKEN not in repr(code())
        assert TOKEN not in str(code())


class TestUrl:
    @pytest.mark.parametrize(
        ("host", "shown"),
        [
            ("Annas-Mac.local", "annas-mac.local"),
            ("CLAWDIS-BRIDGE-0A1B2C3D.LOCAL", "clawdis-bridge-0a1b2c3d.local"),
            ("192.168.1.20", "192.168.1.20"),
            ("fd00::1", "[fd00::1]"),
            ("FD00:0:0:0:0:0:0:1", "[fd00::1]"),
            ("fe80:0000::0A", "[fe80::a]"),
            ("mac", "mac"),
            ("3com.local", "3com.local"),
        ],
    )
    def test_the_host_is_in_normal_form(self, host: str, shown: str) -> None:
        assert setup_url(host, 18794) == f"wss://{shown}:18794"

    @pytest.mark.parametrize(
        "host",
        [
            "", " ", "a b", "a/b", "user@mac.local", "mac.local:1", "mac.local/x", "mac.local?x", "mac.local#x",
            "[fd00::1]", "fe80::1%en0", "fe80::1%25en0", "::ffff:192.168.1.2", "-mac.local", "mac-.local", "mac..local",
            "mac.local.", ".local", "m\u00e4c.local", "mac\n.local", "mac.local\n", "x" * 64 + ".local",
            "a." * 127 + "local", "1.2.3", "192.168.1.256", "0x7f.1", "mac.1", "mac.0x7F", "0x", "mac_1.local",
            "%6dac.local", "mac\\x.local", "a:b",
        ],
    )  # fmt: skip
    def test_what_is_no_host_is_refused(self, host: str) -> None:
        with pytest.raises(ValueError, match=r"host name or address|cannot stand"):
            setup_url(host, 18794)

    @pytest.mark.parametrize("port", [0, -1, 65536, 443])
    def test_the_default_port_and_impossible_ones_are_refused(self, port: int) -> None:
        with pytest.raises(ValueError, match="port"):
            setup_url("mac.local", port)

    @pytest.mark.parametrize("port", [1, 80, 8443, 65535])
    def test_any_other_port_is_written(self, port: int) -> None:
        assert setup_url("mac.local", port) == f"wss://mac.local:{port}"

    @given(host=st.one_of(st.text(max_size=40), st.ip_addresses().map(str)), port=st.integers(-1, 70_000))
    def test_whatever_is_accepted_has_only_scheme_host_and_port(self, host: str, port: int) -> None:
        try:
            url = setup_url(host, port)
        except ValueError:
            return
        parts = urlsplit(url)
        assert (parts.scheme, parts.port, parts.username, parts.path, parts.query, parts.fragment) == (
            "wss", port, None, "", "", ""
        )  # fmt: skip
        assert url == url.lower() == url.strip()
        assert url.isascii()


class TestRules:
    def state(self, **members: object) -> CodeState:
        given_members = {"bound_to": None, "revoked": False, **members}
        made = NOON - timedelta(minutes=5)
        return CodeState("c1", "ab" * 32, PROFILES["phone"], NOON, made, **given_members)  # type: ignore[arg-type]  # a dict of the two

    def test_an_unused_code_is_good_until_the_moment_it_ends(self) -> None:
        assert may_bind(self.state(), NOON - timedelta(microseconds=1))
        assert not may_bind(self.state(), NOON)
        assert not may_bind(self.state(), NOON + timedelta(days=1))

    @pytest.mark.parametrize("members", [{"bound_to": "aa"}, {"revoked": True}])
    def test_a_used_or_revoked_one_is_not(self, members: dict[str, object]) -> None:
        assert not may_bind(self.state(**members), NOON - timedelta(minutes=1))

    def test_it_is_spent_by_the_one_key_that_used_it(self) -> None:
        assert is_spent_by(self.state(bound_to="aa"), "aa")
        assert not is_spent_by(self.state(bound_to="aa"), "bb")
        assert not is_spent_by(self.state(), "aa")
        assert not is_spent_by(self.state(bound_to="aa", revoked=True), "aa")

    def test_the_key_that_used_it_may_finish_while_it_is_valid(self) -> None:
        before = NOON - timedelta(minutes=1)
        assert may_finish(self.state(bound_to="aa"), "aa", before)
        assert not may_finish(self.state(bound_to="aa"), "bb", before)
        assert not may_finish(self.state(bound_to="aa"), "aa", NOON)
        assert not may_finish(self.state(bound_to="aa", revoked=True), "aa", before)

    def test_the_stored_hash_has_its_own_label(self) -> None:
        assert code_hash(TOKEN) != code_hash(TOKEN + " ")
        assert TOKEN not in code_hash(TOKEN)
        assert re.fullmatch(r"[0-9a-f]{64}", code_hash(TOKEN))
