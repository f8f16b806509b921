from execlave_server.model.policy_rules import ExternalCallLimitRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import Breach, Check
from execlave_server.policy.checks.budget_cap import PERIODS
from execlave_server.policy.checks.rate_limit import count_of
from execlave_server.policy.wildcards import NamePatterns


def external_call_limit(rule: ExternalCallLimitRule, policy_id: str) -> Check:
    """Calls of outside tools in a window; each matching tool that an action names is one call."""
    most, tools = rule.max_calls, NamePatterns(rule.tools)
    breach = Breach(
        "external_call_limit.max_calls",
        f"More than {most:,} external calls {PERIODS[rule.window]}",
        "Wait for the next window, or ask for a larger limit.",
        "medium",
        retryable=True,
    )

    def check(action: Action, facts: Facts) -> Breach | None:
        calls = tools.count_in(action.tools)
        return breach if calls and count_of(facts, policy_id) + calls > most else None

    return check
