"""Budget rules as pure functions: who pays, what is used up, what is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.actions.meter import money_meter, money_meters
from execlave_server.model.budgets import BudgetAction, BudgetRule, BudgetScope, BudgetTerms, Payer, payer_name
from execlave_server.model.policies import EnforcementMode
from execlave_server.model.policy_rules import Window
from execlave_server.model.traces import TraceStatus
from execlave_server.model.verdicts import Ruling, Verdict
from execlave_server.policy.budgets import (
    Budget,
    CompiledBudgets,
    Notice,
    add_violations,
    judge_budgets,
    pausing,
    tell,
)
from policies import NOW_US, act, judge, policy

NANO = 10**9
HOUR_US = 3_600_000_000
money = st.integers(0, 20 * NANO)


def rule(action: str = "block", cap_usd: float = 10, scope: str = "org", **more) -> BudgetRule:
    """A rule of an hour."""
    terms = BudgetTerms(
        scope=BudgetScope(scope), window=Window.HOUR, cap_usd=cap_usd, action=BudgetAction(action), **more
    )
    return BudgetRule(f"bud_{action}_{scope}_{more.get('scope_id')}", 1, terms)


def budget(spent: int, *told: Notice, **terms) -> Budget:
    """A budget of which so much is spent."""
    return Budget(rule(**terms), spent, NOW_US, NOW_US + HOUR_US, frozenset(told))


@given(spent=money, cost=money)
def test_a_budget_is_used_up_where_the_cap_would_be_passed(spent, cost):
    """Exactly to the cap is allowed once; at the cap nothing is, however cheap."""
    used_up = budget(spent).is_used_up(cost)

    assert used_up == (spent >= 10 * NANO or spent + cost > 10 * NANO)
    assert bool(judge_budgets([budget(spent)], cost)) == used_up


@given(spent=money, cost=st.integers(1, 20 * NANO), others=st.integers(0, 500))
def test_decisions_that_race_to_the_threshold_prepare_its_warning(spent, cost, others):
    """One that sees nothing of the others prepares the warning that becomes true only with them."""
    looked = budget(spent)
    prepared = tell([looked], cost, NOW_US, runs=True)

    if spent + (others + 1) * cost >= looked.threshold and not looked.is_used_up(cost):
        ((_, notice, threshold),) = prepared
        assert notice is Notice.WARNING
        assert threshold in {0, looked.threshold}
        assert (threshold == 0) == looked.is_running_out(cost, NOW_US)


@pytest.mark.parametrize(
    ("spent", "told", "runs", "notices"),
    [
        (7.0, [], True, []),
        (7.5, [], True, [Notice.WARNING]),
        (7.5, [], False, []),
        (7.5, [Notice.WARNING], True, []),
        (10, [], False, [Notice.HIT]),
        (10, [Notice.WARNING], False, [Notice.HIT]),
        (10, [Notice.HIT], False, []),
    ],
)
def test_each_thing_is_told_once(spent, told, runs, notices):
    """A warning at 80 % by an action that runs, a hit at the cap, and neither again."""
    found = tell([budget(round(spent * NANO), *told)], NANO // 2, NOW_US, runs=runs)

    assert [telling.notice for telling in found if telling.threshold == 0] == notices


@pytest.mark.parametrize(
    ("minutes", "spent", "enabled", "warned"),
    [
        (30, 5.1, True, True),
        (30, 4.9, True, False),
        (30, 5.1, False, False),
        (1, 5.1, True, False),
        (6, 1.1, True, True),
    ],
)
def test_a_rate_that_outruns_the_window_is_told(minutes, spent, enabled, warned):
    """Half the window with more than half the money; not in the window's first moments, nor unless asked for."""
    looked = budget(round(spent * NANO), burn_rate_alert_enabled=enabled)

    assert looked.is_running_out(0, NOW_US + minutes * 60_000_000) is warned


@pytest.mark.parametrize(
    ("action", "mode", "ruling", "status"),
    [
        ("warn", EnforcementMode.WARN, Ruling.WARN, TraceStatus.FLAGGED_FOR_REVIEW),
        ("block", EnforcementMode.BLOCK, Ruling.BLOCK, TraceStatus.LIMIT_EXCEEDED),
        ("pause_agent", EnforcementMode.BLOCK, Ruling.BLOCK, TraceStatus.LIMIT_EXCEEDED),
    ],
)
def test_a_used_up_budget_rules_as_its_action_says(action, mode, ruling, status):
    """The objection names the rule as a budget_cap and quotes nobody."""
    used_up = budget(10 * NANO, action=action, scope="user", scope_id="ada@example.com")
    found = judge_budgets([used_up], 0)
    verdict = add_violations(Verdict(), found)

    assert [violation.enforcement_mode for violation in found] == [mode]
    assert (verdict.ruling, verdict.status) == (ruling, status)
    assert "ada" not in found[0].message + found[0].policy_name
    assert (pausing([used_up], 0) is not None) == (action == "pause_agent")


def test_a_policys_block_stays_a_policys_block():
    """Beside an objection of another kind a used up budget does not turn the answer into a limit."""
    blocked = judge(policy("access_control"), act(tools=("wipe_disk",)))
    verdict = add_violations(blocked, judge_budgets([budget(10 * NANO)], 0))

    assert len(verdict.violations) == len(blocked.violations) + 1
    assert (verdict.ruling, verdict.status) == (Ruling.BLOCK, TraceStatus.POLICY_BLOCKED)


def test_a_rule_speaks_of_whom_it_names():
    """By UUID or external id, of each without a name, and of nobody whom the action does not have."""
    rules = [
        rule(),
        rule(scope="agent"),
        rule(scope="agent", scope_id="uuid-1"),
        rule(scope="agent", scope_id="support-bot"),
        rule(scope="agent", scope_id="other"),
        rule(scope="user"),
        rule(scope="user", scope_id="ada"),
        rule(scope="workspace"),
    ]
    compiled = CompiledBudgets(rules)

    def found(payer: Payer) -> set[str]:
        return {each.id.removeprefix("bud_block_") for each in compiled.of(payer)}

    agent = {"org_None", "agent_None", "agent_uuid-1", "agent_support-bot"}
    assert found(Payer("uuid-1", "support-bot")) == agent
    assert found(Payer("uuid-1", "support-bot", "ada", "w")) == agent | {"user_None", "user_ada", "workspace_None"}
    assert found(Payer("support-bot", "support-bot", "bob")) == agent - {"agent_uuid-1"} | {"user_None"}
    assert len(compiled.of(Payer("other", "other"))) == 3


def test_a_payer_is_counted_in_every_window_of_agent_and_organization():
    """And of users and workspaces where a rule reads that."""
    payer = Payer("uuid-1", "support-bot", "ada", "w")

    assert len(money_meters(payer, [], NOW_US)) == 8
    assert len(money_meters(payer, [rule(scope="user"), rule(scope="user", scope_id="ada"), rule()], NOW_US)) == 9


@pytest.mark.parametrize(
    ("value", "name"), [("ada", "ada"), (7, "7"), ("", None), (None, None), (True, None), (["ada"], None), (1.5, None)]
)
def test_a_payers_name_is_a_text_or_a_number(value, name):
    """Whatever else stands in somebody's metadata names nobody."""
    assert payer_name(value) == name


@given(name=st.text() | st.just("\ud83d"))
def test_any_name_makes_a_meter_that_a_database_stores(name):
    """NUL characters, halves of surrogate pairs and endless names too."""
    meter = money_meter(BudgetScope.USER, Payer("a", "a", name).place(BudgetScope.USER), Window.DAY, NOW_US)

    assert meter.name.isascii()
    assert len(meter.name) < 100


@given(now_us=st.integers(0, 4_000_000_000_000_000), window=st.sampled_from(Window))
def test_a_window_holds_its_moment_and_ends_where_the_next_begins(now_us, window):
    """For minutes, hours, days and calendar months."""
    meter = money_meter(BudgetScope.ORGANIZATION, "", window, now_us)
    following = money_meter(BudgetScope.ORGANIZATION, "", window, meter.ends_at_us)

    assert meter.starts_at_us <= now_us < meter.ends_at_us == following.starts_at_us
    assert meter.name != following.name
