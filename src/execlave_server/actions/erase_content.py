"""Remove what was said by and about a person: content and salts go, every record and every proof stays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from execlave_server.actions.read_stored import NO_LIMIT
from execlave_server.actions.services import Services
from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.chain import Event
from execlave_server.audit.changes import COMMAND
from execlave_server.audit.events import Erasure, Kind
from execlave_server.audit.stored_rows import ERASED_ITEM, StoredDecision, StoredTrace, erased_log, erased_text
from execlave_server.model.organizations import Organization
from execlave_server.store.protocol import Call, NewEvent, Parameters, Write, integer

TRACES_PER_PAGE = 200  # looked at in one read, and erased in one transaction
APPROVALS_PER_PAGE = 200  # the same
NO_SALT = b""

Report = Callable[[int, int], object]
"""Told (traces looked at, traces there are)."""


@dataclass(slots=True)
class Erased:
    """What was erased."""

    traces: int = 0
    decisions: int = 0
    approvals: int = 0
    open_approvals: int = 0  # of those only the action's content: what a person may still decide about keeps its digest


class _TheirApproval(Struct, frozen=True):
    """An approval of an action of theirs, or that they asked for. `is_over` once it cannot be used any more."""

    id: str
    decision: str
    is_over: int


async def erase_user(
    services: Services, organization: Organization, user_id: str, report: Report, *, actor: str = COMMAND
) -> Erased:
    """Erase the content of every trace whose item names this user, of the decisions of those traces, and of approvals.

    What waits for delivery is delivered without it, what is parked loses it. Stopped halfway, it is finished by running
    it again. Raises UnavailableError.
    """
    scope: Parameters = {"organization": organization.number}
    total = integer((await services.store.rows("count_traces", scope))[0][0])
    erased, after, looked_at = Erased(), -NO_LIMIT, 0
    await _erase_approvals(services, organization, user_id, actor, erased)
    while True:
        page: Parameters = {**scope, "after": after, "last": NO_LIMIT, "limit": TRACES_PER_PAGE}
        traces = await services.store.find(StoredTrace, "evidence_traces", page)
        if not traces:
            return erased
        after, looked_at = traces[-1].id, looked_at + len(traces)
        theirs = [trace for trace in traces if trace.erased is None and trace.user_id == user_id]
        if theirs:
            decisions = await _decisions_of(services, organization, theirs)
            event = _event(services, user_id, actor, len(theirs), len(decisions))
            calls = [call for trace in theirs for call in _trace_calls(organization, trace)]
            calls += [_decision_call(organization, decision) for decision in decisions]
            await services.store.commit(Write(calls=calls, events=[NewEvent(organization.number, event)]))
            erased.traces += len(theirs)
            erased.decisions += len(decisions)
        report(looked_at, total)


async def _erase_approvals(
    services: Services, organization: Organization, user_id: str, actor: str, erased: Erased
) -> None:
    after = ""
    while True:
        page: Parameters = {
            "organization": organization.number,
            "user": user_id,
            "after": after,
            "now_us": services.clock.now_us(),
            "limit": APPROVALS_PER_PAGE,
        }
        approvals = await services.store.find(_TheirApproval, "approvals_of_user", page)
        if not approvals:
            return
        after = approvals[-1].id
        decisions = [
            found
            for approval in approvals
            for found in await services.store.find(
                StoredDecision, "stored_decision", {"organization": organization.number, "id": approval.decision}
            )
            if found.erased is None and found.salt is not None
        ]
        calls = [_approval_call(organization, approval) for approval in approvals]
        calls += [_decision_call(organization, decision) for decision in decisions]
        event = _event(services, user_id, actor, 0, len(decisions))
        await services.store.commit(Write(calls=calls, events=[NewEvent(organization.number, event)]))
        over = sum(approval.is_over for approval in approvals)
        erased.approvals += over
        erased.open_approvals += len(approvals) - over
        erased.decisions += len(decisions)


def _approval_call(organization: Organization, approval: _TheirApproval) -> Call:
    place: Parameters = {"organization": organization.number, "id": approval.id}
    if not approval.is_over:
        return Call("erase_open_approval", place)
    return Call("erase_approval", {**place, "no_salt": NO_SALT})


async def _decisions_of(
    services: Services, organization: Organization, traces: Sequence[StoredTrace]
) -> list[StoredDecision]:
    return [
        decision
        for trace_id in dict.fromkeys(trace.trace_id for trace in traces)
        for decision in await services.store.find(
            StoredDecision, "decisions_of_trace", {"organization": organization.number, "trace_id": trace_id}
        )
        if decision.erased is None and decision.salt is not None
    ]


def _event(services: Services, user_id: str, actor: str, traces: int, decisions: int) -> Event:
    [salt] = services.clock.salts(1)  # kept nowhere: who was erased cannot be found out by trying
    digest = salted_digest(salt, b"user", user_id.encode())
    details = Erasure(decisions=decisions, request_digest=digest, traces=traces)
    return Event(Kind.ERASED, services.clock.now_us(), actor, "traces", details)


def _trace_calls(organization: Organization, trace: StoredTrace) -> list[Call]:
    record = trace.erased_record(organization.id)
    log = erased_log(record)
    row: Parameters = {
        "organization": organization.number,
        "id": trace.id,
        "log": log,
        "item": ERASED_ITEM,
        "erased": erased_text(record),
    }
    parked: Parameters = {"batch": trace.batch, "trace": trace.id, "payload": b"{%b}}" % log}
    return [Call("erase_trace", row), Call("erase_parked", parked)]


def _decision_call(organization: Organization, decision: StoredDecision) -> Call:
    record = decision.record(organization.id)
    row: Parameters = {"organization": organization.number, "id": decision.id, "erased": erased_text(record)}
    return Call("erase_decision", row)
