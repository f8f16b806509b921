"""From a rule definition to the function that checks it, and to the tools it is about."""

from functools import lru_cache

from execlave_server.model.policies import FailureMode, Policy, invalid
from execlave_server.model.policy_rules import (
    AccessControlRule,
    ActionApprovalRule,
    BudgetCapRule,
    CostLimitRule,
    CustomValidatorRule,
    DataRestrictionRule,
    ExpressionRule,
    ExternalCallLimitRule,
    InjectionScanRule,
    PiiAccessRule,
    RateLimitRule,
    Rule,
    ToolIntegrityRule,
    ToolOutputScanRule,
)
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import BadRuleError, Breach, CannotEvaluateError, Check
from execlave_server.policy.checks.access_control import access_control
from execlave_server.policy.checks.action_approval import action_approval
from execlave_server.policy.checks.budget_cap import budget_cap
from execlave_server.policy.checks.cost_limit import cost_limit
from execlave_server.policy.checks.custom_validator import custom_validator
from execlave_server.policy.checks.data_restriction import data_restriction
from execlave_server.policy.checks.expression import expression
from execlave_server.policy.checks.external_call_limit import external_call_limit
from execlave_server.policy.checks.injection_scan import injection_scan
from execlave_server.policy.checks.pii_access import pii_access
from execlave_server.policy.checks.rate_limit import rate_limit
from execlave_server.policy.checks.tool_integrity import tool_integrity
from execlave_server.policy.checks.tool_output_scan import tool_output_scan
from execlave_server.policy.wildcards import NamePatterns, remembered_patterns

CHECKS_KEPT = 8_192  # patterns and expressions are compiled once, however often the policies around them change
TEXT_RULES = (InjectionScanRule, PiiAccessRule, ToolOutputScanRule)


def verify_policy(policy: Policy) -> None:
    """What only the engines can tell before a policy is saved. Raises ValidationFailedError that names the field."""
    try:
        _compile(policy.rule_definition, policy.id)
    except BadRuleError as error:
        raise invalid(f"ruleDefinition.{error.field}", error.what) from error


def check_of(policy: Policy) -> Check:
    """The policy's check. A rule that cannot be used here makes one that never can be evaluated."""
    try:
        check = _compile(policy.rule_definition, policy.id)
    except BadRuleError:
        return _unusable
    return _whole(check, policy.failure_mode) if isinstance(policy.rule_definition, TEXT_RULES) else check


def tools_of(rule: Rule) -> NamePatterns | None:
    """The tools without which the rule has nothing to say; None where it may speak of any action."""
    match rule:
        case ActionApprovalRule() | ExternalCallLimitRule():
            return remembered_patterns(rule.tools)
        case RateLimitRule() if rule.tools:
            return remembered_patterns(rule.tools)
        case AccessControlRule(allowed_tools=None, environments=None, hours=None):
            return remembered_patterns(rule.denied_tools)
        case _:
            return None


@lru_cache(CHECKS_KEPT)
def _compile(rule: Rule, policy_id: str) -> Check:  # noqa: C901, PLR0911, PLR0912 - one line a type
    match rule:
        case InjectionScanRule():
            return injection_scan(rule)
        case PiiAccessRule():
            return pii_access(rule)
        case AccessControlRule():
            return access_control(rule)
        case ActionApprovalRule():
            return action_approval(rule)
        case CostLimitRule():
            return cost_limit(rule)
        case BudgetCapRule():
            return budget_cap(rule)
        case RateLimitRule():
            return rate_limit(rule, policy_id)
        case ExternalCallLimitRule():
            return external_call_limit(rule, policy_id)
        case DataRestrictionRule():
            return data_restriction(rule)
        case ToolIntegrityRule():
            return tool_integrity(rule)
        case ToolOutputScanRule():
            return tool_output_scan(rule)
        case CustomValidatorRule():
            return custom_validator(policy_id)
        case ExpressionRule():
            return expression(rule)
        case _:
            raise TypeError(f"{type(rule).__name__} has no check")


def _whole(check: Check, failure_mode: FailureMode) -> Check:
    """A text that could not be gathered whole was not judged: what was found counts, what was not found does not."""
    closed = failure_mode is FailureMode.CLOSED

    def whole(action: Action, facts: Facts) -> Breach | None:
        if action.texts.complete:
            return check(action, facts)
        breach = None if closed else check(action, facts)
        if breach is None:
            raise CannotEvaluateError("the texts of the action are more than can be scanned")
        return breach

    return whole


def _unusable(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - it is a check like any other
    raise CannotEvaluateError("the rule definition cannot be used on this server")
