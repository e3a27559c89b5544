"""The QR code on the terminal is the QR code."""

from __future__ import annotations

import pytest
import segno

from bridge.cli.qr import QUIET_ZONE, qr_lines

LINK = "oc-pair://" + "aB3_-" * 62  # as long as a real one
INK = {"\u2588": (True, True), "\u2580": (True, False), "\u2584": (False, True), " ": (False, False)}


def modules(lines: list[str], *, dark_ink: bool) -> list[list[bool]]:
    """The dark modules that a camera sees."""
    rows: list[list[bool]] = []
    for line in lines:
        rows.append([INK[glyph][0] is dark_ink for glyph in line])
        rows.append([INK[glyph][1] is dark_ink for glyph in line])
    return rows


@pytest.mark.parametrize("dark_ink", [True, False])
@pytest.mark.parametrize("text", [LINK, "x"])
def test_a_camera_sees_the_code_with_its_quiet_zone(text: str, dark_ink: bool) -> None:
    seen = modules(qr_lines(text, dark_ink=dark_ink), dark_ink=dark_ink)
    code = segno.make(text, error="l", micro=False)
    expected = [[bool(each) for each in row] for row in code.matrix_iter(border=QUIET_ZONE)]
    assert seen[: len(expected)] == expected
    assert all(not any(row) for row in seen[len(expected) :])
    assert all(not any(row) for row in seen[:4] + seen[-4:])
    assert all(not any(row[:4] + row[-4:]) for row in seen)


def test_it_fits_a_terminal_of_80_columns() -> None:
    lines = qr_lines(LINK, dark_ink=True)
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 80
    assert len(lines) <= 40
