"""Policies and actions as tests need them."""

import json
from typing import Any

from execlave_server.model.policies import Policy, parse_policy
from execlave_server.model.verdicts import Verdict
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.engine import compile_policies, decide

NOW_US = 1_765_449_600_000_000  # Thursday, 2025-12-11 10:40:00 UTC
SPENT = {f"{scope}:{window}": 0.0 for scope in ("agent", "org") for window in ("1m", "1h", "1d", "1mo")}
MINIMAL_RULES: dict[str, dict[str, Any]] = {
    "injection_scan": {},
    "pii_access": {},
    "access_control": {"denied_tools": ["wipe_*"]},
    "action_approval": {},
    "cost_limit": {"max_cost_per_execution": 1.0},
    "budget_cap": {"cap_usd": 10.0},
    "rate_limit": {"max_requests": 5},
    "external_call_limit": {"max_calls": 5},
    "data_restriction": {"max_records": 100},
    "tool_integrity": {},
    "tool_output_scan": {},
    "custom_validator": {"url": "https://validator.example.com/judge"},
    "expression": {"expression": "cost > 1.0"},
}


def body_of(policy_type: str, rule: dict[str, Any] | None = None, mode: str = "block", **more: Any) -> bytes:
    """The JSON body of a policy."""
    said = {"name": f"A {policy_type}", "policyType": policy_type, "enforcementMode": mode}
    return json.dumps(said | {"ruleDefinition": MINIMAL_RULES[policy_type] if rule is None else rule} | more).encode()


def policy(policy_type: str, rule: dict[str, Any] | None = None, mode: str = "block", **more: Any) -> Policy:
    """A policy as it is read back from the store."""
    return parse_policy(body_of(policy_type, rule, mode, **more), f"pol_{policy_type}", 3)


def act(**more: Any) -> Action:
    """An action that nothing objects to."""
    return Action(**{"agent_id": "support-bot", "input": "Good morning.", "environment": "production"} | more)


def facts(**more: Any) -> Facts:
    """Facts in which nothing was spent or counted."""
    counts = {f"pol_{policy_type}": 0 for policy_type in MINIMAL_RULES}
    return Facts(**{"now_us": NOW_US, "spent_usd": SPENT, "counts": counts, "baseline": {}} | more)


def judge(policies: Policy | list[Policy], action: Action | None = None, known: Facts | None = None) -> Verdict:
    """What the policies say."""
    given = [policies] if isinstance(policies, Policy) else policies
    return decide(compile_policies(given), action or act(), known or facts())


def rules_of(verdict: Verdict) -> list[str]:
    """The rule ids of the violations."""
    return [found.rule_id for found in verdict.violations]
