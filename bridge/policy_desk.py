"""The policy at local control: shown, and read again from its file without a restart."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path

from acl.permissions import Permissions
from bridge import clock
from bridge.audit.errors import AuditError
from bridge.config_file import CONFIG_NAME
from bridge.control.documents import PolicySource
from bridge.control.policy_documents import PolicyReload, PolicyReport
from bridge.errors import BridgeError, RefusedError
from bridge.hub import Hub
from bridge.log import Log
from bridge.policy_file import POLICY_NAME, PolicyInForce, load_policy, profiles_of
from bridge.policy_report import policy_report, policy_source
from bridge.strict_toml import ConfigError
from certs.private_files import PrivateFileError


def traced(policy: PolicyInForce) -> dict[str, object]:
    """Returns what the audit log says about a policy."""
    told = {"file": str(policy.file) if policy.file is not None else "built-in", "rules": len(policy.policy.rules)}
    return told if not policy.digest else {**told, "sha256": policy.digest}


class PolicyDesk:
    """See the module's text.

    Args:
        home: the bridge's folder.
        default_profile: `pairing.default_profile`, which has to be one of every policy that comes into force.
        in_force: the policy that the hub was built with.
        hub: decides by it.
    """

    def __init__(self, home: Path, default_profile: str, in_force: PolicyInForce, hub: Hub, log: Log) -> None:
        self._home = home
        self._default_profile = default_profile
        self._in_force = in_force
        self._hub = hub
        self._log = log
        self._one = asyncio.Lock()

    @property
    def profiles(self) -> Mapping[str, Permissions]:
        """Every profile under the policy in force."""
        return profiles_of(self._in_force.policy)

    @property
    def source(self) -> PolicySource:
        """Where the policy in force comes from."""
        return policy_source(self._in_force)

    async def show(self) -> PolicyReport:
        """The whole of it."""
        return policy_report(self._in_force)

    async def reload(self) -> PolicyReload:
        """Reads the file again and puts it into force.

        Raises:
            RefusedError: it is wrong, or has gone; the former policy stays in force.
        """
        async with self._one:
            try:
                fresh = await asyncio.to_thread(load_policy, self._home, self._default_profile, clock.now().wall)
            except ConfigError as exc:
                self._log.warning("policy-refused", problems=[problem.key for problem in exc.problems])
                why = " ".join(str(exc).splitlines())
                words = f"The policy was not changed; the former one stays in force. {why}"
                raise RefusedError(words, self._mend(exc), code="POLICY_REFUSED") from exc
            before = self._in_force.file
            if fresh.file is None and before is not None:
                self._log.warning("policy-refused", problems=["gone"])
                raise RefusedError(
                    f"{before} has gone, and its rules would go with it; they stay in force.",
                    f"Put it back; or, for the built-in policy: : > {shlex.quote(str(before))}",
                    code="POLICY_REFUSED",
                )
            await self._record(fresh)
            self._in_force = fresh
            reconnecting = self._hub.adopt(fresh.policy, fresh.default)
        self._log.info("policy-loaded", rules=len(fresh.policy.rules), reconnecting=reconnecting)
        return PolicyReload(policy=self.source, reconnecting=reconnecting)

    def _mend(self, error: ConfigError) -> str:
        """What to do about a policy that is refused for what is in it, for who could write it, or for what it lacks."""
        if isinstance(error.__cause__, PrivateFileError):
            return error.__cause__.mend  # `acl check` would find nothing: it reads any file
        if error.file != str(self._home / CONFIG_NAME):
            return f"Check it: clawdis-bridge acl check {shlex.quote(error.file)}"
        policy = self._home / POLICY_NAME
        return f"Put that profile into {policy}, or name another one in {error.file} and start the bridge again."

    async def _record(self, fresh: PolicyInForce) -> None:
        """What may let somebody do more leaves a trace before it comes into force."""
        try:
            await self._hub.reception.trail.record("policy-in-force", **traced(fresh))
        except AuditError as exc:
            words = f"The policy was not changed, because {exc.why}; the former one stays in force."
            raise RefusedError(words, exc.mend, code="AUDIT") from exc

    async def reload_on_signal(self) -> None:
        """As `reload`, for SIGHUP: what is wrong is in the log, and nobody else is told."""
        try:
            await self.reload()
        except BridgeError as exc:
            self._log.warning("policy-unchanged", why=str(exc), fix=exc.fix)
