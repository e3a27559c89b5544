"""Pure: the policy as the answers of local control show it."""

from __future__ import annotations

from acl.model import OwnerRule, Policy
from acl.permissions import Permission, Permissions
from acl.rules import RULES, Rule
from bridge.control.documents import PolicySource
from bridge.control.policy_documents import (
    AgentLimits,
    NavigateLimits,
    NodesLimits,
    PolicyReport,
    RuleRow,
    ScreenLimits,
    SnapshotLimits,
)
from bridge.policy_file import PolicyInForce, profiles_of


def policy_source(in_force: PolicyInForce) -> PolicySource:
    """Says where the policy comes from."""
    return PolicySource(
        source="built-in" if in_force.file is None else "file",
        file=None if in_force.file is None else str(in_force.file),
        loaded_at=in_force.loaded_at,
        rules=len(in_force.policy.rules),
    )


def policy_report(in_force: PolicyInForce) -> PolicyReport:
    """Shows the whole policy: the owner's rules, then the table, and what narrows both."""
    policy = in_force.policy
    navigation = policy.navigation
    return PolicyReport(
        source=policy_source(in_force),
        rules=[*(_own(rule) for rule in policy.rules), *(_built_in(rule) for rule in RULES)],
        agent=AgentLimits(sessions=sorted(policy.agent_sessions), commands=policy.agent_commands),
        nodes=NodesLimits(targets=sorted(policy.invoke_targets), commands=list(policy.invoke_commands)),
        screen=ScreenLimits(
            navigate=NavigateLimits(
                allow_http=navigation.allow_http,
                allow_private=navigation.allow_private,
                hosts=list(navigation.hosts),
            ),
            snapshot=SnapshotLimits(max_width=policy.snapshot_max_width),
        ),
        aliases=dict(policy.aliases),
        profiles=_profiles(policy),
        own_profiles=list(policy.profiles),
    )


def _profiles(policy: Policy) -> dict[str, list[str]]:
    return {name: in_order(permissions) for name, permissions in profiles_of(policy).items()}


def in_order(permissions: Permissions) -> list[str]:
    """Returns permissions as they are listed everywhere."""
    return [each.value for each in Permission if each in permissions]


def _own(rule: OwnerRule) -> RuleRow:
    return RuleRow(
        id=rule.id,
        origin="owner",
        direction=rule.direction.value,
        names=[rule.name],
        node=rule.node,
        decision="allow" if rule.allow else "deny",
    )


def _built_in(rule: Rule) -> RuleRow:
    return RuleRow(
        id=rule.id,
        origin="built-in",
        direction=rule.direction.value,
        names=sorted(rule.names),
        decision="allow",
        permissions=in_order(rule.any_of),
        scope=rule.scope,
    )
