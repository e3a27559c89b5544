"""The desk with native nodes: the digits that are compared with the one request that was named."""

from __future__ import annotations

import pytest

from bridge.pairing.desk import (
    CodeVerdict,
    Desk,
    Filed,
)
from bridge.pairing.transcript import short_code
from tests.bridge.pairing.native import NativePhone
from tests.bridge.pairing.samples import NOON, draft


class TestCodes:
    """Of native nodes: the digits are compared with the named request, three times at most."""

    def filed(self, desk: Desk, number: int = 0, name: str = "c1") -> tuple[str, str]:
        """File a native node's request; return its id and the code that the node shows."""
        phone = NativePhone(number)
        filed = desk.file(phone.revealed(name), f"10.0.0.{number}", 0.0, NOON, name)
        assert isinstance(filed, Filed)
        assert filed.request.id == name
        return name, short_code(phone.transcript(phone.ceremony(name)))

    def test_the_right_one_is_right(self) -> None:
        desk = Desk(lambda: "x")
        request_id, code = self.filed(desk)
        assert desk.try_code(request_id, code) == CodeVerdict(right=True)

    def test_the_third_wrong_one_ends_the_request(self) -> None:
        desk = Desk(lambda: "x")
        request_id, code = self.filed(desk)
        wrong = f"{(int(code) + 1) % 1_000_000:06d}"
        assert [desk.try_code(request_id, wrong).tries_left for _ in range(3)] == [2, 1, 0]
        assert desk.get(request_id) is None
        assert not desk.try_code(request_id, code).right

    def test_the_code_of_another_request_is_a_wrong_one(self) -> None:
        desk = Desk(lambda: "x")
        (first, _), (_, other) = self.filed(desk), self.filed(desk, 1, "c2")
        assert desk.try_code(first, other) == CodeVerdict(right=False, tries_left=2)

    def test_without_a_code_nothing_is_counted_and_nothing_is_right(self) -> None:
        desk = Desk(lambda: "x")
        request_id, code = self.filed(desk)
        assert not desk.try_code(request_id, None).right
        assert not desk.try_code(request_id, None).asked
        assert desk.try_code(request_id, code).right

    def test_a_device_without_a_code_needs_none_and_takes_none(self) -> None:
        desk = Desk(lambda: "x")
        desk.file(draft(), "10.0.0.1", 0.0, NOON)
        assert desk.try_code("x", None).right
        assert not desk.try_code("x", "123456").right

    @pytest.mark.parametrize("typed", ["", " ", "12345", "1234567", "\u0661\u0662\u0663\u0664\u0665\u0666", "abcdef"])
    def test_what_is_no_code_is_wrong(self, typed: str) -> None:
        desk = Desk(lambda: "x")
        request_id, _ = self.filed(desk)
        assert not desk.try_code(request_id, typed).right

    def test_the_code_is_in_no_repr(self) -> None:
        desk = Desk(lambda: "x")
        _, code = self.filed(desk)
        assert code not in repr(desk.pending())
        assert repr(NativePhone().transcript(NativePhone().ceremony())) not in repr(desk.pending())
