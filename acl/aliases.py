"""Pure: commands that stand for others on apps that know only these (`[aliases]` of the policy; off by default)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STANDS_FOR: dict[str, frozenset[str]] = {
    "screen.show": frozenset({"canvas.present"}),
    "screen.hide": frozenset({"canvas.hide"}),
    "screen.navigate": frozenset({"canvas.navigate", "canvas.present"}),
    "screen.eval": frozenset({"canvas.eval"}),
    "screen.snapshot": frozenset({"canvas.snapshot"}),
}
"""Every pair that can be translated: a command, and those that can stand for it. `screen.setMode` has no older form."""


def is_known(command: str, other: str) -> bool:
    """Whether `other` can stand for `command`."""
    return other in STANDS_FOR.get(command, frozenset())


def in_force(declared: Iterable[str], aliases: Mapping[str, str]) -> dict[str, str]:
    """Returns the aliases that a node needs: those it lacks the left of and declares the right of.

    Args:
        declared: the commands it knows itself.
        aliases: the owner's, command -> what stands for it; pairs that cannot be translated are left out.
    """
    own = frozenset(declared)
    return {name: by for name, by in aliases.items() if name not in own and by in own and is_known(name, by)}
