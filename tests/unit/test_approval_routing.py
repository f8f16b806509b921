"""What is decided about an approval without a database: its risk, its routing, its time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from approvals import VIOLATION
from execlave_server.model.approvals import (
    APPROVAL_LIFE_US,
    MINUTE_US,
    REQUESTER_CHARS_MAX,
    RiskLevel,
    Routing,
    Tier,
    level_of,
    requester_of,
    route,
)
from execlave_server.model.policies import PolicyType
from execlave_server.policy.risk import RISK_MAX, score_risk

TOOLS = st.sampled_from(["delete_user", "sendEmail", "read_file", "HTTPGet", "frobnicate", "", "支払", "run"])
VIOLATIONS = st.builds(
    lambda kind, severity: replace(VIOLATION, policy_type=kind, severity=severity),
    st.sampled_from(PolicyType),
    st.sampled_from(["critical", "high", "medium", "low", "odd"]),
)
ENVIRONMENTS = st.sampled_from(["production", "staging", "development", "Test", "prod-eu", None])


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (0, "low"), (24, "low"), (25, "medium"), (49, "medium"),
        (50, "high"), (74, "high"), (75, "critical"), (100, "critical"),
    ],
)  # fmt: skip
def test_levels_begin_where_the_contract_says(score, level):
    """Each quarter of the scale is a level."""
    assert level_of(score) == level


@pytest.mark.parametrize(
    ("tools", "environment", "level"),
    [
        (["read_file"], "development", "medium"),
        (["sendEmail"], "production", "high"),
        (["sendEmail"], "development", "high"),
        (["deleteUser"], "production", "critical"),
        (["db.DROP_TABLE"], "production", "critical"),
        ([], "development", "medium"),
    ],
)
def test_what_a_tool_does_counts(tools, environment, level):
    """Destroying and paying weigh more than sending, sending more than reading, production more than development."""
    assert level_of(score_risk(tools, environment, [VIOLATION])) == level


@given(st.lists(TOOLS, max_size=4), TOOLS, ENVIRONMENTS, st.lists(VIOLATIONS, max_size=4), VIOLATIONS)
def test_more_is_never_less_risky(tools, tool, environment, violations, violation):
    """The score stays in its range, and another tool or another violation never lowers it."""
    score = score_risk(tools, environment, violations)

    assert 0 <= score <= RISK_MAX
    assert score_risk([*tools, tool], environment, violations) >= score
    assert score_risk(tools, environment, [*violations, violation]) >= score
    assert score_risk(tools[::-1], environment, violations[::-1]) == score


def test_the_worst_case_is_the_whole_scale():
    """The parts add up to exactly 100."""
    worst = [replace(VIOLATION, policy_type=kind, severity="critical") for kind in PolicyType]

    assert score_risk(["delete"], "production", worst) == RISK_MAX


@pytest.mark.parametrize(
    ("level", "minutes", "expected"),
    [
        (RiskLevel.LOW, 14, Routing(Tier.STANDARD)),
        (RiskLevel.LOW, 15, Routing(Tier.GROUP, 1, 15 * MINUTE_US)),
        (RiskLevel.LOW, 28, Routing(Tier.NAMED_APPROVER, 2, 22 * MINUTE_US)),
        (RiskLevel.MEDIUM, 0, Routing(Tier.GROUP)),
        (RiskLevel.HIGH, 5, Routing(Tier.NAMED_APPROVER, 1, 5 * MINUTE_US)),
        (RiskLevel.CRITICAL, 2, Routing(Tier.NAMED_APPROVER)),
        (RiskLevel.CRITICAL, 29, Routing(Tier.NAMED_APPROVER, 2, 10 * MINUTE_US)),
    ],
)
def test_waiting_escalates(level, minutes, expected):
    """The longer it waits, the higher it goes, at times that depend on the risk."""
    assert route(level, 0, minutes * MINUTE_US) == expected


@given(st.sampled_from(RiskLevel), st.integers(0, APPROVAL_LIFE_US), st.integers(0, APPROVAL_LIFE_US))
def test_escalation_only_rises(level, one_us, other_us):
    """Time never takes an escalation back."""
    earlier, later = sorted((one_us, other_us))

    assert route(level, 0, earlier).escalation_level <= route(level, 0, later).escalation_level


@pytest.mark.parametrize(
    ("metadata", "requester"),
    [
        (None, None), ({}, None), ({"requestedBy": None}, None), ({"requestedBy": 7}, None),
        ({"requestedBy": " "}, None),
        ({"requestedBy": " a@b.c "}, "a@b.c"), ({"requestedBy": "x" * 999}, "x" * REQUESTER_CHARS_MAX),
    ],
)  # fmt: skip
def test_the_requester_is_whom_the_caller_names(metadata, requester):
    """`metadata.requestedBy` says on whose behalf an agent acts; what is no text says nothing."""
    assert requester_of(metadata) == requester
