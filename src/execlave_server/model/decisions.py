from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    """What an enforce call was answered."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"


class Violation(Struct, frozen=True, rename="camel"):
    """Why an action may not run, in the SDK's shape. `message` never quotes the action's input."""

    policy_id: str
    policy_name: str
    policy_type: str
    message: str
    remediation: str
    enforcement_mode: str = "block"
    severity: str = "high"
    retryable: bool = False


class Decision(Struct, frozen=True):
    """The answer to one enforce call. `action_digest` is the SHA-256 of the canonical action context."""

    id: str
    outcome: Outcome
    violations: tuple[Violation, ...]
    action_digest: str
