from enum import StrEnum

from msgspec import Struct

from execlave_server.model.traces import TraceStatus
from execlave_server.model.verdicts import PolicyViolation


class Outcome(StrEnum):
    """What an enforce call was answered."""

    ALLOWED = "allowed"
    WARNED = "warned"
    APPROVAL_REQUIRED = "approval_required"
    BLOCKED = "blocked"


class Violation(Struct, frozen=True, rename="camel"):
    """Why an action may not run whatever the policies say, in the SDK's shape. `message` quotes nothing of it."""

    policy_id: str
    policy_name: str
    policy_type: str
    rule_id: str
    message: str
    remediation: str
    enforcement_mode: str = "block"
    severity: str = "high"
    retryable: bool = False


class Decision(Struct, frozen=True):
    """The answer to one enforce call.

    `action_digest` is the SHA-256 of the canonical action context; `status` what the decision makes of the step's;
    `trace_id` is the caller's, or a new one where the decision itself writes the trace.
    """

    id: str
    outcome: Outcome
    violations: tuple[Violation | PolicyViolation, ...]
    action_digest: str
    trace_id: str | None = None
    approval_id: str | None = None
    status: TraceStatus | None = None
