"""Pure: a prompt in words, the same for every approver.

What a device says about itself stands on lines of its own, behind a label, cut and cleaned: it cannot pass for a line
of ours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from bridge.control.plain_words import in_plain_words
from bridge.pairing.approvers.approver import CODE_DIGITS, Prompt
from bridge.pairing.desk import PairingRequest, Why
from bridge.pairing.records import clean_label, key_fingerprint

TITLE = "Clawdis Bridge"
MAX_NOTICE_CHARS = 300  # of what is said about the answer before; two sentences
PIN_QUESTION = "Did the phone show this when you tapped Trust?"
_HEADLINES = {
    Why.NEW: "A device asks to be let in.",
    Why.REPAIR: "A paired device has lost its token and asks to be let in again.",
    Why.CHANGED: "A paired device says that it is another kind of device now.",
    Why.RETURN: "A device that you revoked asks to be let in again.",
    Why.WIDER: "A paired device offers more than you approved.",
}
_PAIR_AGAIN = "A paired device asks to be paired again."
_NOTHING = "it may connect and report its state"


def prompt_of(request: PairingRequest, *, pin: str, native: bool) -> Prompt:
    """The prompt for a request, which is frozen: what is shown is what an approval grants.

    Args:
        request: the pending request.
        pin: of the bridge's own certificate.
        native: whether it is of a native node, which shows a code when it is new.
    """
    draft = request.draft
    return Prompt(
        id=request.id,
        kind="native" if native else "openclaw",
        display_name=draft.labels.display_name,
        platform=" ".join(each for each in (draft.labels.platform, draft.labels.device_family) if each),
        address=request.address,
        permissions=in_words(draft.permissions),
        key_fingerprint=key_fingerprint(draft.node_id),
        pin=pin,
        why=draft.why,
        previously_revoked_at=draft.revoked_at,
        code_length=CODE_DIGITS if native and draft.why is not Why.WIDER else 0,
    )


def in_words(permissions: Iterable[str]) -> tuple[str, ...]:
    """What permissions mean, one sentence each."""
    return tuple(words for _, words in in_plain_words(permissions)) or (_NOTHING,)


def warnings(prompt: Prompt) -> list[str]:
    """What the person must not miss, the most urgent first."""
    told = [_one_line(prompt.notice[:MAX_NOTICE_CHARS])] if prompt.notice else []
    if prompt.others_waiting == 1:
        told.append("Another device is trying at the same time. Make sure that this is yours.")
    elif prompt.others_waiting > 1:
        told.append(f"{prompt.others_waiting} other devices are trying at the same time. Make sure that this is yours.")
    if prompt.previously_revoked_at is not None:
        told.append(f"This device was revoked on {prompt.previously_revoked_at:%Y-%m-%d at %H:%M} UTC.")
    return told


def _one_line(notice: str) -> str:
    return "".join(character if character.isprintable() else " " for character in notice)


def headline(prompt: Prompt) -> str:
    """What it is about."""
    if prompt.kind == "native" and prompt.why is Why.REPAIR:
        return _PAIR_AGAIN
    return _HEADLINES[prompt.why]


def facts(prompt: Prompt) -> list[tuple[str, str]]:
    """Labels and values; the values of the device are cleaned."""
    return [
        ("Name", clean_label(prompt.display_name, "(none)")),
        ("Runs", clean_label(prompt.platform, "(unknown)")),
        ("Address", clean_label(prompt.address, "(unknown)")),
        ("Key", prompt.key_fingerprint),
    ]


def question(prompt: Prompt) -> str:
    """What the person has to find out, and does by looking at the phone."""
    if not prompt.code_less:
        return f"To let it in, type the {prompt.code_length} digits that it shows."
    if prompt.why is Why.WIDER:
        return "Shall it have this?"
    return f"The pin of this bridge:\n{prompt.pin}\n{PIN_QUESTION}"


def full_text(prompt: Prompt, columns: int | None = None) -> str:
    """All of it, as lines.

    Args:
        prompt: the question.
        columns: where long sentences of ours are broken, between words; None: nowhere. What a device said is one line.
    """
    grants = [f"  - {words}" for words in prompt.permissions]
    if columns is not None:
        grants = [textwrap.fill(each, columns, subsequent_indent="    ", break_long_words=False) for each in grants]
    parts = [
        "\n".join([*warnings(prompt), headline(prompt)]),
        "\n".join(f"{label}: {value}" for label, value in facts(prompt)),
        "\n".join(["If you approve:", *grants]),
        question(prompt),
    ]
    return "\n\n".join(parts)
