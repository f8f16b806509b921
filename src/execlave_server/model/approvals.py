"""A person's answer to a decision that asked for one: its life, its routing, and the words of its certificate."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct

MINUTE_US = 60_000_000
APPROVAL_LIFE_US = 29 * MINUTE_US  # the SDK stops asking after 30
CERTIFICATE_LIFE_US = 10 * MINUTE_US
REASON_CHARS_MAX = 1_000
REQUESTER_CHARS_MAX = 254  # an email address has no more


class ApprovalStatus(StrEnum):
    """The SDK's words."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


class RiskLevel(StrEnum):
    """How much is at stake, from a score of 0 to 100."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Tier(StrEnum):
    """Who is asked to decide, the widest first."""

    STANDARD = "standard"
    GROUP = "group"
    NAMED_APPROVER = "named_approver"


class Misuse(StrEnum):
    """Why a certificate is refused, in the contract's words."""

    CONTEXT_MISMATCH = "action_context_mismatch"
    EXPIRED = "certificate_expired"
    ALREADY_USED = "certificate_already_used"
    UNANCHORED = "certificate_unanchored"
    TAMPERED = "certificate_tampered"


class Routing(NamedTuple):
    """Where an approval stands: 0 is the first tier asked, each later level the next one up."""

    routed_to: Tier
    escalation_level: int = 0
    escalated_at_us: int | None = None


_LEVELS = ((75, RiskLevel.CRITICAL), (50, RiskLevel.HIGH), (25, RiskLevel.MEDIUM), (0, RiskLevel.LOW))
_FIRST_TIER = {
    RiskLevel.LOW: Tier.STANDARD,
    RiskLevel.MEDIUM: Tier.GROUP,
    RiskLevel.HIGH: Tier.NAMED_APPROVER,
    RiskLevel.CRITICAL: Tier.NAMED_APPROVER,
}
_ESCALATES_AFTER_MINUTES = {
    RiskLevel.LOW: (15, 22),
    RiskLevel.MEDIUM: (10, 20),
    RiskLevel.HIGH: (5, 15),
    RiskLevel.CRITICAL: (3, 10),
}  # all within the life of an approval


class Approval(Struct, frozen=True):
    """An approval as stored. `status` does not know of the time: ask `status_at`."""

    id: str
    organization: int
    decision: str
    api_key: str
    agent: str | None
    agent_reference: str
    environment: str | None
    requester: str | None
    action_digest: str
    salt: bytes
    violations: str
    trace_id: str | None
    tools: str
    risk_score: int
    risk_level: RiskLevel
    status: ApprovalStatus
    requested_at_us: int
    expires_at_us: int
    decided_at_us: int | None
    decided_by: str | None
    decision_reason: str | None
    certificate_id: str | None
    certificate: str | None
    certificate_expires_at_us: int | None
    certificate_verified_at_us: int | None
    unverified_at_us: int | None
    parent_span_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None

    def status_at(self, now_us: int) -> ApprovalStatus:
        """Its status by the clock, whether or not the sweep has been here."""
        if self.status is ApprovalStatus.PENDING and now_us >= self.expires_at_us:
            return ApprovalStatus.EXPIRED
        return self.status

    def routing_at(self, now_us: int) -> Routing:
        """Where it is routed; nothing escalates once it is decided or expired."""
        waited_until_us = min(now_us, self.decided_at_us or now_us, self.expires_at_us)
        return route(self.risk_level, self.requested_at_us, waited_until_us)


def level_of(risk_score: int) -> RiskLevel:
    """The level of a score from 0 to 100."""
    return next(level for least, level in _LEVELS if risk_score >= least)


def route(level: RiskLevel, requested_at_us: int, now_us: int) -> Routing:
    """Who is to decide by now."""
    due_us = [requested_at_us + minutes * MINUTE_US for minutes in _ESCALATES_AFTER_MINUTES[level]]
    passed_us = [time_us for time_us in due_us if time_us <= now_us]
    tiers = list(Tier)
    place = min(tiers.index(_FIRST_TIER[level]) + len(passed_us), len(tiers) - 1)
    return Routing(tiers[place], len(passed_us), passed_us[-1] if passed_us else None)


def requester_of(metadata: Mapping[str, Any] | None) -> str | None:
    """On whose behalf the agent acts, where the caller says so in `metadata.requestedBy` (an email or a user id)."""
    said = (metadata or {}).get("requestedBy")
    return said.strip()[:REQUESTER_CHARS_MAX] or None if isinstance(said, str) else None
