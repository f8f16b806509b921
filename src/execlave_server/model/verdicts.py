"""What the policies say of an action."""

from enum import StrEnum

from msgspec import Struct

from execlave_server.model.policies import EnforcementMode, FailureMode, PolicyType
from execlave_server.model.traces import TraceStatus


class Ruling(StrEnum):
    """What may happen to the action, the strictest last."""

    ALLOW = "allow"
    WARN = "warn"
    REQUIRE_APPROVAL = "require_approval"
    BLOCK = "block"


_RULINGS = {
    EnforcementMode.MONITOR: Ruling.ALLOW,
    EnforcementMode.WARN: Ruling.WARN,
    EnforcementMode.REQUIRE_APPROVAL: Ruling.REQUIRE_APPROVAL,
    EnforcementMode.BLOCK: Ruling.BLOCK,
}


class PolicyViolation(Struct, frozen=True, rename="camel"):
    """One policy's objection, in the SDK's shape. No text in it comes from the action."""

    policy_id: str
    policy_name: str
    policy_version: int
    policy_type: PolicyType
    rule_id: str
    severity: str
    message: str
    remediation: str
    retryable: bool
    enforcement_mode: EnforcementMode

    @property
    def is_limit(self) -> bool:
        """True where a limit was found used up, not where its policy could not be evaluated."""
        return self.policy_type.is_limit and self.rule_id != UNEVALUATED


UNEVALUATED = "unevaluated"  # rule id of a policy that failed closed


class Unevaluated(Struct, frozen=True, rename="camel"):
    """A policy that could not be evaluated, for the record. `reason` quotes nothing of the action."""

    policy_id: str
    policy_version: int
    failure_mode: FailureMode
    reason: str


class Verdict(Struct, frozen=True, rename="camel"):
    """All objections, strictest first. `shadow` is what policies in monitor mode would have said."""

    ruling: Ruling = Ruling.ALLOW
    violations: tuple[PolicyViolation, ...] = ()
    shadow: tuple[PolicyViolation, ...] = ()
    unevaluated: tuple[Unevaluated, ...] = ()

    @property
    def deciding(self) -> tuple[PolicyViolation, ...]:
        """The violations that brought the ruling about."""
        return tuple(found for found in self.violations if _RULINGS[found.enforcement_mode] is self.ruling)

    @property
    def status(self) -> TraceStatus | None:
        """What the ruling makes of the step's status; None leaves it as it is, also while an approval is waited for."""
        match self.ruling:
            case Ruling.BLOCK if all(found.is_limit for found in self.deciding):
                return TraceStatus.LIMIT_EXCEEDED
            case Ruling.BLOCK:
                return TraceStatus.POLICY_BLOCKED
            case Ruling.WARN:
                return TraceStatus.FLAGGED_FOR_REVIEW
            case Ruling.ALLOW | Ruling.REQUIRE_APPROVAL:
                return None


def ruling_of(violations: tuple[PolicyViolation, ...]) -> Ruling:
    """The strictest wins, in whatever order they come."""
    modes = (found.enforcement_mode for found in violations)
    return _RULINGS[max(modes, key=lambda mode: mode.strictness, default=EnforcementMode.MONITOR)]
