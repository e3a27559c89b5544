"""Pure: makes text from others safe to show on a terminal."""

from __future__ import annotations

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls (C0, DEL, C1), format characters (bidi, zero-width, tags), surrogates, private and unassigned ones, and
the two separators that some terminals break lines at."""
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that count as letters, marks or symbols, and show as nothing."""
_MARKS = frozenset({"Mn", "Me"})
_MAX_MARKS = 4  # combining marks on one letter; real scripts stack three, more of them climb into other lines


def terminal_safe(text: str) -> str:
    r"""The text with everything escaped that a terminal could obey or a reader could not see.

    Escapes are those of Python (`\x1b`, `\u202e`, `\U000e0041`). The result is one line of visible characters and
    spaces. It is plain text, not markup: give it to the console as such.
    """
    out: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        if category in _HIDDEN_CATEGORIES or _is_invisible(character) or marks > _MAX_MARKS:
            out.append(_escape(character))
        else:
            out.append(character)
    return "".join(out)


def _is_invisible(character: str) -> bool:
    """Whether a character of a visible category shows nothing: fillers and the supplementary variation selectors."""
    return character in _BLANK_LETTERS or "\U000e0100" <= character <= "\U000e01ef"


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
