"""Policies to start from."""

from typing import Any, NamedTuple


class Template(NamedTuple):
    """A policy as the form takes it; `ruleDefinition` is text."""

    key: str
    why: str
    body: dict[str, Any]


TEMPLATES = (
    Template(
        "injection",
        "Stop actions whose text tries to override the agent's instructions.",
        {
            "name": "Prompt injection",
            "policyType": "injection_scan",
            "enforcementMode": "block",
            "failureMode": "fail_closed",
            "ruleDefinition": '{\n  "scan_input": true,\n  "scan_output": true\n}',
        },
    ),
    Template(
        "refunds",
        "Let a person decide before money leaves.",
        {
            "name": "Refunds need a person",
            "policyType": "action_approval",
            "enforcementMode": "require_approval",
            "failureMode": "fail_closed",
            "ruleDefinition": '{\n  "tools": ["refund*", "transfer*"]\n}',
        },
    ),
    Template(
        "secrets",
        "See which agents touch card numbers and keys, before you block it: a monitor changes nothing.",
        {
            "name": "Cards and keys",
            "policyType": "pii_access",
            "enforcementMode": "monitor",
            "failureMode": "fail_open",
            "ruleDefinition": '{\n  "denied_pii_types": ["credit_card", "api_key"]\n}',
        },
    ),
)
