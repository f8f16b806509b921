"""Decide what may happen to an action: pure, from compiled policies, the action and the facts fetched for it."""

from typing import NamedTuple

from execlave_server.model.policies import EnforcementMode, FailureMode, Phase, Policy
from execlave_server.model.policy_rules import (
    BudgetCapRule,
    CostLimitRule,
    CustomValidatorRule,
    ExternalCallLimitRule,
    PiiAccessRule,
    RateLimitRule,
    ToolIntegrityRule,
)
from execlave_server.model.verdicts import UNEVALUATED, PolicyViolation, Unevaluated, Verdict, ruling_of
from execlave_server.policy.action import Action, Counter, Facts, Spend
from execlave_server.policy.breaches import Breach, CannotEvaluateError
from execlave_server.policy.check_of_rule import verify_policy
from execlave_server.policy.checks.cost_limit import AGENT_DAY
from execlave_server.policy.checks.pii_access import EVERY_KIND, kinds_of
from execlave_server.policy.compiled_policies import CompiledPolicies, compile_policies
from execlave_server.policy.detect_pii import PiiKind
from execlave_server.policy.wildcards import remembered_patterns

__all__ = [
    "CompiledPolicies",
    "NeededFacts",
    "ValidatorCall",
    "compile_policies",
    "decide",
    "fails_closed",
    "masked_kinds",
    "needed_facts",
    "scan_bytes",
    "verify_policy",
]

_NOTHING = Verdict()


def decide(compiled: CompiledPolicies, action: Action, facts: Facts) -> Verdict:
    """The strictest objection wins, in whatever order the policies come.

    Never raises: a policy whose check does counts as its failure mode says.
    """
    breaches: list[tuple[Policy, Breach]] = []
    failures: list[tuple[Policy, Exception]] = []
    for check, policy in compiled.select(action).checks:
        try:
            breach = check(action, facts)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a policy, its failure mode says what follows
            failures.append((policy, error))
        else:
            if breach is not None:
                breaches.append((policy, breach))
    return _verdict(breaches, failures) if breaches or failures else _NOTHING


class ValidatorCall(NamedTuple):
    """A customer's endpoint to ask; see `checks.custom_validator` for what is sent and how the answer is judged."""

    policy_id: str
    url: str


class NeededFacts(NamedTuple):
    """What must be fetched before `decide`. `counters` are also what to count once the action is let go."""

    spends: frozenset[Spend]
    counters: tuple[Counter, ...]
    validators: tuple[ValidatorCall, ...]
    baseline: bool


_NO_FACTS = NeededFacts(frozenset(), (), (), baseline=False)


def needed_facts(compiled: CompiledPolicies, action: Action) -> NeededFacts:
    """The facts that the policies judging this action ask for."""
    asking = compiled.select(action).asking
    if not asking:
        return _NO_FACTS
    spends: set[Spend] = set()
    counters: list[Counter] = []
    validators: list[ValidatorCall] = []
    baseline = False
    for policy in asking:
        match policy.rule_definition:
            case CostLimitRule(daily_budget=float()) if action.phase is Phase.PRE:
                spends.add(AGENT_DAY)
            case BudgetCapRule() as rule:
                spends.add(Spend(rule.scope, rule.window))
            case RateLimitRule() as rule:
                counters.append(Counter(policy.id, rule.scope, rule.window, 1))
            case ExternalCallLimitRule() as rule:
                counters.append(
                    Counter(policy.id, rule.scope, rule.window, remembered_patterns(rule.tools).count_in(action.tools))
                )
            case ToolIntegrityRule() as rule:
                baseline |= rule.use_baseline
            case CustomValidatorRule() as rule:
                validators.append(ValidatorCall(policy.id, rule.url))
            case _:
                pass
    return NeededFacts(frozenset(spends), tuple(counters), tuple(validators), baseline)


def fails_closed(compiled: CompiledPolicies, action: Action | None) -> bool:
    """True when a fail_closed policy judges this action; of one that could not be read, when there is any at all."""
    return compiled.fails_closed if action is None else compiled.select(action).fails_closed


def scan_bytes(compiled: CompiledPolicies, action: Action) -> int:
    """How much text `decide` will read: what is large is decided off the event loop."""
    return action.texts.size_bytes if compiled.select(action).reads_texts else 0


def masked_kinds(compiled: CompiledPolicies, action: Action) -> frozenset[PiiKind]:
    """The kinds of personal data that policies want masked in what the server keeps of this action's output.

    A policy in monitor mode only watches: it masks nothing.
    """
    kinds: frozenset[PiiKind] = frozenset()
    for _, policy in compiled.select(action).checks:
        rule = policy.rule_definition
        if policy.enforcement_mode is EnforcementMode.MONITOR:
            continue
        if isinstance(rule, PiiAccessRule) and rule.mask_output:
            names = rule.denied_pii_types
            kinds |= EVERY_KIND if names is None else kinds_of(names, "denied_pii_types")
    return kinds


def _verdict(breaches: list[tuple[Policy, Breach]], failures: list[tuple[Policy, Exception]]) -> Verdict:
    found = [_violation(policy, breach, _mode_of(policy, breach)) for policy, breach in breaches]
    found += [
        _violation(policy, _UNEVALUATED, _mode_when_closed(policy))
        for policy, _ in failures
        if policy.failure_mode is FailureMode.CLOSED
    ]
    found.sort(key=_order)
    violations = tuple(one for one in found if one.enforcement_mode is not EnforcementMode.MONITOR)
    return Verdict(
        ruling_of(violations),
        violations,
        tuple(one for one in found if one.enforcement_mode is EnforcementMode.MONITOR),
        tuple(sorted((_unevaluated(*failure) for failure in failures), key=lambda one: one.policy_id)),
    )


def _mode_of(policy: Policy, breach: Breach) -> EnforcementMode:
    modes = (policy.enforcement_mode, breach.mode_max or EnforcementMode.BLOCK)
    return min(modes, key=lambda mode: mode.strictness)


def _mode_when_closed(policy: Policy) -> EnforcementMode:
    """A policy that is only watched changes nothing, also when it fails."""
    return EnforcementMode.MONITOR if policy.enforcement_mode is EnforcementMode.MONITOR else EnforcementMode.BLOCK


def _order(violation: PolicyViolation) -> tuple[int, str, str]:
    return -violation.enforcement_mode.strictness, violation.policy_id, violation.rule_id


def _violation(policy: Policy, breach: Breach, mode: EnforcementMode) -> PolicyViolation:
    return PolicyViolation(
        policy.id,
        policy.name,
        policy.version,
        policy.policy_type,
        breach.rule_id,
        breach.severity,
        breach.message,
        breach.remediation,
        breach.retryable,
        mode,
    )


def _unevaluated(policy: Policy, error: Exception) -> Unevaluated:
    """Only our own words: another error's text may hold a piece of the action."""
    reason = str(error) if isinstance(error, CannotEvaluateError) else f"the check ended in {type(error).__name__}"
    return Unevaluated(policy.id, policy.version, policy.failure_mode, reason)


_UNEVALUATED = Breach(
    UNEVALUATED,
    "The policy could not be evaluated, and it is set to fail closed",
    "Try again; if this lasts, the decision's record says what was missing.",
    retryable=True,
)
