"""Native links: what is made can be read, and everything else is refused before anybody is dialled."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pairing.native_link import LINK_PREFIX, MAX_LINK_CHARS, LinkRefused, NativeLink, read_link
from tests.bridge.pairing.samples import NOON

TOKEN = bytes(range(100, 132))
LINK = NativeLink("clawdis-bridge-0a1b2c3d.local", 18790, "ab" * 32, "t-1", TOKEN, NOON + timedelta(minutes=5))
ENCODED_TOKEN = base64.urlsafe_b64encode(TOKEN).rstrip(b"=").decode()
MEMBERS = ("v", "host", "port", "spki", "tokenId", "token", "exp")

Edit = Callable[[dict[str, Any]], object]  # Any: tests put every wrong type there


def encoded(raw: bytes) -> str:
    return LINK_PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def document() -> dict[str, Any]:
    body = LINK.text().removeprefix(LINK_PREFIX)
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def edited(edit: Edit) -> str:
    made = document()
    edit(made)
    return encoded(json.dumps(made).encode())


class TestText:
    def test_it_is_the_prefix_and_base64url_of_compact_json(self) -> None:
        assert LINK.text().startswith("clawdis-bridge://pair#")
        assert document() == {
            "v": 1,
            "host": "clawdis-bridge-0a1b2c3d.local",
            "port": 18790,
            "spki": "ab" * 32,
            "tokenId": "t-1",
            "token": ENCODED_TOKEN,
            "exp": int((NOON + timedelta(minutes=5)).timestamp()),
        }
        assert len(ENCODED_TOKEN) == 43

    def test_what_is_made_can_be_read(self) -> None:
        assert read_link(LINK.text(), NOON) == LINK

    @given(
        host=st.one_of(st.just("mac.local"), st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)),
        port=st.integers(1, 65535),
        token=st.binary(min_size=32, max_size=32),
        seconds=st.integers(1, 10**9),
    )
    def test_whatever_can_be_made_can_be_read(self, host: str, port: int, token: bytes, seconds: int) -> None:
        try:
            link = NativeLink(host, port, "0" * 64, "T.1:a-b_c", token, NOON + timedelta(seconds=seconds))
        except LinkRefused:
            assert host.startswith("::")  # an IPv4 address in IPv6 clothes, or not in its shortest spelling
            return
        assert read_link(link.text(), NOON) == link
        assert len(link.text()) <= MAX_LINK_CHARS

    def test_the_longest_one_fits(self) -> None:
        name = ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 61])
        longest = replace(LINK, host=name, port=65535, token_id="t" * 128)
        assert len(longest.text()) < MAX_LINK_CHARS / 2
        assert read_link(longest.text(), NOON) == longest

    def test_the_token_is_in_no_repr(self) -> None:
        shown = repr(LINK) + str(LINK)
        assert ENCODED_TOKEN not in shown
        assert repr(TOKEN) not in shown

    @pytest.mark.parametrize(
        "wrong",
        [
            {"host": "Mac.local"}, {"host": "u@mac.local"}, {"port": 0}, {"spki": "AB" * 32}, {"token_id": ""},
            {"token": b"short"},
        ],
    )  # fmt: skip
    def test_none_can_be_made_that_could_not_be_read(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(LinkRefused):
            replace(LINK, **wrong)


class TestTime:
    def test_it_is_good_until_the_second_it_ends(self) -> None:
        assert read_link(LINK.text(), LINK.expires_at - timedelta(microseconds=1)) == LINK

    @pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), timedelta(days=400)])
    def test_afterwards_it_has_expired(self, late: timedelta) -> None:
        with pytest.raises(LinkRefused, match="expired"):
            read_link(LINK.text(), LINK.expires_at + late)

    @pytest.mark.parametrize("exp", [0, -1, 10**12, 2**53 - 1, 2**60])
    def test_a_time_that_is_none_is_refused(self, exp: int) -> None:
        with pytest.raises(LinkRefused):
            read_link(edited(lambda made: made.update(exp=exp)), NOON)


class TestRefused:
    @pytest.mark.parametrize(
        "text",
        [
            "", "#", "pair#", LINK.text().removeprefix(LINK_PREFIX), LINK_PREFIX,
            LINK.text().replace("clawdis-bridge://", "https://"), LINK.text().replace("clawdis-bridge://", "http://"),
            LINK.text().replace("clawdis-bridge://", "oc-pair://"), LINK.text().replace("clawdis", "CLAWDIS"),
            LINK.text().replace("://pair", "://user@pair"), LINK.text().replace("://pair", "://user:pw@pair"),
            LINK.text().replace("://pair", "://pair:1"), LINK.text().replace("://pair", "://evil"),
            LINK.text().replace("#", "/#"), LINK.text().replace("#", "?"), LINK.text().replace("#", "?x#"),
            " " + LINK.text(), LINK.text() + " ", LINK.text() + "\n", LINK.text() + "\0", LINK.text() + "=",
            LINK.text()[:60] + "\t" + LINK.text()[60:], LINK.text() + "#", LINK.text() + "\u00e9",
            LINK.text()[:-5], LINK.text() + "A",
        ],
    )  # fmt: skip
    def test_another_spelling(self, text: str) -> None:
        with pytest.raises(LinkRefused):
            read_link(text, NOON)

    @pytest.mark.parametrize("name", MEMBERS)
    def test_a_member_that_is_missing(self, name: str) -> None:
        with pytest.raises(LinkRefused):
            read_link(edited(lambda made: made.pop(name)), NOON)

    @pytest.mark.parametrize("name", MEMBERS)
    @pytest.mark.parametrize("value", [None, True, 1.0, [], {}, "", -1, 1e300, "\x00", ["a"]])
    def test_a_member_of_another_kind(self, name: str, value: object) -> None:
        with pytest.raises(LinkRefused):
            read_link(edited(lambda made: made.update({name: value})), NOON)

    @pytest.mark.parametrize("version", [0, 2, 2**53 - 1])
    def test_another_version(self, version: int) -> None:
        with pytest.raises(LinkRefused, match="version"):
            read_link(edited(lambda made: made.update(v=version)), NOON)

    def test_a_member_too_many(self) -> None:
        with pytest.raises(LinkRefused, match="other members"):
            read_link(edited(lambda made: made.update({"\x1b[31mevil": 1})), NOON)

    @pytest.mark.parametrize(
        "host",
        [
            "user@mac.local", "user:pw@mac.local", "mac.local:18790", "mac.local/x", "mac.local?x", "mac.local#x", "",
            "https://mac.local", "[fd00::1]", "fe80::1%en0", "::ffff:192.168.1.2", "m\u00e4c.local", "mac\n.local",
            "mac.local\n", "mac\x00.local", "1.2.3", "2130706433", "0x7f.1", "-mac", "mac..local", "mac.local.",
            "a" * 64, "a." * 127 + "bc",
        ],
    )  # fmt: skip
    def test_a_host_that_is_neither_name_nor_address(self, host: str) -> None:
        with pytest.raises(LinkRefused, match="host"):
            read_link(edited(lambda made: made.update(host=host)), NOON)

    def test_a_name_in_capitals_is_read_in_normal_form(self) -> None:
        assert read_link(edited(lambda made: made.update(host="Annas-MAC.local")), NOON).host == "annas-mac.local"

    @pytest.mark.parametrize("port", [0, -1, 65536, 2**31])
    def test_a_port_that_is_none(self, port: int) -> None:
        with pytest.raises(LinkRefused, match="port"):
            read_link(edited(lambda made: made.update(port=port)), NOON)

    @pytest.mark.parametrize(
        "spki", ["AB" * 32, "ab" * 31, "ab" * 33, "sha256:" + "ab" * 32, "ab:" * 31 + "ab", "g" * 64]
    )
    def test_a_fingerprint_in_another_form(self, spki: str) -> None:
        with pytest.raises(LinkRefused, match="fingerprint"):
            read_link(edited(lambda made: made.update(spki=spki)), NOON)

    @pytest.mark.parametrize(
        "token",
        [
            ENCODED_TOKEN[:-1], ENCODED_TOKEN + "A", ENCODED_TOKEN + "=", "+" + ENCODED_TOKEN[1:], " " + ENCODED_TOKEN,
            ENCODED_TOKEN[:-1] + "_", "\n" + ENCODED_TOKEN,
        ],
    )  # fmt: skip
    def test_a_token_that_is_not_32_bytes_of_base64url(self, token: str) -> None:
        with pytest.raises(LinkRefused, match="token"):
            read_link(edited(lambda made: made.update(token=token)), NOON)

    @pytest.mark.parametrize("token_id", ["", "-a", "a b", "a/b", "a" * 129, "\u00e4"])
    def test_a_token_id_that_is_none(self, token_id: str) -> None:
        with pytest.raises(LinkRefused, match="token"):
            read_link(edited(lambda made: made.update(tokenId=token_id)), NOON)

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff", b"{}{}", b"\xef\xbb\xbf{}"])
    def test_what_is_no_json_object(self, raw: bytes) -> None:
        with pytest.raises(LinkRefused):
            read_link(encoded(raw), NOON)

    def test_a_member_that_stands_twice(self) -> None:
        raw = json.dumps(document()).encode()
        with pytest.raises(LinkRefused):
            read_link(encoded(raw.replace(b'{"v"', b'{"port":1,"v"')), NOON)

    def test_it_is_measured_before_it_is_decoded(self) -> None:
        padding = " " * 3000
        with pytest.raises(LinkRefused, match="2048"):
            read_link(encoded(json.dumps(document()).encode() + padding.encode()), NOON)
        with pytest.raises(LinkRefused, match="2048"):
            read_link("x" * (MAX_LINK_CHARS + 1), NOON)

    @given(
        text=st.one_of(
            st.text(max_size=80), st.binary(max_size=300).map(encoded), st.text(max_size=60).map(LINK_PREFIX.__add__)
        )
    )
    def test_nothing_but_link_refused_comes_out(self, text: str) -> None:
        with pytest.raises(LinkRefused):
            read_link(text, NOON)

    @given(
        changes=st.dictionaries(
            st.sampled_from(sorted(document())),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-(2**53), 2**53)
                | st.floats(allow_nan=False)
                | st.text(max_size=70),
                lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
                max_leaves=3,
            ),
            min_size=1,
        )
    )
    def test_changed_members_are_refused_or_read_as_they_stand(self, changes: dict[str, Any]) -> None:
        try:
            link = read_link(edited(lambda made: made.update(changes)), NOON)
        except LinkRefused:
            return
        assert link.port == changes.get("port", LINK.port)
        assert link.spki == changes.get("spki", LINK.spki)
        assert link.token_id == changes.get("tokenId", LINK.token_id)

    def test_the_error_says_what_to_do_and_repeats_nothing(self) -> None:
        with pytest.raises(LinkRefused) as refused:
            read_link(edited(lambda made: made.update(token=ENCODED_TOKEN + "AB")), NOON)
        assert "clawdis-bridge pair --qr --native" in str(refused.value)
        assert ENCODED_TOKEN[:20] not in str(refused.value)
