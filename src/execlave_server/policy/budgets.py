"""What budget rules say of an action: pure, in billionths of a US dollar."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from math import ceil
from typing import NamedTuple

import msgspec

from execlave_server.audit.canonical import NANO
from execlave_server.model.budgets import BudgetAction, BudgetRule, BudgetScope, Payer
from execlave_server.model.policies import EnforcementMode, PolicyType
from execlave_server.model.verdicts import PolicyViolation, Verdict, ruling_of
from execlave_server.policy.checks.budget_cap import PERIODS

BURN_RATE_FROM = 0.05  # of a window has passed: before that, the first action alone would look like a fire
RACING_MAX = 2_000  # decisions on their way at once: each sees nothing of the others
_WHOSE = {
    BudgetScope.ORGANIZATION: "the organization",
    BudgetScope.AGENT: "this agent",
    BudgetScope.USER: "this user",
    BudgetScope.WORKSPACE: "this workspace",
}


class Notice(StrEnum):
    """What is told once a window."""

    WARNING = "warning"
    HIT = "hit"


class Budget(NamedTuple):
    """A rule that speaks of an action. `spent` is used and reserved, without this action; `told` were told already."""

    rule: BudgetRule
    spent: int
    starts_at_us: int
    ends_at_us: int
    told: frozenset[Notice] = frozenset()

    @property
    def cap(self) -> int:
        """How much there is in all."""
        return cap_of(self.rule)

    @property
    def threshold(self) -> int:
        """From how much on it is running out."""
        return ceil(self.cap * self.rule.terms.warning_threshold_pct / 100)

    def is_used_up(self, cost: int) -> bool:
        """True when the cap is reached already, or would be passed."""
        return self.spent >= self.cap or self.spent + cost > self.cap

    def is_running_out(self, cost: int, now_us: int) -> bool:
        """True when the warning threshold is reached, or at this rate the cap will be before the window ends."""
        spent = self.spent + cost
        if spent >= self.threshold:
            return True
        passed, length = now_us - self.starts_at_us, self.ends_at_us - self.starts_at_us
        burns = self.rule.terms.burn_rate_alert_enabled and passed >= length * BURN_RATE_FROM
        return burns and spent * length > self.cap * passed

    def may_run_out(self, cost: int) -> bool:
        """True when as many decisions like this one as may race would reach the threshold together."""
        return self.spent + cost * RACING_MAX >= self.threshold


class CompiledBudgets:
    """An organization's rules, by whom they are about."""

    def __init__(self, rules: Iterable[BudgetRule] = ()) -> None:
        self._rules: dict[tuple[BudgetScope, str | None], list[BudgetRule]] = {}
        for rule in rules:
            self._rules.setdefault((rule.terms.scope, rule.terms.scope_id), []).append(rule)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of(self, payer: Payer) -> list[BudgetRule]:
        """The rules that this payer's spending counts under."""
        return list(self._of(payer)) if self._rules else []

    def _of(self, payer: Payer) -> Iterator[BudgetRule]:
        for scope in BudgetScope:
            names = payer.names(scope)
            if names or scope is BudgetScope.ORGANIZATION:
                for name in (None, *dict.fromkeys(names)):
                    yield from self._rules.get((scope, name), ())


def judge_budgets(budgets: Sequence[Budget], cost: int) -> list[PolicyViolation]:
    """An objection for each budget that is used up."""
    return [_violation(budget.rule) for budget in budgets if budget.is_used_up(cost)]


def add_violations(verdict: Verdict, found: Sequence[PolicyViolation]) -> Verdict:
    """A verdict with more objections: still the strictest wins."""
    if not found:
        return verdict
    violations = tuple(sorted((*verdict.violations, *found), key=_order))
    return msgspec.structs.replace(verdict, ruling=ruling_of(violations), violations=violations)


class DueNotice(NamedTuple):
    """Something to tell of a budget, unless it was told meanwhile, once so much is spent."""

    budget: Budget
    notice: Notice
    threshold: int = 0


def tell(budgets: Sequence[Budget], cost: int, now_us: int, *, runs: bool) -> list[DueNotice]:
    """What is to be told of an action's budgets; one that does not run uses nothing.

    A warning is also prepared where only decisions that race with this one can reach the threshold.
    """
    due = []
    for budget in budgets:
        if budget.is_used_up(cost):
            found = DueNotice(budget, Notice.HIT)
        elif runs and budget.is_running_out(cost, now_us):
            found = DueNotice(budget, Notice.WARNING)
        elif runs and cost and budget.may_run_out(cost):
            found = DueNotice(budget, Notice.WARNING, budget.threshold)
        else:
            continue
        if found.notice not in budget.told:
            due.append(found)
    return due


def pausing(budgets: Sequence[Budget], cost: int) -> Budget | None:
    """The first budget that pauses the agent, if one does."""
    used_up = (budget for budget in budgets if budget.is_used_up(cost))
    return next((budget for budget in used_up if budget.rule.terms.action is BudgetAction.PAUSE_AGENT), None)


def cap_of(rule: BudgetRule) -> int:
    """The cap in billionths of a US dollar."""
    return round(rule.terms.cap_usd * NANO)


def said_of(rule: BudgetRule) -> str:
    """That it is used up, in words that quote nobody."""
    terms = rule.terms
    return f"The budget of ${terms.cap_usd:,.2f} {PERIODS[terms.window]} of {_WHOSE[terms.scope]} is used up"


def _violation(rule: BudgetRule) -> PolicyViolation:
    terms = rule.terms
    return PolicyViolation(
        policy_id=rule.id,
        policy_name=f"Budget of ${terms.cap_usd:,.2f} {PERIODS[terms.window]} of {_WHOSE[terms.scope]}",
        policy_version=rule.version,
        policy_type=PolicyType.BUDGET_CAP,
        rule_id=f"budget.{terms.scope}",
        severity="high",
        message=said_of(rule),
        remediation="Wait for the next window, or ask for a larger budget.",
        retryable=terms.action is not BudgetAction.PAUSE_AGENT,
        enforcement_mode=EnforcementMode.BLOCK if terms.action.blocks else EnforcementMode.WARN,
    )


def _order(violation: PolicyViolation) -> tuple[int, str, str]:
    return -violation.enforcement_mode.strictness, violation.policy_id, violation.rule_id
