"""`demo`: what it promises before it does anything."""

from __future__ import annotations

from tests.bridge.cli.program import Program


def test_it_says_that_the_gateway_is_left_alone(program: Program) -> None:
    result = program("demo", "--help")
    assert result.status == 0
    assert "your gateway is not touched" in " ".join(result.out.split())


def test_it_takes_no_arguments(program: Program) -> None:
    assert program("demo", "extra").status == 2
