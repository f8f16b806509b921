"""What the check of one policy answers."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from execlave_server.model.policies import EnforcementMode
from execlave_server.policy.action import Action, Facts


class Breach(NamedTuple):
    """How an action violates a policy. `message` speaks of the policy and never quotes the action.

    `mode_max` caps the policy's enforcement mode for this breach.
    """

    rule_id: str
    message: str
    remediation: str
    severity: str = "high"
    retryable: bool = False
    mode_max: EnforcementMode | None = None


class CannotEvaluateError(Exception):
    """A policy cannot be evaluated; its failure mode says what that means. The text never quotes the action."""


class BadRuleError(Exception):
    """A rule definition cannot be compiled: `field` of it, and what is wrong."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field} {what}")
        self.field = field
        self.what = what


Check: TypeAlias = Callable[[Action, Facts], Breach | None]
