"""The policy of a daemon that decides nothing: what `PolicyOperations` promises, over the real reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from acl.model import Policy
from acl.permissions import PROFILES
from bridge.control.documents import PolicySource
from bridge.control.policy_documents import PolicyReload, PolicyReport
from bridge.policy_file import PolicyInForce
from bridge.policy_report import policy_report, policy_source


class FakePolicy:
    """Shows the policy that it is given; a reload puts `next` into force."""

    def __init__(self, called: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._called = called
        self._clock = clock
        self.in_force = PolicyInForce(Policy(), PROFILES["voice+screen"], None, clock())
        self.next = Policy()
        self.reconnecting = 0

    @property
    def source(self) -> PolicySource:
        return policy_source(self.in_force)

    async def show(self) -> PolicyReport:
        self._called("show-policy")
        return policy_report(self.in_force)

    async def reload(self) -> PolicyReload:
        self._called("reload-policy")
        self.in_force = PolicyInForce(self.next, self.in_force.default, Path("/home/policy.toml"), self._clock())
        return PolicyReload(policy=self.source, reconnecting=self.reconnecting)
