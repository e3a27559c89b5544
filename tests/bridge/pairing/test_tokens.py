"""Device tokens: minted, found without a shortcut, ended by the first use of a newer one."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pairing.records import MAX_TOKENS_PER_ROLE, NodeRecord, Role, TokenEntry
from bridge.pairing.tokens import TOKEN_BYTES, MintedToken, TokenEndedError, find, first_use, issue, mint, token_hash
from tests.bridge.pairing.samples import NOON, record


def minted(number: int) -> MintedToken:
    return mint(number.to_bytes(TOKEN_BYTES, "big"), NOON)


def holding(*numbers: int) -> NodeRecord:
    node = record()
    for number in numbers:
        node = issue(node, Role.NODE, minted(number))
    return node


class TestMint:
    def test_a_token_is_43_characters_of_base64url(self) -> None:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", mint(b"\xff" * TOKEN_BYTES, NOON).text)

    @pytest.mark.parametrize("length", [0, 16, 31, 33])
    def test_too_little_or_too_much_chance_is_refused(self, length: int) -> None:
        with pytest.raises(ValueError, match="32 random bytes"):
            mint(b"\x01" * length, NOON)

    def test_what_is_kept_is_a_labelled_hash_and_not_the_token(self) -> None:
        token = minted(7)
        assert token.text not in token.entry.model_dump_json()
        assert token.entry.hash == token_hash(token.text)
        assert token.entry.hash != hashlib.sha256(token.text.encode()).hexdigest()
        assert not token.entry.used

    def test_the_token_is_in_no_repr(self) -> None:
        token = minted(7)
        assert token.text not in repr(token)
        assert token.text not in repr(holding(7))


class TestFind:
    @pytest.mark.parametrize("place", range(MAX_TOKENS_PER_ROLE))
    def test_every_token_that_is_held_is_found(self, place: int) -> None:
        numbers = range(1, MAX_TOKENS_PER_ROLE + 1)
        assert find(holding(*numbers).node_tokens, minted(numbers[place]).text) == minted(numbers[place]).entry

    @given(presented=st.text(max_size=64))
    def test_an_unknown_text_is_never_found(self, presented: str) -> None:
        held = holding(1, 2, 3).node_tokens
        texts = {minted(number).text for number in (1, 2, 3)}
        assert (find(held, presented) is not None) == (presented in texts)

    @pytest.mark.parametrize("near", ["{0} ", " {0}", "{0}=", "{0}\n", "{0}\0"])
    def test_what_only_resembles_a_token_is_not_found(self, near: str) -> None:
        assert find(holding(1).node_tokens, near.format(minted(1).text)) is None
        assert find(holding(1).node_tokens, minted(1).text[:-1]) is None
        assert find(holding(1).node_tokens, minted(1).entry.hash) is None

    def test_nothing_is_found_among_none(self) -> None:
        assert find((), minted(1).text) is None

    @pytest.mark.parametrize("place", range(4))
    def test_every_entry_is_compared_wherever_the_match_is(self, place: int) -> None:
        compared: list[int] = []

        class Watched(TokenEntry):
            number: int

            def __getattribute__(self, name: str) -> object:
                if name == "hash":
                    compared.append(object.__getattribute__(self, "__dict__")["number"])
                return super().__getattribute__(name)

        entries = [Watched(hash=minted(number).entry.hash, issued_at=NOON, number=number) for number in range(4)]
        compared.clear()
        assert find(entries, minted(place).text) is entries[place]
        assert compared == [0, 1, 2, 3]


class TestUse:
    def test_the_first_use_ends_the_older_ones_and_not_the_newer(self) -> None:
        node = first_use(holding(1, 2, 3), Role.NODE, minted(2).entry)
        assert find(node.node_tokens, minted(1).text) is None
        assert find(node.node_tokens, minted(2).text) == minted(2).entry.model_copy(update={"used": True})
        assert find(node.node_tokens, minted(3).text) == minted(3).entry

    def test_a_later_use_changes_nothing(self) -> None:
        node = issue(first_use(holding(1), Role.NODE, minted(1).entry), Role.NODE, minted(2))
        used = find(node.node_tokens, minted(1).text)
        assert used is not None
        assert first_use(node, Role.NODE, used) == node

    def test_two_sockets_that_present_one_fresh_token_at_once_both_succeed(self) -> None:
        fresh = minted(1).entry
        once = first_use(holding(1), Role.NODE, fresh)
        assert first_use(once, Role.NODE, fresh) == once

    def test_a_token_that_ended_a_moment_ago_is_refused(self) -> None:
        node = first_use(holding(1, 2), Role.NODE, minted(2).entry)
        with pytest.raises(TokenEndedError):
            first_use(node, Role.NODE, minted(1).entry)

    def test_a_node_that_uses_a_token_is_due_none(self) -> None:
        due = holding(1).model_copy(update={"token_due": True})
        assert not first_use(due, Role.NODE, minted(1).entry).token_due
        operator = issue(due, Role.OPERATOR, minted(2))
        assert first_use(operator, Role.OPERATOR, minted(2).entry).token_due

    def test_the_roles_do_not_end_each_others_tokens(self) -> None:
        node = issue(holding(1), Role.OPERATOR, minted(2))
        node = first_use(node, Role.OPERATOR, minted(2).entry)
        assert find(node.node_tokens, minted(1).text) is not None
        assert find(node.operator_tokens, minted(1).text) is None

    def test_no_more_are_kept_than_the_maximum(self) -> None:
        assert len(holding(*range(100)).node_tokens) == MAX_TOKENS_PER_ROLE


@given(steps=st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=40))
def test_whatever_happens_the_last_used_token_stays_good_and_a_stranger_is_never_found(steps: list[int | None]) -> None:
    """None issues the next token; a number presents the token of that number, good or not."""
    node, count, last_used = record(), 0, None
    for step in steps:
        if step is None:
            node, count = issue(node, Role.NODE, minted(count)), count + 1
            continue
        entry = find(node.node_tokens, minted(step).text)
        if entry is not None:
            assert step < count, "a token was found that nobody issued"
            node, last_used = first_use(node, Role.NODE, entry), step
        assert len(node.node_tokens) <= MAX_TOKENS_PER_ROLE
        assert last_used is None or find(node.node_tokens, minted(last_used).text) is not None
    assert node.operator_tokens == ()
