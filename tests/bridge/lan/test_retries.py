"""How often a waiting key comes at no cost: an app as often as it likes, a flood hardly at all."""

from __future__ import annotations

from bridge.lan.retries import MAX_KEYS, RETRY_BURST, RETRY_EVERY_S, Retries

T = 1_000.0


def test_an_app_that_waits_for_an_hour_with_two_sockets_every_six_seconds_pays_nothing() -> None:
    retries = Retries()
    assert all(retries.spend("key", T + 6.0 * number) for number in range(600) for _ in range(2))


def test_so_does_one_whose_node_socket_ends_when_the_next_comes() -> None:
    """A held socket is let go when the next one takes over: it came six seconds before those that end with it."""
    retries = Retries()
    for number in range(600):
        came = T + 6.0 * number
        assert retries.spend("key", came), "the operator socket, answered at once"
        assert retries.spend("key", came - 6.0), "the node socket before"


def test_a_flood_is_given_a_few_and_then_one_every_two_seconds() -> None:
    """222 sockets in six seconds, as was measured. Red without the rate: all of them."""
    retries = Retries()
    granted = sum(retries.spend("key", T + 6.0 * number / 222) for number in range(222))
    assert granted == RETRY_BURST + int(6.0 / RETRY_EVERY_S) - 1


def test_a_minute_of_flood_is_never_more_than_thirty_and_the_burst() -> None:
    retries = Retries()
    granted = sum(retries.spend("key", T + number / 100) for number in range(6_000))
    assert granted <= 60 / RETRY_EVERY_S + RETRY_BURST
    assert not retries.spend("key", T + 59.995)
    assert all(retries.spend("key", T + 120.0) for _ in range(RETRY_BURST)), "and it is forgotten in time"


def test_each_key_has_its_own() -> None:
    retries = Retries()
    for _ in range(100):
        retries.spend("flood", T)
    assert retries.spend("key", T)


def test_of_too_many_keys_the_one_seen_longest_ago_is_forgotten() -> None:
    retries = Retries()
    for _ in range(RETRY_BURST):
        assert retries.spend("first", T)
        assert retries.spend("second", T)
    for number in range(MAX_KEYS - 2):
        retries.spend(f"key-{number}", T)
    assert not retries.spend("first", T)
    for number in range(2):
        retries.spend(f"more-{number}", T)
    assert len(retries) == MAX_KEYS
    assert not retries.spend("first", T), "it was seen of late"
    assert retries.spend("second", T)
