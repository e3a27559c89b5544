"""Challenges of a renewal: random, for one node at one address, once, for a minute, and never more than so many."""

from __future__ import annotations

import itertools

import pytest

from bridge.pairing.renewal_challenges import MAX_OF_ADDRESS, MAX_OUTSTANDING, VALID_S, RenewalChallenges

NODE, OTHER, HERE, THERE = "aa" * 32, "bb" * 32, "192.168.1.2", "192.168.1.3"


@pytest.fixture
def challenges() -> RenewalChallenges:
    numbers = itertools.count()
    return RenewalChallenges(lambda size: next(numbers).to_bytes(size))


def test_it_is_good_once(challenges: RenewalChallenges) -> None:
    nonce = challenges.draw(NODE, HERE, 0.0)
    assert challenges.take(nonce, NODE, HERE, 1.0)
    assert not challenges.take(nonce, NODE, HERE, 1.0)


@pytest.mark.parametrize(("node", "address"), [(OTHER, HERE), (NODE, THERE)])
def test_it_is_for_one_node_at_one_address_and_a_wrong_try_spends_it(
    challenges: RenewalChallenges, node: str, address: str
) -> None:
    nonce = challenges.draw(NODE, HERE, 0.0)
    assert not challenges.take(nonce, node, address, 1.0)
    assert not challenges.take(nonce, NODE, HERE, 1.0)


def test_it_ends_after_a_minute(challenges: RenewalChallenges) -> None:
    assert challenges.take(challenges.draw(NODE, HERE, 0.0), NODE, HERE, VALID_S - 0.1)
    assert not challenges.take(challenges.draw(NODE, HERE, 0.0), NODE, HERE, VALID_S)


def test_one_that_was_never_drawn_is_good_for_nothing(challenges: RenewalChallenges) -> None:
    assert not challenges.take(b"x" * 32, NODE, HERE, 0.0)


def test_an_address_that_floods_loses_its_own_only(challenges: RenewalChallenges) -> None:
    mine = challenges.draw(NODE, HERE, 0.0)
    theirs = [challenges.draw(OTHER, THERE, 0.0) for _ in range(10 * MAX_OUTSTANDING)]
    assert challenges.take(mine, NODE, HERE, 1.0)
    good = [nonce for nonce in theirs if challenges.take(nonce, OTHER, THERE, 1.0)]
    assert good == theirs[-MAX_OF_ADDRESS:]


def test_many_addresses_have_so_many_places_in_all(challenges: RenewalChallenges) -> None:
    drawn = [(challenges.draw(NODE, f"10.0.0.{n}", 0.0), f"10.0.0.{n}") for n in range(200)]
    good = [address for nonce, address in drawn if challenges.take(nonce, NODE, address, 1.0)]
    assert good == [address for _, address in drawn[-MAX_OUTSTANDING:]]
