"""What the audit chain is about: a closed set of kinds, each with its own details.

Details hold identifiers, counts, enums and digests, never free text: an entry is for ever, and what people write must
stay erasable. A reason, a name or a new value stands in its own table; here stands its salted digest where it matters.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]  # SHA-256
Count = Annotated[int, Meta(ge=0)]
RANGES_PER_SWEEP_MAX = 1_000  # about 110 kB of details; a larger sweep makes several entries


class Kind(StrEnum):
    """What happened. Stored and hashed as this text: never renamed."""

    BATCH_ROOT = "batch.root"
    DECISION_RECORDED = "decision.recorded"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_VERIFIED = "approval.verified"
    APPROVAL_MISUSED = "approval.misused"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_UNVERIFIED = "approval.execution_unverified"
    CERTIFICATE_ISSUED = "certificate.issued"
    POLICY_CREATED = "policy.created"
    POLICY_CHANGED = "policy.changed"
    POLICY_DELETED = "policy.deleted"
    BUDGET_CHANGED = "budget.changed"
    BUDGET_WARNING = "budget.warning"
    BUDGET_HIT = "budget.hit"
    AGENT_REGISTERED = "agent.registered"
    AGENT_STATUS_CHANGED = "agent.status_changed"
    AGENT_TIER_OVERRIDDEN = "agent.tier_overridden"
    AGENT_LEVEL_REFUSED = "agent.level_refused"
    KEY_ISSUED = "key.issued"
    KEY_REVOKED = "key.revoked"
    DESTINATION_CHANGED = "destination.changed"
    DESTINATION_ENABLED = "destination.enabled"
    DESTINATION_HELD = "destination.held"
    DESTINATION_DISABLED = "destination.disabled"
    ENFORCEMENT_BYPASSED = "enforcement.bypassed"
    PERSON_CHANGED = "person.changed"
    PERSON_SIGNED_IN = "person.signed_in"
    SWEPT = "sweep.done"
    ERASED = "erase.done"
    SECRETS_ROTATED = "secrets.rotated"
    SETTINGS_CHANGED = "settings.changed"
    CONTENT_READ = "trace.content_read"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_ACKNOWLEDGED = "incident.acknowledged"
    INCIDENT_ASSIGNED = "incident.assigned"
    INCIDENT_COMMENTED = "incident.commented"
    INCIDENT_CONTAINED = "incident.contained"
    INCIDENT_RESOLVED = "incident.resolved"
    INCIDENT_REOPENED = "incident.reopened"


class Details(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an entry says beside who, when and of what."""


class BatchRoot(Details, frozen=True, kw_only=True):
    """The tree over a batch: its traces in the order of their ids, then its decisions by position.

    A batch of governance events has only those, by position.
    """

    batch: Count
    decisions: Count
    events: Count = 0
    leaves: Count
    root: Digest
    traces: Count


class DecisionRecorded(Details, frozen=True, kw_only=True):
    """A decision that is not a plain allow; `leaf` is its leaf hash in its batch's tree."""

    agent: str | None = None
    decision: str
    leaf: Digest
    outcome: str


class Approval(Details, frozen=True, kw_only=True):
    """An approval asked for, expired, or approved and never verified. `action_digest` is salted."""

    action_digest: Digest
    approval: str
    decision: str


class ApprovalDecided(Details, frozen=True, kw_only=True):
    """`reason_digest` is salted."""

    approval: str
    outcome: str
    reason_digest: Digest


class ApprovalUsed(Details, frozen=True, kw_only=True):
    """A certificate presented: accepted, or refused for `reason`, one of the contract's words."""

    approval: str
    certificate: str | None = None
    reason: str | None = None


class CertificateIssued(Details, frozen=True, kw_only=True):
    """`certificate_digest` is the SHA-256 of the certificate; `action_digest` is salted."""

    action_digest: Digest
    approval: str
    certificate: str
    certificate_digest: Digest
    expires_at_us: int


class PolicyVersion(Details, frozen=True, kw_only=True):
    """`rule_digest` is the SHA-256 of the canonical body of this version."""

    mode: str
    policy: str
    rule_digest: Digest
    type: str
    version: Count


class Budget(Details, frozen=True, kw_only=True):
    """A budget rule set, or the threshold it passed; money in billionths of a US dollar."""

    action: str
    budget: str
    cap_nano_usd: int
    spent_nano_usd: int | None = None
    window: str


class AgentChange(Details, frozen=True, kw_only=True):
    """An agent registered, or its new status; `reason_digest` is salted."""

    agent: str
    autonomy_level: str | None = None
    environment: str
    reason_digest: Digest | None = None
    status: str
    was: str | None = None


class TierOverride(Details, frozen=True, kw_only=True):
    """A policy that departs from the bundle of an agent's tier."""

    agent: str
    autonomy_level: str
    policy: str
    version: Count


class LevelRefused(Details, frozen=True, kw_only=True):
    """An agent asked with its own key for a level that would loosen its tier; it keeps the one it has."""

    agent: str
    asked: str
    autonomy_level: str
    environment: str


class Key(Details, frozen=True, kw_only=True):
    """An API key; the key itself is nowhere."""

    environment: str
    key: str
    role: str


class DestinationChange(Details, frozen=True, kw_only=True):
    """`settings_digest` is the SHA-256 of the canonical settings without the secret."""

    destination: str
    settings_digest: Digest | None = None
    state: str


class Bypass(Details, frozen=True, kw_only=True):
    """A window in which the SDK ran without the server's decision."""

    agent: str | None = None
    calls: Count
    from_us: int
    reason: str
    until_us: int
    window: str


class SignIn(Details, frozen=True, kw_only=True):
    """How a person came in."""

    method: str
    person: str
    succeeded: bool


class PersonChange(Details, frozen=True, kw_only=True):
    """A person added, disabled, or given a new password; what he is called stands elsewhere."""

    change: str
    person: str
    role: str


class SweptRange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Batches of this organization from `first` to `last`, all removed; `root` is the tree over their roots."""

    batches: Count
    first: Count
    last: Count
    root: Digest


class Sweep(Details, frozen=True, kw_only=True):
    """What retention removed."""

    older_than_us: int
    ranges: Annotated[tuple[SweptRange, ...], Meta(max_length=RANGES_PER_SWEEP_MAX)]


class Erasure(Details, frozen=True, kw_only=True):
    """How much content `erase` removed; `request_digest` is the salted digest of whose it was."""

    decisions: Count
    request_digest: Digest
    traces: Count


class Rotation(Details, frozen=True, kw_only=True):
    """How many secrets are sealed anew, and under which key-encryption key."""

    key_encryption_key: str
    secrets: Count


class SettingsChange(Details, frozen=True, kw_only=True):
    """The names of the settings; their digest is of the canonical new values."""

    names: tuple[str, ...]
    values_digest: Digest


class ContentRead(Details, frozen=True, kw_only=True):
    """Somebody looked at what a trace's spans were given and answered: one entry a look."""

    trace: str


class IncidentStep(Details, frozen=True, kw_only=True):
    """What was done about an incident. `policy` is empty where no policy decided; `text_digest` is salted."""

    agent: str | None = None
    assignee: str | None = None
    incident: str
    policy: str | None = None
    severity: str
    state: str
    text_digest: Digest | None = None


DETAILS: dict[Kind, type[Details]] = {
    Kind.BATCH_ROOT: BatchRoot,
    Kind.DECISION_RECORDED: DecisionRecorded,
    Kind.APPROVAL_REQUESTED: Approval,
    Kind.APPROVAL_DECIDED: ApprovalDecided,
    Kind.APPROVAL_VERIFIED: ApprovalUsed,
    Kind.APPROVAL_MISUSED: ApprovalUsed,
    Kind.APPROVAL_EXPIRED: Approval,
    Kind.APPROVAL_UNVERIFIED: Approval,
    Kind.CERTIFICATE_ISSUED: CertificateIssued,
    Kind.POLICY_CREATED: PolicyVersion,
    Kind.POLICY_CHANGED: PolicyVersion,
    Kind.POLICY_DELETED: PolicyVersion,
    Kind.BUDGET_CHANGED: Budget,
    Kind.BUDGET_WARNING: Budget,
    Kind.BUDGET_HIT: Budget,
    Kind.AGENT_REGISTERED: AgentChange,
    Kind.AGENT_STATUS_CHANGED: AgentChange,
    Kind.AGENT_TIER_OVERRIDDEN: TierOverride,
    Kind.AGENT_LEVEL_REFUSED: LevelRefused,
    Kind.KEY_ISSUED: Key,
    Kind.KEY_REVOKED: Key,
    Kind.DESTINATION_CHANGED: DestinationChange,
    Kind.DESTINATION_ENABLED: DestinationChange,
    Kind.DESTINATION_HELD: DestinationChange,
    Kind.DESTINATION_DISABLED: DestinationChange,
    Kind.ENFORCEMENT_BYPASSED: Bypass,
    Kind.PERSON_CHANGED: PersonChange,
    Kind.PERSON_SIGNED_IN: SignIn,
    Kind.SWEPT: Sweep,
    Kind.ERASED: Erasure,
    Kind.SECRETS_ROTATED: Rotation,
    Kind.SETTINGS_CHANGED: SettingsChange,
    Kind.CONTENT_READ: ContentRead,
    Kind.INCIDENT_OPENED: IncidentStep,
    Kind.INCIDENT_ACKNOWLEDGED: IncidentStep,
    Kind.INCIDENT_ASSIGNED: IncidentStep,
    Kind.INCIDENT_COMMENTED: IncidentStep,
    Kind.INCIDENT_CONTAINED: IncidentStep,
    Kind.INCIDENT_RESOLVED: IncidentStep,
    Kind.INCIDENT_REOPENED: IncidentStep,
}
