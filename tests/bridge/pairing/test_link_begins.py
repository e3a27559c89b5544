"""Ceremonies by good links: ten each, whatever others do."""

from __future__ import annotations

from bridge.pairing.link_begins import MAX_BEGINS, MAX_LINKS, LinkBegins


def test_each_link_begins_ten_times_until_a_person_opens_anew() -> None:
    begins = LinkBegins()
    assert [begins.spend("a") for _ in range(MAX_BEGINS + 5)] == [True] * MAX_BEGINS + [False] * 5
    assert begins.spend("b")
    begins.clear()
    assert begins.spend("a")


def test_of_too_many_links_the_one_used_longest_ago_is_forgotten() -> None:
    begins = LinkBegins()
    for _ in range(MAX_BEGINS):
        begins.spend("first")
        begins.spend("second")
    for number in range(MAX_LINKS - 2):
        begins.spend(f"link-{number}")
    assert not begins.spend("first")
    begins.spend("one more")
    assert len(begins) == MAX_LINKS
    assert not begins.spend("first")
    assert begins.spend("second")
