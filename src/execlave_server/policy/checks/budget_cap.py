from execlave_server.model.policy_rules import BudgetCapRule, Window
from execlave_server.policy.action import Action, Facts, Spend
from execlave_server.policy.breaches import Breach, CannotEvaluateError, Check

PERIODS = {Window.MINUTE: "a minute", Window.HOUR: "an hour", Window.DAY: "a day", Window.MONTH: "a month"}


def budget_cap(rule: BudgetCapRule) -> Check:
    """US dollars spent and reserved in a window."""
    cap_usd, key = rule.cap_usd, Spend(rule.scope, rule.window).key
    breach = Breach(
        "budget_cap.cap_usd",
        f"The budget of ${cap_usd:,.2f} {PERIODS[rule.window]} is used up",
        "Wait for the next window, or ask for a larger budget.",
        retryable=True,
    )

    def check(action: Action, facts: Facts) -> Breach | None:
        return breach if is_over(spent_of(facts, key), action.cost_usd, cap_usd) else None

    return check


def is_over(spent_usd: float, cost_usd: float, cap_usd: float) -> bool:
    """True when the cap is reached already, or would be passed."""
    return spent_usd >= cap_usd or spent_usd + cost_usd > cap_usd


def spent_of(facts: Facts, key: str) -> float:
    """The sum that was fetched. Raises CannotEvaluateError when it could not be."""
    spent_usd = facts.spent_usd.get(key)
    if spent_usd is None:
        raise CannotEvaluateError("what was spent is not known")
    return spent_usd
