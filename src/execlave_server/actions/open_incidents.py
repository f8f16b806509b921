"""Incidents open by themselves: the server reads what was committed behind the enforcement path's back.

It follows the audit chain of each organization, which names every batch once, in order, whoever committed it. How far
it is stands in `incident_positions`; it moves in the transaction that opens what was found, and only from where it was
read, so that of two servers one does a step and the other reads on behind it.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from execlave_server.actions.group_violations import Group, GroupKey, Violation, group_violations
from execlave_server.actions.incident_events import incident_event
from execlave_server.actions.services import Services
from execlave_server.audit.changes import SERVER
from execlave_server.audit.events import BatchRoot, Kind
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.incidents import WINDOW_US, IncidentState, Severity, StepKind, severity_of
from execlave_server.model.span_log import read_span_log
from execlave_server.model.traces import TraceStatus
from execlave_server.store.protocol import Call, NewEvent, Parameters, StaleError, Write

ENTRIES_PER_STEP = 200  # of the chain: at most 200 batches, read by the index
PERSIST_AFTER_ENTRIES = 5_000  # that held nothing: read again after a restart, which is cheaper than a commit each time
MEMBERS_MAX = 500  # traces listed of one incident; more are counted
TOLD_MAX = 50  # "violations" steps of one incident; more are counted
GROUPS_MAX = 5_000  # incidents that may still grow
KILL_SWITCH = "agent_status"  # what stops a paused agent: the pause at work, and no incident of its own
_STATUSES = list(TraceStatus)  # by their stored codes


class _Backlog(Struct, frozen=True):
    id: str
    number: int
    looked_through: int
    newest: int


class _Entry(Struct, frozen=True):
    seq: int
    kind: str
    details: str | None


class _Row(Struct, frozen=True):
    id: int
    status: int
    agent: str | None
    environment: str | None
    trace_id: str
    span_id: str
    log: bytes
    received_at_us: int


class _Known(Struct, frozen=True):
    id: str
    agent: str | None
    agent_reference: str
    environment: str
    policy: str
    severity: Severity
    last_seen_us: int
    resolved_at_us: int | None
    violations: int
    listed: int
    told: int


class IncidentOpener:
    """Looks through what was committed since it last did. Any number of servers may."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.store
        self._looked: dict[int, int] = {}

    async def look(self) -> int:
        """Look through everything new; how many incidents were opened. Raises UnavailableError."""
        opened = 0
        for backlog in await self._store.find(_Backlog, "incident_backlog"):
            opened += await self._catch_up(backlog)
        return opened

    async def _catch_up(self, backlog: _Backlog) -> int:
        opened, was = 0, backlog.looked_through
        after = max(was, self._looked.get(backlog.number, 0))
        while after < backlog.newest:
            page: Parameters = {"organization": backlog.number, "after": after, "limit": ENTRIES_PER_STEP}
            entries = await self._store.find(_Entry, "entries_of_batches", page)
            if not entries:
                break
            violations = await self._violations(backlog.number, entries)
            after = entries[-1].seq
            if violations or after - was >= PERSIST_AFTER_ENTRIES:
                try:
                    opened += await self._commit(backlog.number, was, after, violations)
                except StaleError:
                    return opened  # another server was first, or somebody resolved what was to grow: look again
                was = after
            self._looked[backlog.number] = after
        return opened

    async def _violations(self, organization: int, entries: Sequence[_Entry]) -> list[Violation]:
        roots = [_root(entry) for entry in entries if entry.kind == Kind.BATCH_ROOT]
        batches = [root.batch for root in roots if root is not None and root.traces]
        if not batches:
            return []
        wanted: Parameters = {"organization": organization, "batches": msgspec.json.encode(batches).decode()}
        rows = await self._store.find(_Row, "violating_traces", wanted)
        agents: dict[str, list[Agent]] = {}
        for name in {row.agent or "" for row in rows}:
            scope: Parameters = {"organization": organization, "reference": name}
            agents[name] = await self._store.find(Agent, "agents_named", scope)
        found = [_violation(row, agents[row.agent or ""]) for row in rows]
        governed = {each.trace_id: each.key for each in reversed(found) if each.key.policy}
        return [await self._placed(organization, each, governed) for each in found if each.key.policy != KILL_SWITCH]

    async def _placed(self, organization: int, violation: Violation, governed: Mapping[str, GroupKey]) -> Violation:
        """A block that the client reports names no policy: it belongs where the decision's own trace is."""
        if violation.key.policy:
            return violation
        if violation.trace_id in governed:
            return violation._replace(key=governed[violation.trace_id])
        wanted: Parameters = {"organization": organization, "trace_id": violation.trace_id, "limit": 1}
        rows = await self._store.rows("incidents_of_trace", wanted)
        return violation._replace(incident=str(rows[0][0])) if rows else violation

    async def _commit(self, organization: int, was: int, seq: int, violations: Sequence[Violation]) -> int:
        move = Call("move_incident_position", {"organization": organization, "seq": seq, "was": was})
        calls: list[Call] = []
        charges, events = [move], []
        opened = 0
        if violations:
            known = await self._known(organization, min(each.received_at_us for each in violations) - WINDOW_US)
            groups = group_violations([_group(each) for each in known], violations)
            by_id = {each.id: each for each in known}
            for group in groups:
                if group.id is not None:
                    charge, more = self._grow(organization, group, by_id[group.id])
                    charges.append(charge)
                    calls += more
                else:
                    more, event = await self._open(organization, group)
                    calls += more
                    events.append(event)
                    opened += 1
        await self._store.commit(Write(charges=charges, calls=calls, events=events))
        return opened

    async def _known(self, organization: int, since_us: int) -> list[_Known]:
        wanted: Parameters = {"organization": organization, "since_us": since_us, "limit": GROUPS_MAX}
        return await self._store.find(_Known, "grouping_incidents", wanted)

    def _grow(self, organization: int, group: Group, known: _Known) -> tuple[Call, list[Call]]:
        tells = known.told < TOLD_MAX
        row: Parameters = {
            "organization": organization,
            "id": known.id,
            "violations": len(group.added),
            "severity": group.severity,
            "steps": int(tells),
            "first_seen_us": min(each.received_at_us for each in group.added),
            "last_seen_us": max(each.received_at_us for each in group.added),
        }
        calls = member_calls(organization, known.id, group.added[: max(0, MEMBERS_MAX - known.listed)])
        if tells:
            calls.append(self._step(organization, known.id, StepKind.VIOLATIONS, len(group.added)))
        return Call("add_violations", row), calls

    async def _open(self, organization: int, group: Group) -> tuple[list[Call], NewEvent]:
        first, now_us = group.added[0], self._services.clock.now_us()
        [salt] = self._services.clock.salts(1)
        found = await self._store.rows("agents_named", {"organization": organization, "reference": first.key.agent})
        registered = next((row for row in found if row[0] == first.key.agent), None)
        incident = self._services.clock.uuid()
        row: Parameters = {
            "id": incident,
            "organization": organization,
            "agent": first.key.agent if registered else None,
            "agent_reference": str(registered[2]) if registered else first.key.agent,
            "agent_name": first.agent_name,
            "environment": first.key.environment,
            "policy": first.key.policy,
            "policy_name": await policy_title(self._services, organization, first.key.policy),
            "severity": group.severity,
            "opened_by": SERVER,
            "opening_trace": first.trace,
            "now_us": now_us,
            "first_seen_us": first.received_at_us,
            "last_seen_us": group.last_seen_us,
            "violations": len(group.added),
            "salt": salt,
        }
        calls = [
            Call("insert_incident", row),
            self._step(organization, incident, StepKind.OPENED, len(group.added)),
            *member_calls(organization, incident, group.added[:MEMBERS_MAX]),
        ]
        event = incident_event(
            Kind.INCIDENT_OPENED,
            organization,
            incident,
            actor=SERVER,
            now_us=now_us,
            severity=group.severity,
            state=IncidentState.OPEN,
            agent=first.key.agent if registered else None,
            policy=first.key.policy or None,
        )
        return calls, event

    def _step(self, organization: int, incident: str, kind: StepKind, violations: int) -> Call:
        row: Parameters = {
            "organization": organization,
            "incident": incident,
            "kind": kind,
            "now_us": self._services.clock.now_us(),
            "actor": SERVER,
            "text": None,
            "violations": violations,
            "assignee": None,
        }
        return Call("insert_incident_step", row)


def member_calls(organization: int, incident: str, members: Sequence[Violation]) -> list[Call]:
    """The statements that list these traces under an incident."""
    return [
        Call(
            "insert_incident_trace",
            {
                "incident": incident,
                "trace": each.trace,
                "organization": organization,
                "trace_id": each.trace_id,
                "span_id": each.span_id,
                "status": each.status,
                "received_at_us": each.received_at_us,
            },
        )
        for each in members
    ]


async def policy_title(services: Services, organization: int, policy: str) -> str:
    """What a policy is called, also one that is deleted; the server's own checks are called by their id."""
    if not policy:
        return ""
    rows = await services.store.rows("policy_title", {"organization": organization, "id": policy})
    return str(rows[0][0]) if rows else policy.replace("_", " ")


def _root(entry: _Entry) -> BatchRoot | None:
    try:
        return msgspec.json.decode(entry.details or "", type=BatchRoot)
    except msgspec.MsgspecError:
        return None  # tampered with: `audit verify` says so


def _violation(row: _Row, named: list[Agent]) -> Violation:
    agent = resolve_agent(named, row.agent or "", row.environment)
    log, status = read_span_log(row.log), _STATUSES[row.status]
    governed = log.execlave
    key = GroupKey(
        agent.id if agent else row.agent or "",
        agent.environment if agent else row.environment or "",
        governed.policy_ids[0] if governed.policy_ids else "",
    )
    return Violation(
        key=key,
        trace=row.id,
        trace_id=row.trace_id,
        span_id=row.span_id,
        status=status,
        severity=severity_of(status, governed.enforcement_mode, governed.severity),
        received_at_us=row.received_at_us,
        agent_name=(agent.name if agent else None) or log.agent_name or row.agent or "",
    )


def _group(known: _Known) -> Group:
    key = GroupKey(known.agent or known.agent_reference, known.environment, known.policy)
    return Group(key, known.id, known.severity, known.last_seen_us, known.resolved_at_us)
