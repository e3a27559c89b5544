"""The open sockets of each node: one node socket, four operator sockets, nobody forgotten."""

from __future__ import annotations

from bridge.lan.roster import MAX_OPERATOR_SOCKETS, Roster
from bridge.pairing.records import Role


def test_a_second_node_socket_takes_the_place_of_the_first() -> None:
    roster: Roster[str] = Roster()
    assert roster.join("a", Role.NODE, "first") == []
    assert roster.join("a", Role.NODE, "second") == ["first"]
    assert roster.node("a") == "second"
    roster.leave("a", "first")
    assert roster.node("a") == "second"


def test_four_operator_sockets_live_side_by_side_and_the_oldest_gives_way() -> None:
    roster: Roster[str] = Roster()
    for number in range(MAX_OPERATOR_SOCKETS):
        assert roster.join("a", Role.OPERATOR, f"o{number}") == []
    assert roster.join("a", Role.OPERATOR, "o4") == ["o0"]
    assert roster.all_of("a") == ["o1", "o2", "o3", "o4"]


def test_a_flood_of_operator_sockets_is_bounded() -> None:
    roster: Roster[int] = Roster()
    displaced = [surplus for number in range(1_000) for surplus in roster.join("a", Role.OPERATOR, number)]
    assert displaced == list(range(996))
    assert roster.everyone() == [996, 997, 998, 999]


def test_roles_do_not_displace_each_other() -> None:
    roster: Roster[str] = Roster()
    roster.join("a", Role.NODE, "node")
    for number in range(9):
        roster.join("a", Role.OPERATOR, f"o{number}")
    assert roster.node("a") == "node"
    assert roster.all_of("a")[0] == "node"


def test_nodes_do_not_displace_each_other() -> None:
    roster: Roster[str] = Roster()
    roster.join("a", Role.NODE, "a1")
    assert roster.join("b", Role.NODE, "b1") == []
    roster.join("b", Role.OPERATOR, "b2")
    assert roster.everyone() == ["a1", "b1", "b2"]
    assert list(roster.operators()) == ["b2"]
    assert roster.connected() == 2


def test_what_has_left_is_gone() -> None:
    roster: Roster[str] = Roster()
    roster.join("a", Role.NODE, "node")
    roster.join("a", Role.OPERATOR, "operator")
    roster.leave("a", "node")
    assert (roster.node("a"), roster.connected(), roster.everyone()) == (None, 0, ["operator"])
    roster.leave("a", "operator")
    roster.leave("a", "operator")
    roster.leave("nobody", "operator")
    assert (roster.everyone(), roster.all_of("a"), roster.node("b")) == ([], [], None)
