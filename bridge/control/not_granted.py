"""Pure: what a device offers and is not permitted."""

from __future__ import annotations

from collections.abc import Iterable

from acl.permissions import COMMANDS, Permission


def not_granted(commands: Iterable[str], permissions: Iterable[str]) -> dict[str, list[str]]:
    """Returns the commands that the permissions do not cover, by the permission they need, in the table's order.

    What no permission covers is left out: nobody could grant it.
    """
    granted = set(permissions)
    offered = [name for name in dict.fromkeys(commands) if name in COMMANDS]
    return {
        each.value: needing
        for each in Permission
        if each.value not in granted and (needing := [name for name in offered if COMMANDS[name] is each])
    }
