from execlave_server.model.policy_rules import RateLimitRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import Breach, CannotEvaluateError, Check
from execlave_server.policy.checks.budget_cap import PERIODS
from execlave_server.policy.wildcards import NamePatterns


def rate_limit(rule: RateLimitRule, policy_id: str) -> Check:
    """Actions asked for in a window, this one included."""
    most, tools = rule.max_requests, NamePatterns(rule.tools) if rule.tools else None
    breach = Breach(
        "rate_limit.max_requests",
        f"More than {most:,} actions {PERIODS[rule.window]}",
        "Slow down and try again.",
        "medium",
        retryable=True,
    )

    def check(action: Action, facts: Facts) -> Breach | None:
        if tools is not None and not tools.any_of(action.tools):
            return None
        return breach if count_of(facts, policy_id) >= most else None

    return check


def count_of(facts: Facts, policy_id: str) -> int:
    """The count that was fetched. Raises CannotEvaluateError when it could not be."""
    count = facts.counts.get(policy_id)
    if count is None:
        raise CannotEvaluateError("the counter of this policy is not known")
    return count
