"""Governance events as logs: which entries of the audit chain are streamed beside the traces, and what the log says.

A log is made of its entry and of what was known around it at that moment. It never holds what people write: no reason,
no name of a person, no prompt.
"""

from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import assert_never

import msgspec
from msgspec import Struct

from execlave_server.audit.canonical import NANO
from execlave_server.audit.chain import Entry, Event
from execlave_server.audit.events import (
    AgentChange,
    Approval,
    ApprovalDecided,
    ApprovalUsed,
    Budget,
    Bypass,
    DestinationChange,
    Key,
    Kind,
    LevelRefused,
    PolicyVersion,
    TierOverride,
)
from execlave_server.audit.records import EventRecord, leaf_of
from execlave_server.model.agents import Agent, AgentStatus, AutonomyLevel
from execlave_server.model.verdicts import PolicyViolation

DELIVERY_KEY_BYTES = 16  # as many as a trace's
POLICIES_NAMED_MAX = 20  # as in the log of a trace
TEXT_CHARS_MAX = 1_023  # a facet's value must have fewer than 1,024 characters

Told = (
    AgentChange
    | Approval
    | ApprovalDecided
    | ApprovalUsed
    | Budget
    | Bypass
    | DestinationChange
    | Key
    | LevelRefused
    | PolicyVersion
    | TierOverride
)
"""The details of what is streamed."""

STREAMED = frozenset(
    {
        Kind.AGENT_STATUS_CHANGED,
        Kind.AGENT_TIER_OVERRIDDEN,
        Kind.AGENT_LEVEL_REFUSED,
        Kind.APPROVAL_REQUESTED,
        Kind.APPROVAL_DECIDED,
        Kind.APPROVAL_EXPIRED,
        Kind.APPROVAL_UNVERIFIED,
        Kind.APPROVAL_MISUSED,
        Kind.BUDGET_CHANGED,
        Kind.BUDGET_WARNING,
        Kind.BUDGET_HIT,
        Kind.DESTINATION_CHANGED,
        Kind.DESTINATION_ENABLED,
        Kind.DESTINATION_HELD,
        Kind.DESTINATION_DISABLED,
        Kind.ENFORCEMENT_BYPASSED,
        Kind.KEY_ISSUED,
        Kind.KEY_REVOKED,
        Kind.POLICY_CREATED,
        Kind.POLICY_CHANGED,
        Kind.POLICY_DELETED,
    }
)


class EventContext(Struct, frozen=True, kw_only=True):
    """What was known around an event when it was committed, and its entry does not say."""

    agent_id: str | None = None
    agent_name: str | None = None
    autonomy_level: AutonomyLevel | None = None
    agent_status: AgentStatus | None = None
    environment: str | None = None
    decision_id: str | None = None
    trace_id: str | None = None
    policy_ids: tuple[str, ...] | None = None
    policy_types: tuple[str, ...] | None = None
    severity: str | None = None
    risk_level: str | None = None


class EventLog(Struct, frozen=True):
    """The log of a streamed entry, ready to commit. `leaf` is that of its batch's tree."""

    seq: int
    occurred_at_ms: int
    log: bytes
    leaf: bytes


class EventFields(Struct, omit_defaults=True):
    """What stands under `execlave`. Money in US dollars, times in epoch milliseconds."""

    event: str
    delivery_key: str
    actor: str
    approval_id: str | None = None
    asked_level: str | None = None
    budget_action: str | None = None
    budget_id: str | None = None
    budget_window: str | None = None
    calls: int | None = None
    cap_usd: float | None = None
    certificate_id: str | None = None
    decision_id: str | None = None
    destination_id: str | None = None
    destination_state: str | None = None
    enforcement_mode: str | None = None
    from_time: int | None = msgspec.field(name="from", default=None)
    key_id: str | None = None
    key_role: str | None = None
    outcome: str | None = None
    policy_ids: tuple[str, ...] | None = None
    policy_types: tuple[str, ...] | None = None
    policy_version: int | None = None
    reason: str | None = None
    risk_level: str | None = None
    severity: str | None = None
    spent_usd: float | None = None
    to_time: int | None = msgspec.field(name="to", default=None)
    trace_id: str | None = None
    was: str | None = None
    window_id: str | None = None


class EventMiddle(Struct, omit_defaults=True):
    """The part of an event's log after the timestamp, in the shape of every other log. `execlave` stays last."""

    message: str
    organization_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    autonomy_level: str | None = None
    agent_status: str | None = None
    environment: str | None = None
    execlave: EventFields | None = None


def context_of(agent: Agent | None, reference: str | None = None) -> EventContext:
    """What the registry knows of an agent, or the name it was called by where nobody registered it."""
    if agent is None:
        return EventContext(agent_id=reference)
    return EventContext(
        agent_id=agent.agent_id,
        agent_name=agent.name,
        autonomy_level=agent.autonomy_level,
        agent_status=agent.status,
        environment=agent.environment,
    )


def approval_context(
    agent: Agent | None,
    reference: str,
    *,
    environment: str | None,
    decision_id: str,
    trace_id: str | None,
    violations: Sequence[PolicyViolation],
    risk_level: str,
) -> EventContext:
    """What an approval's events say beside their entries. `violations` are those that asked for it."""
    return msgspec.structs.replace(
        context_of(agent, reference),
        environment=environment or (agent.environment if agent else None),
        decision_id=decision_id,
        trace_id=trace_id,
        policy_ids=tuple(dict.fromkeys(one.policy_id for one in violations))[:POLICIES_NAMED_MAX] or None,
        policy_types=tuple(dict.fromkeys(str(one.policy_type) for one in violations))[:POLICIES_NAMED_MAX] or None,
        severity=violations[0].severity if violations else None,
        risk_level=risk_level,
    )


def event_log(event: Event, entry: Entry, context: EventContext) -> EventLog | None:
    """The log of an event whose entry is this one; None for a kind that is not streamed."""
    if event.kind not in STREAMED:
        return None
    fields = EventFields(
        event=event.kind.value,
        delivery_key=_delivery_key(entry.organization, entry.seq),
        actor=event.actor.partition(":")[0],
        decision_id=context.decision_id,
        policy_ids=context.policy_ids,
        policy_types=context.policy_types,
        risk_level=context.risk_level,
        severity=context.severity,
        trace_id=context.trace_id,
    )
    middle = EventMiddle(
        message="",
        organization_id=entry.organization,
        agent_id=context.agent_id,
        agent_name=context.agent_name,
        autonomy_level=context.autonomy_level,
        agent_status=context.agent_status,
        environment=context.environment,
        execlave=fields,
    )
    _tell(event.details, fields, middle)  # type: ignore[arg-type]
    became = fields.outcome or fields.destination_state or (middle.agent_status if fields.was else None)
    about = middle.agent_id or event.subject.partition(":")[2]
    middle.message = " ".join(part for part in (event.kind.value, about, became) if part)
    _shorten(middle)
    _shorten(fields)
    log = msgspec.json.encode(middle)[1:-2]
    at_ms = event.at_us // 1_000
    return EventLog(entry.seq, at_ms, log, leaf_of_event(entry.organization, entry.seq, at_ms, log))


def leaf_of_event(organization_id: str, seq: int, occurred_at_ms: int, log: bytes) -> bytes:
    """The leaf of an event's log, as stored."""
    digest = sha256(log).hexdigest()
    record = EventRecord(entry=seq, log=digest, occurred_at_ms=occurred_at_ms, organization=organization_id)
    return leaf_of(record)


def _tell(details: Told, fields: EventFields, middle: EventMiddle) -> None:  # noqa: C901 - one arm for each kind
    match details:
        case AgentChange():
            fields.was = details.was
            middle.agent_status = details.status
            middle.environment = details.environment
            middle.autonomy_level = details.autonomy_level or middle.autonomy_level
        case Approval():
            fields.approval_id, fields.decision_id = details.approval, details.decision
        case ApprovalDecided():
            fields.approval_id, fields.outcome = details.approval, details.outcome
        case ApprovalUsed():
            fields.approval_id, fields.certificate_id = details.approval, details.certificate
            fields.reason = details.reason
        case Budget():
            fields.budget_id, fields.budget_action = details.budget, details.action
            fields.budget_window = details.window
            fields.cap_usd = details.cap_nano_usd / NANO
            fields.spent_usd = None if details.spent_nano_usd is None else details.spent_nano_usd / NANO
        case Bypass():
            fields.window_id, fields.reason, fields.calls = details.window, details.reason, details.calls
            fields.from_time, fields.to_time = details.from_us // 1_000, details.until_us // 1_000
        case DestinationChange():
            fields.destination_id, fields.destination_state = details.destination, details.state
        case Key():
            fields.key_id, fields.key_role = details.key, details.role
            middle.environment = details.environment
        case PolicyVersion():
            fields.policy_ids, fields.policy_types = (details.policy,), (details.type,)
            fields.policy_version, fields.enforcement_mode = details.version, details.mode
        case TierOverride():
            fields.policy_ids, fields.policy_version = (details.policy,), details.version
            middle.autonomy_level = details.autonomy_level
        case LevelRefused():
            fields.asked_level = details.asked
            middle.autonomy_level, middle.environment = details.autonomy_level, details.environment
        case _:
            assert_never(details)


def _shorten(part: Struct) -> None:
    """Keep Datadog's limit in the names that come from outside."""
    for name in part.__struct_fields__:
        text = getattr(part, name)
        if isinstance(text, str) and len(text) > TEXT_CHARS_MAX:
            setattr(part, name, text[: TEXT_CHARS_MAX - 1] + "…")


def _delivery_key(organization_id: str, seq: int) -> str:
    """Names (organization, entry): a log delivered twice carries it twice. No trace has it."""
    return blake2b(f"{organization_id}\x00audit\x00{seq}".encode(), digest_size=DELIVERY_KEY_BYTES).hexdigest()
