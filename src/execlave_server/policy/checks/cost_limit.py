from execlave_server.model.policies import Phase
from execlave_server.model.policy_rules import CostLimitRule, Scope, Window
from execlave_server.policy.action import Action, Facts, Spend
from execlave_server.policy.breaches import Breach, Check
from execlave_server.policy.checks.budget_cap import is_over, spent_of

AGENT_DAY = Spend(Scope.AGENT, Window.DAY)


def cost_limit(rule: CostLimitRule) -> Check:
    """US dollars of one action, and of the agent's day. A trace is held to the first alone: its money is spent."""
    most_usd, day_usd, day_key = rule.max_cost_per_execution, rule.daily_budget, AGENT_DAY.key

    def check(action: Action, facts: Facts) -> Breach | None:
        cost_usd = action.cost_usd
        if most_usd is not None and cost_usd > most_usd:
            return Breach(
                "cost_limit.max_cost_per_execution",
                f"The action costs more than the ${most_usd:,.2f} that one may cost",
                "Use a cheaper model or a smaller request.",
            )
        if day_usd is None or action.phase is Phase.POST or not is_over(spent_of(facts, day_key), cost_usd, day_usd):
            return None
        return Breach(
            "cost_limit.daily_budget",
            f"The agent's budget of ${day_usd:,.2f} a day is used up",
            "Try again after midnight UTC, or ask for a larger budget.",
            retryable=True,
        )

    return check
