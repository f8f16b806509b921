import pytest

from execlave_server.model.agents import AutonomyLevel
from execlave_server.model.policies import EnforcementMode, PolicyType
from execlave_server.policy.engine import verify_policy
from execlave_server.policy.tiers import BUNDLES, TierOverride, is_at_least_as_strict, policy_of_tier, tier_override
from policies import policy

WARN, BLOCK, APPROVAL = EnforcementMode.WARN, EnforcementMode.BLOCK, EnforcementMode.REQUIRE_APPROVAL
OBSERVE = {PolicyType.INJECTION_SCAN: WARN, PolicyType.PII_ACCESS: WARN}
ADVISE = OBSERVE | {PolicyType.TOOL_OUTPUT_SCAN: WARN}
ACT = ADVISE | {PolicyType.ACTION_APPROVAL: APPROVAL, PolicyType.ACCESS_CONTROL: BLOCK}
LIMITS = (
    PolicyType.COST_LIMIT,
    PolicyType.BUDGET_CAP,
    PolicyType.EXTERNAL_CALL_LIMIT,
    PolicyType.DATA_RESTRICTION,
)
WANTED = {
    AutonomyLevel.OBSERVE: OBSERVE,
    AutonomyLevel.ADVISE: ADVISE,
    AutonomyLevel.ACT_WITH_APPROVAL: ACT,
    AutonomyLevel.AUTONOMOUS: ACT | dict.fromkeys(LIMITS, BLOCK),
}


@pytest.mark.parametrize("level", list(AutonomyLevel))
def test_each_level_has_its_bundle(level):
    """A level brings exactly its types, each in its mode."""
    assert {one.policy_type: one.enforcement_mode for one in BUNDLES[level]} == WANTED[level]


@pytest.mark.parametrize("level", list(AutonomyLevel))
def test_a_bundle_can_be_saved_and_is_no_override(level):
    """What a tier brings is valid, is for that agent alone, and departs from nothing."""
    for number, one in enumerate(BUNDLES[level]):
        made = policy_of_tier(one, level, "the-agent", f"pol_{number}")
        verify_policy(made)

        assert made.applies_to_agents == ("the-agent",)
        assert tier_override(level, made) is None


@pytest.mark.parametrize(
    ("made", "override"),
    [
        (policy("rate_limit"), TierOverride.ADDED),
        (policy("rate_limit", isActive=False), None),
        (policy("injection_scan", mode="block"), TierOverride.TIGHTENED),
        (policy("injection_scan", mode="monitor"), TierOverride.LOOSENED),
        (policy("injection_scan", mode="warn", isActive=False), TierOverride.DISABLED),
        (policy("injection_scan", {"patterns": ["own"]}, "warn"), None),
    ],
)
def test_what_departs_from_the_tier_is_an_override(made, override):
    """A type outside the bundle, another mode, or switching off departs; fitting the rule does not."""
    assert tier_override(AutonomyLevel.OBSERVE, made) is override


STRICTER = {("advise", "observe"), ("act_with_approval", "observe"), ("act_with_approval", "advise")}
STRICTER |= {("autonomous", "observe"), ("autonomous", "advise")}


@pytest.mark.parametrize("level", list(AutonomyLevel))
@pytest.mark.parametrize("before", list(AutonomyLevel))
def test_what_is_at_least_as_strict(level, before):
    """A level is, where its bundle has all of the other's; of the two that act, neither is as strict as the other."""
    assert is_at_least_as_strict(level, before) == (level is before or (level, before) in STRICTER)
