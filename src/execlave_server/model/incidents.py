"""An incident: violations of one policy by one agent that belong together, and what people did about them."""

from enum import StrEnum

from msgspec import Struct

from execlave_server.model.traces import TraceStatus

WINDOW_US = 15 * 60_000_000  # a violation this long after the last one is another incident
TEXT_CHARS_MAX = 4_000  # of a comment or a reason
VIOLATING = (TraceStatus.POLICY_BLOCKED, TraceStatus.LIMIT_EXCEEDED, TraceStatus.FLAGGED_FOR_REVIEW)


class IncidentState(StrEnum):
    """How far an incident is."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How bad it is, the worst last."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low up to 3 for critical."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
_OF_STATUS = {
    TraceStatus.POLICY_BLOCKED: Severity.HIGH,
    TraceStatus.LIMIT_EXCEEDED: Severity.MEDIUM,
    TraceStatus.FLAGGED_FOR_REVIEW: Severity.LOW,
}
_OF_MODE = {"block": Severity.HIGH, "require_approval": Severity.MEDIUM, "warn": Severity.LOW, "monitor": Severity.LOW}


class StepKind(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    VIOLATIONS = "violations"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    COMMENT = "comment"
    CONTAINED = "contained"
    RESOLVED = "resolved"
    REOPENED = "reopened"


class Incident(Struct, frozen=True):
    """An incident as stored. `agent` is the registry's id, None where the agent is not registered."""

    id: str
    organization: int
    agent: str | None
    agent_reference: str
    agent_name: str
    environment: str
    policy: str
    policy_name: str
    severity: Severity
    state: IncidentState
    opened_by: str
    opened_at_us: int
    first_seen_us: int
    last_seen_us: int
    violations: int
    assignee: str | None
    assignee_name: str | None
    assignee_email: str | None
    resolved_at_us: int | None
    resolution: str | None
    version: int
    salt: bytes


class IncidentStep(Struct, frozen=True):
    """One line of an incident's timeline. `text` is a person's words."""

    number: int
    kind: StepKind
    at_us: int
    actor: str
    text: str | None
    violations: int
    assignee: str | None
    assignee_name: str | None
    assignee_email: str | None


class IncidentTrace(Struct, frozen=True):
    """A trace that an incident is made of. `trace` is its row; it may have been swept since."""

    trace: int
    trace_id: str
    span_id: str
    status: TraceStatus
    received_at_us: int


def severity_of(status: TraceStatus, mode: str | None, said: str | None) -> Severity:
    """What the policy says of a violation, or else what its mode says, or else its status."""
    if said in _RANKS:
        return Severity(said)
    return _OF_MODE.get(mode or "", _OF_STATUS.get(status, Severity.LOW))
