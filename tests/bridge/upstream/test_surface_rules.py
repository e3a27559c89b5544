"""What may be approved at the gateway: never a hair more than was offered, and only for keys of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.permissions import COMMANDS, SYSTEM_CLASS
from bridge.pairing.records import Surface
from bridge.upstream.surface_rules import (
    Settled,
    Unknown,
    Waits,
    approval_scopes,
    find_device,
    find_pending,
    judge_row,
    may_approve,
    row_of,
    surplus,
)
from gateway_client.frames import Json, JsonObject

OURS, KEY = "aa" * 32, "k" * 43
OFFER = Surface(commands=("screen.show", "device.info"), caps=("screen",), permissions={"microphone": True, "x": False})
names = st.sampled_from(["screen.show", "device.info", "screen.eval", "system.run", "x", ""])
surfaces = st.builds(
    Surface,
    commands=st.lists(names, max_size=4, unique=True).map(tuple),
    caps=st.lists(names, max_size=4, unique=True).map(tuple),
    permissions=st.dictionaries(names, st.booleans(), max_size=4),
)


def entry(surface: Surface) -> JsonObject:
    return {
        "requestId": "r1",
        "nodeId": OURS,
        "commands": [*surface.commands],
        "caps": [*surface.caps],
        "permissions": dict(surface.permissions),
    }


class TestMayApprove:
    @given(offer=surfaces, asked=surfaces)
    def test_it_says_yes_to_what_was_offered_and_to_nothing_beyond(self, offer: Surface, asked: Surface) -> None:
        covered = (
            set(asked.commands) <= set(offer.commands)
            and set(asked.caps) <= set(offer.caps)
            and asked.permissions.items() <= offer.permissions.items()
        )
        assert may_approve(entry(asked), offer) == covered

    @pytest.mark.parametrize(
        "surplus_of",
        [
            {"commands": ["screen.show", "system.run"]},
            {"commands": ["screen.show "]},
            {"commands": ["Screen.show"]},
            {"caps": ["screen", "file"]},
            {"permissions": {"camera": True}},
            {"permissions": {"camera": False}},
            {"permissions": {"x": True}},
            {"permissions": {"microphone": 1}},
        ],
    )
    def test_any_surplus_is_refused(self, surplus_of: JsonObject) -> None:
        assert may_approve(entry(OFFER), OFFER)
        assert not may_approve({**entry(OFFER), **surplus_of}, OFFER)

    @pytest.mark.parametrize("member", ["commands", "caps", "permissions"])
    @pytest.mark.parametrize(
        "value", ["system.run", {"system.run": True}, [["system.run"]], [None], 5, True, [5], [""]]
    )
    def test_what_cannot_be_read_is_refused(self, member: str, value: Json) -> None:
        assert not may_approve({**entry(OFFER), member: value}, OFFER)

    @pytest.mark.parametrize("member", ["commands", "caps", "permissions"])
    def test_what_is_absent_asks_for_nothing(self, member: str) -> None:
        rest = {name: value for name, value in entry(OFFER).items() if name != member}
        assert may_approve(rest, OFFER)
        assert may_approve({**rest, member: None}, OFFER)


class TestScopes:
    @pytest.mark.parametrize("command", sorted(COMMANDS))
    def test_admin_is_asked_for_commands_of_the_system_class_only(self, command: str) -> None:
        scopes = approval_scopes({"commands": ["screen.show", command]})
        assert ("operator.admin" in scopes) == (command in SYSTEM_CLASS)
        assert {"operator.pairing", "operator.write"} <= set(scopes)

    def test_an_unreadable_request_gets_no_admin(self) -> None:
        assert "operator.admin" not in approval_scopes({"commands": "system.run"})


class TestRow:
    @pytest.mark.parametrize("payload", [None, [], "x", {}, {"nodes": None}, {"nodes": {}}, {"nodes": [None, 5, []]}])
    def test_a_list_without_the_node_has_no_row(self, payload: Json) -> None:
        assert row_of(payload, OURS) is None
        assert judge_row(row_of(payload, OURS), OFFER) == Unknown()

    def test_the_row_is_found_by_the_exact_id(self) -> None:
        rows: list[Json] = [{"nodeId": "bb"}, {"nodeId": OURS, "connected": True}, {"nodeId": OURS.upper()}]
        assert row_of({"nodes": rows}, OURS) == {"nodeId": OURS, "connected": True}

    @pytest.mark.parametrize("state", ["pending-approval", "pending-reapproval"])
    def test_a_pending_one_waits(self, state: str) -> None:
        assert judge_row({"approvalState": state, "commands": ["screen.show"]}, OFFER) == Waits()

    def test_an_approved_one_is_settled_with_what_is_effective(self) -> None:
        row: JsonObject = {"approvalState": "approved", "commands": ["screen.show", 5, None]}
        assert judge_row(row, OFFER) == Settled(frozenset({"screen.show"}))

    @pytest.mark.parametrize("state", [None, "", "unapproved", "Approved", 5])
    def test_any_other_state_is_unknown_unless_nothing_was_offered(self, state: Json) -> None:
        assert judge_row({"approvalState": state}, OFFER) == Unknown()
        assert judge_row({"approvalState": state}, Surface()) == Settled(frozenset())

    def test_surplus_is_what_was_not_offered(self) -> None:
        assert surplus(frozenset({"screen.show"}), OFFER) == frozenset()
        assert surplus(frozenset({"screen.show", "system.run"}), OFFER) == {"system.run"}


class TestFindPending:
    def test_it_is_the_request_of_that_node(self) -> None:
        other: JsonObject = {"requestId": "r0", "nodeId": "bb"}
        assert find_pending({"pending": [other, entry(OFFER)]}, OURS) == entry(OFFER)
        assert find_pending({"pending": [other]}, OURS) is None

    @pytest.mark.parametrize("payload", [None, [], {}, {"pending": "x"}, {"pending": [5, None, {"nodeId": OURS}]}])
    def test_without_a_request_id_there_is_none(self, payload: Json) -> None:
        assert find_pending(payload, OURS) is None


DEVICE: JsonObject = {"requestId": "d1", "deviceId": OURS, "publicKey": KEY, "role": "node", "scopes": []}


class TestFindDevice:
    def test_a_key_of_ours_as_a_node_is_found(self) -> None:
        assert find_device({"pending": [{"deviceId": "bb"}, DEVICE]}, OURS, KEY) == "d1"
        assert find_device({"pending": [{k: v for k, v in DEVICE.items() if k != "scopes"}]}, OURS, KEY) == "d1"

    @pytest.mark.parametrize(
        "change",
        [
            {"deviceId": "bb" * 32},
            {"publicKey": "o" * 43},
            {"role": "operator"},
            {"role": ""},
            {"scopes": ["operator.admin"]},
            {"requestId": ""},
            {"requestId": 5},
        ],
    )
    def test_any_other_request_is_not(self, change: JsonObject) -> None:
        assert find_device({"pending": [{**DEVICE, **change}]}, OURS, KEY) is None

    @pytest.mark.parametrize("payload", [None, [], {}, {"pending": {}}, {"pending": [None, 5]}])
    def test_a_payload_of_another_form_holds_none(self, payload: Json) -> None:
        assert find_device(payload, OURS, KEY) is None
