"""What people do about an incident: each step is one commit of a line of its timeline and an audit entry."""

from collections.abc import Sequence

from msgspec.structs import replace

from execlave_server.actions.govern_agent import status_change
from execlave_server.actions.group_violations import GroupKey, Violation
from execlave_server.actions.incident_events import incident_event
from execlave_server.actions.open_incidents import MEMBERS_MAX, member_calls, policy_title
from execlave_server.actions.read_incidents import find_incident, incidents_of_trace
from execlave_server.actions.read_timeline import Timeline, TimelineSpan, read_timeline
from execlave_server.actions.services import Services
from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.events import Kind
from execlave_server.errors import ConflictError, ValidationFailedError
from execlave_server.model.agents import Agent, AgentStatus, resolve_agent
from execlave_server.model.incidents import (
    TEXT_CHARS_MAX,
    VIOLATING,
    Incident,
    IncidentState,
    Severity,
    StepKind,
    severity_of,
)
from execlave_server.model.people import Caller, Person
from execlave_server.model.permissions import Permission, require
from execlave_server.store.protocol import Call, NewEvent, Parameters, StaleError, Write, find_one

_KINDS = {
    StepKind.OPENED: Kind.INCIDENT_OPENED,
    StepKind.ACKNOWLEDGED: Kind.INCIDENT_ACKNOWLEDGED,
    StepKind.ASSIGNED: Kind.INCIDENT_ASSIGNED,
    StepKind.COMMENT: Kind.INCIDENT_COMMENTED,
    StepKind.CONTAINED: Kind.INCIDENT_CONTAINED,
    StepKind.RESOLVED: Kind.INCIDENT_RESOLVED,
    StepKind.REOPENED: Kind.INCIDENT_REOPENED,
}


async def open_incident(
    services: Services, caller: Caller, trace_id: str, *, severity: Severity | None = None, reason: str = ""
) -> Incident:
    """Open an incident on a trace. Raises NotFoundError, and ConflictError where the trace is in an unresolved one."""
    _require(caller, Permission.INCIDENTS_EDIT)
    text = _text(reason, "reason", required=False)
    timeline = await read_timeline(services, caller, trace_id)
    for known in await incidents_of_trace(services, caller, trace_id):
        if known.state is not IncidentState.RESOLVED:
            raise ConflictError(f"The trace belongs to the incident {known.id} already, which is {known.state}.")
    incident, now_us = services.clock.uuid(), services.clock.now_us()
    [salt] = services.clock.salts(1)
    worst = _worst(timeline)
    agent = await _agent_of(services, caller, worst)
    members = _members(timeline, agent)
    policy = members[0].key.policy
    row: dict[str, str | int | bytes | None] = {
        "id": incident,
        "organization": caller.organization,
        "agent": agent.id if agent else None,
        "agent_reference": agent.agent_id if agent else worst.row.agent or "",
        "agent_name": members[0].agent_name,
        "environment": members[0].key.environment,
        "policy": policy,
        "policy_name": await policy_title(services, caller.organization, policy),
        "severity": severity or max((each.severity for each in members), key=lambda each: each.rank),
        "opened_by": caller.actor,
        "opening_trace": None,
        "now_us": now_us,
        "first_seen_us": min(each.received_at_us for each in members),
        "last_seen_us": max(each.received_at_us for each in members),
        "violations": sum(each.status in VIOLATING for each in members),
        "salt": salt,
    }
    step = _step(caller, incident, StepKind.OPENED, now_us, text=text, violations=int(str(row["violations"])))
    event = incident_event(
        Kind.INCIDENT_OPENED,
        caller.organization,
        incident,
        actor=caller.actor,
        now_us=now_us,
        severity=str(row["severity"]),
        state=IncidentState.OPEN,
        agent=agent.id if agent else None,
        policy=policy or None,
        text_digest=_digest(salt, text),
    )
    calls = [Call("insert_incident", row), step, *member_calls(caller.organization, incident, members)]
    await services.store.commit(Write(calls=calls, events=[event]))
    return await find_incident(services, caller, incident)


async def acknowledge_incident(services: Services, caller: Caller, incident: str) -> Incident:
    """Somebody is on it. Raises ConflictError unless it is open."""
    before = await _find(services, caller, incident)
    if before.state is not IncidentState.OPEN:
        raise ConflictError(f"The incident is {before.state}; only an open one is acknowledged.")
    return await _take(
        services, caller, before, replace(before, state=IncidentState.ACKNOWLEDGED), StepKind.ACKNOWLEDGED
    )


async def assign_incident(services: Services, caller: Caller, incident: str, assignee: str | None) -> Incident:
    """Give it to a person of the organization, or to nobody. Raises ValidationFailedError for somebody unknown."""
    before = await _find(services, caller, incident)
    if assignee is not None:
        wanted: Parameters = {"organization": caller.organization, "id": assignee}
        person = await find_one(services.store, Person, "find_person", wanted)
        if person is None or person.disabled_at_us is not None:
            raise ValidationFailedError("There is no such person here.", fields={"assignee": "is not known"})
    return await _take(services, caller, before, replace(before, assignee=assignee), StepKind.ASSIGNED)


async def comment_incident(services: Services, caller: Caller, incident: str, text: str) -> Incident:
    """Add a remark. Raises ValidationFailedError without one."""
    before = await _find(services, caller, incident)
    return await _take(services, caller, before, before, StepKind.COMMENT, text=_text(text, "text"))


async def contain_incident(services: Services, caller: Caller, incident: str, reason: str) -> Incident:
    """Pause the incident's agent, in the commit that says so in its timeline.

    Raises ConflictError where the agent is not registered, archived or stopped already.
    """
    _require(caller, Permission.AGENTS_CONTROL)
    before = await _find(services, caller, incident)
    text = _text(reason, "reason")
    if before.agent is None:
        raise ConflictError("The agent of this incident is not registered here, so there is nothing to pause.")
    agent = await services.agents.find_fresh(caller, before.agent)
    if agent.status is AgentStatus.PAUSED:
        raise ConflictError(f"The agent {agent.agent_id} is paused already.")
    pause, paused = status_change(services, caller, agent, AgentStatus.PAUSED, text)
    after = await _take(services, caller, before, before, StepKind.CONTAINED, text=text, also=([pause], [paused]))
    services.governed.set()
    return after


async def resolve_incident(services: Services, caller: Caller, incident: str, reason: str) -> Incident:
    """Close it, saying why. Raises ConflictError when it is resolved, ValidationFailedError without a reason."""
    before = await _find(services, caller, incident)
    text = _text(reason, "reason")
    if before.state is IncidentState.RESOLVED:
        raise ConflictError("The incident is resolved already.")
    now_us = services.clock.now_us()
    after = replace(before, state=IncidentState.RESOLVED, resolved_at_us=now_us, resolution=text)
    return await _take(services, caller, before, after, StepKind.RESOLVED, text=text)


async def reopen_incident(services: Services, caller: Caller, incident: str, reason: str) -> Incident:
    """Take it up again, saying why. Raises ConflictError unless it is resolved."""
    before = await _find(services, caller, incident)
    text = _text(reason, "reason")
    if before.state is not IncidentState.RESOLVED:
        raise ConflictError(f"The incident is {before.state}; only a resolved one is reopened.")
    after = replace(before, state=IncidentState.OPEN, resolved_at_us=None, resolution=None)
    return await _take(services, caller, before, after, StepKind.REOPENED, text=text)


async def _find(services: Services, caller: Caller, incident: str) -> Incident:
    _require(caller, Permission.INCIDENTS_EDIT)
    return await find_incident(services, caller, incident)


async def _take(
    services: Services,
    caller: Caller,
    before: Incident,
    after: Incident,
    kind: StepKind,
    *,
    text: str | None = None,
    also: tuple[Sequence[Call], Sequence[NewEvent]] = ((), ()),
) -> Incident:
    """Commit one step, if the incident is as it was read. Raises ConflictError where somebody was faster."""
    now_us = services.clock.now_us()
    change: Parameters = {
        "organization": before.organization,
        "id": before.id,
        "state": after.state,
        "assignee": after.assignee,
        "resolved_at_us": after.resolved_at_us,
        "resolution": after.resolution,
        "was": before.version,
    }
    event = incident_event(
        _KINDS[kind],
        before.organization,
        before.id,
        actor=caller.actor,
        now_us=now_us,
        severity=before.severity,
        state=after.state,
        agent=before.agent if kind is StepKind.CONTAINED else None,
        assignee=after.assignee if kind is StepKind.ASSIGNED else None,
        text_digest=_digest(before.salt, text),
    )
    step = _step(caller, before.id, kind, now_us, text=text, assignee=after.assignee)
    calls, events = also
    write = Write(charges=[Call("change_incident", change)], calls=[step, *calls], events=[event, *events])
    try:
        await services.store.commit(write)
    except StaleError as error:
        raise ConflictError("The incident changed at this moment. Look at it again, then decide.") from error
    return await find_incident(services, caller, before.id)


def _step(
    caller: Caller,
    incident: str,
    kind: StepKind,
    now_us: int,
    *,
    text: str | None = None,
    violations: int = 0,
    assignee: str | None = None,
) -> Call:
    row: Parameters = {
        "organization": caller.organization,
        "incident": incident,
        "kind": kind,
        "now_us": now_us,
        "actor": caller.actor,
        "text": text,
        "violations": violations,
        "assignee": assignee if kind is StepKind.ASSIGNED else None,
    }
    return Call("insert_incident_step", row)


def _require(caller: Caller, permission: Permission) -> None:
    if isinstance(caller, Person):
        require(caller, permission)


def _text(given: str, name: str, *, required: bool = True) -> str | None:
    text = given.strip()
    if len(text) > TEXT_CHARS_MAX or (required and not text):
        message = f"must have 1 to {TEXT_CHARS_MAX:,} characters"
        raise ValidationFailedError(f"The {name} {message}.", fields={name: message})
    return text or None


def _digest(salt: bytes, text: str | None) -> str | None:
    return None if text is None else salted_digest(salt, b"text", text.encode())


def _worst(timeline: Timeline) -> TimelineSpan:
    """The span that says most of why: one with the trace's status, one that names its policies before others."""
    alike = [span for span in timeline.own if span.status is timeline.status]
    return max(alike, key=lambda span: bool(span.log.execlave.policy_ids))


async def _agent_of(services: Services, caller: Caller, span: TimelineSpan) -> Agent | None:
    reference = span.row.agent or ""
    wanted: Parameters = {"organization": caller.organization, "reference": reference}
    agents = await services.store.find(Agent, "agents_named", wanted)
    return resolve_agent(agents, reference, span.row.environment)


def _members(timeline: Timeline, agent: Agent | None) -> list[Violation]:
    """The violations of the trace, or its worst span where nothing was stopped; the worst first."""
    worst = _worst(timeline)
    spans = [span for span in timeline.own if span.status in VIOLATING and span.id != worst.id]
    return [_member(span, agent) for span in [worst, *spans][:MEMBERS_MAX]]


def _member(span: TimelineSpan, agent: Agent | None) -> Violation:
    governed = span.log.execlave
    policy = governed.policy_ids[0] if governed.policy_ids else ""
    environment = agent.environment if agent else span.row.environment or ""
    return Violation(
        key=GroupKey(agent.id if agent else span.row.agent or "", environment, policy),
        trace=span.id,
        trace_id=span.trace_id,
        span_id=span.span_id,
        status=span.status,
        severity=severity_of(span.status, governed.enforcement_mode, governed.severity),
        received_at_us=span.row.received_at_us,
        agent_name=(agent.name if agent else None) or span.log.agent_name or span.row.agent or "",
    )
