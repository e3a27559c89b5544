"""Pure: a QR code as lines of half blocks."""

from __future__ import annotations

import segno

QUIET_ZONE = 4  # modules of white around the code (ISO/IEC 18004); scanners miss codes without it
_DARK_INK = {(True, True): "\u2588", (True, False): "\u2580", (False, True): "\u2584", (False, False): " "}
_LIGHT_INK = {(not top, not bottom): glyph for (top, bottom), glyph in _DARK_INK.items()}


def qr_lines(text: str, *, dark_ink: bool) -> list[str]:
    """The code for `text`, two modules per character, its quiet zone included; all lines have one length.

    Args:
        text: what the code says.
        dark_ink: whether the glyphs are drawn dark on light (the caller sets the colours); else light modules are
            drawn, which is right on a dark terminal without colours.
    """
    code = segno.make(text, error="l", micro=False)
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    glyphs = _DARK_INK if dark_ink else _LIGHT_INK
    return [
        "".join(glyphs[pair] for pair in zip(top, bottom, strict=True))
        for top, bottom in zip(rows[::2], rows[1::2], strict=True)
    ]
