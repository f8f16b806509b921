"""Autonomy tiers: the policies an agent gets by registering with a level, and what lies outside of them."""

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from execlave_server.model.agents import AutonomyLevel
from execlave_server.model.policies import EnforcementMode, Policy, PolicyType
from execlave_server.model.policy_rules import (
    AccessControlRule,
    ActionApprovalRule,
    BudgetCapRule,
    CostLimitRule,
    DataRestrictionRule,
    ExternalCallLimitRule,
    InjectionScanRule,
    PiiAccessRule,
    Rule,
    ToolOutputScanRule,
)

# Where an autonomous agent starts; a person sets what fits it.
MAX_COST_PER_EXECUTION_USD = 1.0
DAILY_BUDGET_USD = 50.0
MONTHLY_CAP_USD = 500.0
EXTERNAL_CALLS_PER_HOUR = 500
RECORDS_MAX = 1_000
# What even an autonomous agent asks a person for: money that leaves, and what cannot be undone.
APPROVED_TOOLS = ("*payment*", "*payout*", "*transfer_funds*", "*delete*", "*deploy*")
# Of the words that tools carry in their names, those that are destructive whoever uses them.
DENIED_TOOLS = ("*delete_database*", "*drop_table*", "*drop_database*", "*disable_audit*", "*delete_audit*")

TIER = "tier"  # in the metadata of a policy that a tier brought: the level
NAME_CHARS_SHOWN = 80  # of an agent's id; a policy's name takes 200


class TierPolicy(NamedTuple):
    """One policy of a tier's bundle."""

    policy_type: PolicyType
    enforcement_mode: EnforcementMode
    rule: Rule


_INJECTION = TierPolicy(PolicyType.INJECTION_SCAN, EnforcementMode.WARN, InjectionScanRule())
_PII = TierPolicy(PolicyType.PII_ACCESS, EnforcementMode.WARN, PiiAccessRule())
_TOOL_OUTPUT = TierPolicy(PolicyType.TOOL_OUTPUT_SCAN, EnforcementMode.WARN, ToolOutputScanRule())
_ACCESS = TierPolicy(PolicyType.ACCESS_CONTROL, EnforcementMode.BLOCK, AccessControlRule(denied_tools=DENIED_TOOLS))


def _approval(rule: ActionApprovalRule) -> TierPolicy:
    return TierPolicy(PolicyType.ACTION_APPROVAL, EnforcementMode.REQUIRE_APPROVAL, rule)


def _limit(policy_type: PolicyType, rule: Rule) -> TierPolicy:
    return TierPolicy(policy_type, EnforcementMode.BLOCK, rule)


BUNDLES: MappingProxyType[AutonomyLevel, tuple[TierPolicy, ...]] = MappingProxyType(
    {
        AutonomyLevel.OBSERVE: (_INJECTION, _PII),
        AutonomyLevel.ADVISE: (_INJECTION, _PII, _TOOL_OUTPUT),
        AutonomyLevel.ACT_WITH_APPROVAL: (_INJECTION, _PII, _TOOL_OUTPUT, _approval(ActionApprovalRule()), _ACCESS),
        AutonomyLevel.AUTONOMOUS: (
            _INJECTION,
            _PII,
            _TOOL_OUTPUT,
            _approval(ActionApprovalRule(APPROVED_TOOLS)),
            _ACCESS,
            _limit(PolicyType.COST_LIMIT, CostLimitRule(MAX_COST_PER_EXECUTION_USD, DAILY_BUDGET_USD)),
            _limit(PolicyType.BUDGET_CAP, BudgetCapRule(MONTHLY_CAP_USD)),
            _limit(PolicyType.EXTERNAL_CALL_LIMIT, ExternalCallLimitRule(EXTERNAL_CALLS_PER_HOUR)),
            _limit(PolicyType.DATA_RESTRICTION, DataRestrictionRule(max_records=RECORDS_MAX)),
        ),
    }
)


def policy_of_tier(
    tier_policy: TierPolicy, level: AutonomyLevel, agent: str, policy_id: str, *, agent_name: str = ""
) -> Policy:
    """One policy of the bundle as it is saved for an agent (its UUID), under a new id.

    The UUID makes its name the only one in the organization; `agent_name` makes it readable.
    """
    named = f"{agent_name[:NAME_CHARS_SHOWN]} ({agent})" if agent_name else agent
    return Policy(
        id=policy_id,
        version=1,
        name=f"Tier {level}: {tier_policy.policy_type} of {named}",
        policy_type=tier_policy.policy_type,
        enforcement_mode=tier_policy.enforcement_mode,
        rule_definition=tier_policy.rule,
        applies_to_agents=(agent,),
        metadata={TIER: str(level)},
    )


def is_at_least_as_strict(level: AutonomyLevel, before: AutonomyLevel) -> bool:
    """True where a level's bundle has every policy of the other one, as it is there or in a stricter mode."""
    bundle = {one.policy_type: one for one in BUNDLES[level]}
    return all(
        (now := bundle.get(one.policy_type)) is not None
        and now.rule == one.rule
        and now.enforcement_mode.strictness >= one.enforcement_mode.strictness
        for one in BUNDLES[before]
    )


def is_of_tier(policy: Policy) -> bool:
    """True for a policy that a tier brought, also once a person has changed it."""
    return TIER in policy.metadata


class TierOverride(StrEnum):
    """How a policy of an agent departs from its tier."""

    ADDED = "added"
    LOOSENED = "loosened"
    TIGHTENED = "tightened"
    DISABLED = "disabled"


def tier_override(level: AutonomyLevel, policy: Policy) -> TierOverride | None:
    """What to record when this policy is saved for an agent of this level; None where it is what the tier says.

    A type outside the bundle is added; one inside it departs by its mode, or by being switched off. Rule definitions
    are meant to be fitted to the agent and are no override.
    """
    modes = {one.policy_type: one.enforcement_mode for one in BUNDLES[level]}
    wanted = modes.get(policy.policy_type)
    if wanted is None:
        return TierOverride.ADDED if policy.is_active else None
    if not policy.is_active:
        return TierOverride.DISABLED
    difference = policy.enforcement_mode.strictness - wanted.strictness
    if difference == 0:
        return None
    return TierOverride.TIGHTENED if difference > 0 else TierOverride.LOOSENED
