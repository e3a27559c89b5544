"""Stored documents: the algebra of surfaces, and names that cannot deceive whoever reads them."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from acl.permissions import CAPABILITIES, COMMANDS, OS_PERMISSIONS, PROFILES, Permission
from bridge.pairing.records import (
    MAX_LABEL_CHARS,
    MAX_TOKENS_PER_ROLE,
    SEEN_WITHIN,
    Role,
    StoreFile,
    Surface,
    TokenEntry,
    clean_label,
    key_fingerprint,
    unique_name,
)
from tests.bridge.pairing.samples import NOON, SURFACE, labels, record

names = st.sampled_from([*sorted(COMMANDS), "no.such", "screen.", "Screen.show", ""])
caps = st.sampled_from([*sorted(CAPABILITIES), "unheard-of"])
os_names = st.sampled_from([*sorted(OS_PERMISSIONS), "unheard-of"])
surfaces = st.builds(
    Surface,
    commands=st.lists(names, max_size=8).map(tuple),
    caps=st.lists(caps, max_size=4).map(tuple),
    permissions=st.dictionaries(os_names, st.booleans(), max_size=4),
)
grants = st.frozensets(st.sampled_from(Permission))


def parts(surface: Surface) -> tuple[set[str], set[str], set[str]]:
    return set(surface.commands), set(surface.caps), set(surface.permissions)


class TestSurface:
    @given(surface=surfaces, permissions=grants)
    def test_granted_is_exactly_what_the_permissions_cover(
        self, surface: Surface, permissions: frozenset[Permission]
    ) -> None:
        granted = surface.granted(permissions)
        assert set(granted.commands) == {n for n in surface.commands if n in COMMANDS and COMMANDS[n] in permissions}
        assert set(granted.caps) == {n for n in surface.caps if n in CAPABILITIES and CAPABILITIES[n] in permissions}
        assert dict(granted.permissions) == {
            name: on
            for name, on in surface.permissions.items()
            if name in OS_PERMISSIONS and OS_PERMISSIONS[name] in permissions
        }

    @given(surface=surfaces, fewer=grants, more=grants)
    def test_more_permissions_never_grant_less(
        self, surface: Surface, fewer: frozenset[Permission], more: frozenset[Permission]
    ) -> None:
        small, large = parts(surface.granted(fewer)), parts(surface.granted(fewer | more))
        assert all(one <= other for one, other in zip(small, large, strict=True))
        assert parts(surface.granted(frozenset())) == (set(), set(), set())

    @given(one=surfaces, other=surfaces)
    def test_within_is_the_common_part_with_this_ones_values(self, one: Surface, other: Surface) -> None:
        common = one.within(other)
        pairs = zip(parts(common), parts(one), parts(other), strict=True)
        assert all(got == mine & theirs for got, mine, theirs in pairs)
        assert all(common.permissions[name] is one.permissions[name] for name in common.permissions)

    @given(one=surfaces, other=surfaces)
    def test_beyond_and_within_part_the_known_commands(self, one: Surface, other: Surface) -> None:
        beyond, within = set(one.beyond(other)), set(one.within(other).commands)
        assert not beyond & within
        assert {name for name in beyond | within if name in COMMANDS} == {n for n in one.commands if n in COMMANDS}

    @given(one=surfaces, other=surfaces)
    def test_joined_holds_both_and_nothing_else(self, one: Surface, other: Surface) -> None:
        joined = one.joined(other)
        assert all(
            got == mine | theirs for got, mine, theirs in zip(parts(joined), parts(one), parts(other), strict=True)
        )
        assert one.beyond(joined) == ()
        assert other.beyond(joined) == ()
        assert len(joined.commands) == len(set(joined.commands))

    def test_every_listed_command_is_granted_by_some_permission_and_no_other_is(self) -> None:
        everything = Surface(commands=(*COMMANDS, "no.such", "exec.run"))
        assert set(everything.granted(frozenset(Permission)).commands) == set(COMMANDS)


HOSTILE = {
    "control": ("Anna\x00's\x1b[31m\x07iPhone", "Anna's[31miPhone"),
    "line ends": ("Anna\r\nroot\u2028x\u2029y\x85z\x0bq", "Anna root x y z q"),
    "bidi": ("\u202egnorw\u202c \u2066iPhone\u2069\u200f\u200e\u061c", "gnorw iPhone"),
    "zero width": ("i\u200bP\u200ch\u200do\u2060n\ufeffe", "iPhone"),
    "soft hyphen": ("i\u00adPhone", "iPhone"),
    "tags": ("iPhone\U000e0001\U000e0068\U000e0069\U000e007f", "iPhone"),
    "private use": ("i\ue000Phone\uf8ff\U000f0000\U0010fffd", "iPhone"),
    "lone surrogate": ("i\ud800Phone", "iPhone"),
    "unassigned": ("i\U000e0fffPhone\uffff", "iPhone"),
    "invisible letters": ("i\u3164P\u115fh\u1160o\uffa0n\u2800e", "iPhone"),
    "invisible marks": ("i\u034fP\u17b4\u17b5h\ufe0fo\U000e0100n\u180be", "iPhone"),
    "wide blanks": ("Anna's\u3000\u00a0\u2003  iPhone\t", "Anna's iPhone"),
}


class TestNames:
    @pytest.mark.parametrize(("given_name", "shown"), HOSTILE.values(), ids=HOSTILE)
    def test_a_hostile_name_is_cleaned(self, given_name: str, shown: str) -> None:
        assert clean_label(given_name, "phone") == shown

    @pytest.mark.parametrize("nothing", ["", " ", "\u200b\u202e", "\u3164", "\ufe0f\u2800", "\x00" * 100, "\ue000"])
    def test_a_name_of_which_nothing_shows_becomes_the_fallback(self, nothing: str) -> None:
        assert clean_label(nothing, "phone") == "phone"

    @pytest.mark.parametrize("honest", ["Anna's iPhone", "Телефон", "安娜的手机", "Anna 📱", "Ünï-çødé", "a < b & c"])
    def test_an_honest_name_stays(self, honest: str) -> None:
        assert clean_label(honest, "phone") == honest

    def test_ten_thousand_characters_become_64(self) -> None:
        assert clean_label("x" * 10_000, "phone") == "x" * MAX_LABEL_CHARS
        assert clean_label("x" * 63 + " y" * 5_000, "phone") == "x" * 63

    @given(text=st.text(max_size=200))
    def test_a_cleaned_name_is_one_short_visible_line_and_stays_itself(self, text: str) -> None:
        shown = clean_label(text, "phone")
        assert 1 <= len(shown) <= MAX_LABEL_CHARS
        assert shown == " ".join(shown.split())
        assert not any(unicodedata.category(character)[0] == "C" for character in shown)
        assert clean_label(shown, "other") == shown

    def test_two_nodes_of_one_name_have_two_names_at_the_gateway(self) -> None:
        one, other = record(1), record(2)
        assert one.labels.display_name == other.labels.display_name
        assert unique_name(one) == f"Anna's iPhone [{one.node_id[:6]}]"
        assert unique_name(one) != unique_name(other)

    def test_a_fingerprint_is_80_bits_of_a_hash_in_groups_of_four(self) -> None:
        shown = key_fingerprint(record(1).node_id)
        assert [len(group) for group in shown.split(" ")] == [4] * 5
        assert shown != key_fingerprint(record(2).node_id)
        assert shown.replace(" ", "") not in record(1).node_id


class TestKind:
    @pytest.mark.parametrize("platform", ["ios 26.1", "iOS 26.2", "IOS"])
    def test_another_version_is_the_same_kind(self, platform: str) -> None:
        assert labels().same_kind(labels("Other name", platform=platform))

    @pytest.mark.parametrize(("platform", "family"), [("android 15", "iPhone"), ("ios 26.1", "iPad"), ("ios 26.1", "")])
    def test_another_platform_class_or_family_is_another_kind(self, platform: str, family: str) -> None:
        assert not labels().same_kind(labels(platform=platform, family=family))

    def test_newer_versions_are_taken_and_nothing_else(self) -> None:
        newer = labels("Other name", platform="ios 27.0", family="iPad").model_copy(update={"client_version": "9"})
        assert labels().refreshed(newer) == labels(platform="ios 27.0").model_copy(update={"client_version": "9"})


class TestRecord:
    def test_the_surface_is_what_was_declared_and_is_permitted(self) -> None:
        surface = record().declared.granted(record().granted)
        assert set(surface.commands) == {"screen.show", "screen.eval", "device.info"}
        assert surface.caps == ("screen",)
        assert dict(surface.permissions) == {"microphone": True}

    @pytest.mark.parametrize("profile", PROFILES)
    def test_an_operator_socket_gets_scopes_with_chat_only(self, profile: str) -> None:
        scopes = record(permissions=tuple(PROFILES[profile])).operator_scopes
        assert scopes == ({"operator.read", "operator.write"} if Permission.CHAT in PROFILES[profile] else set())

    def test_tokens_of_the_two_roles_are_apart(self) -> None:
        entry = TokenEntry(hash="00" * 32, issued_at=NOON)
        changed = record().with_tokens(Role.OPERATOR, (entry,))
        assert changed.tokens(Role.OPERATOR) == (entry,)
        assert changed.tokens(Role.NODE) == ()

    def test_only_so_many_tokens_are_kept_and_the_one_in_use_is_among_them(self) -> None:
        used = TokenEntry(hash="used", issued_at=NOON, used=True)
        newer = tuple(TokenEntry(hash=f"newer-{number}", issued_at=NOON) for number in range(9))
        kept = record().with_tokens(Role.NODE, (used, *newer)).node_tokens
        assert len(kept) == MAX_TOKENS_PER_ROLE
        assert kept[0] == used
        assert kept[1:] == newer[-3:]
        assert record().with_tokens(Role.NODE, newer).node_tokens == newer[-MAX_TOKENS_PER_ROLE:]

    def test_it_is_read_back_as_it_was_written(self) -> None:
        stored = StoreFile(nodes=(record(1, revoked_at=NOON, revocation_told=(Role.NODE,)), record(2)))
        assert StoreFile.model_validate_json(stored.model_dump_json(by_alias=True)) == stored

    def test_an_unknown_member_is_refused_on_reading(self) -> None:
        with pytest.raises(ValidationError, match="extra"):
            Surface.model_validate({"commands": [], "admin": True})

    def test_it_cannot_be_changed_in_place(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            SURFACE.commands = ("system.run",)  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("known", "kept"),
    [
        (None, False),
        (NOON, True),
        (NOON - SEEN_WITHIN + timedelta(seconds=1), True),
        (NOON - SEEN_WITHIN, False),
        (NOON + timedelta(seconds=1), False),
    ],
    ids=["never", "now", "lately", "long-ago", "the clock went back"],
)
def test_who_comes_all_the_time_is_not_written_down_all_the_time(known: datetime | None, kept: bool) -> None:
    """Red when each connect is a write to disk: everything else that is to be written waits behind it."""
    assert record().model_copy(update={"last_seen_at": known}).seen(NOON) == (known if kept else NOON)
