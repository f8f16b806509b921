"""What a denied or expired approval commits beside itself: the trace of the action that does not run, and its money."""

from typing import NamedTuple

import msgspec

from execlave_server.actions.judge_traces import governed_of
from execlave_server.actions.meter import Reservation, release
from execlave_server.actions.read_approvals import agent_of_approval
from execlave_server.actions.services import Services
from execlave_server.actions.stopped_trace import StoppedAction, stopped_trace
from execlave_server.model.approvals import Approval, ApprovalStatus
from execlave_server.model.traces import TraceStatus
from execlave_server.model.verdicts import PolicyViolation
from execlave_server.store.protocol import Call, Parameters, Traces, find_one

_ENDS = {
    ApprovalStatus.DENIED: ("PolicyDeniedError", "A person denied the action"),
    ApprovalStatus.EXPIRED: ("ApprovalTimeoutError", "Nobody decided about the action in time"),
}  # the SDK's errors; never the reason that somebody gave


class Stopped(NamedTuple):
    """One trace, with status policy_blocked, and the calls that give back what the decision reserved."""

    traces: Traces
    calls: list[Call]


async def stop_unapproved(
    services: Services, organization_id: str, approval: Approval, end: ApprovalStatus, now_us: int
) -> Stopped:
    """What belongs into the write that ends this approval as `denied` or `expired`."""
    violations = msgspec.json.decode(approval.violations, type=tuple[PolicyViolation, ...])
    tools = msgspec.json.decode(approval.tools, type=list[str])
    error_type, message = _ENDS[end]
    status = TraceStatus.POLICY_BLOCKED
    stopped = StoppedAction(
        organization_id=organization_id,
        decision=approval.decision,
        trace_id=approval.trace_id or f"tr_{services.clock.uuid().replace('-', '')[:16]}",
        agent=await agent_of_approval(services, approval),
        agent_reference=approval.agent_reference,
        environment=approval.environment,
        tool=tools[0] if tools else None,
        status=status,
        error_type=error_type,
        message=f"{message}: {violations[0].message}" if violations else message,
        governed=governed_of(violations, status=status, decision_id=approval.decision),
        parent_span_id=approval.parent_span_id,
        session_id=approval.session_id,
        user_id=approval.user_id,
    )
    traces = Traces(approval.organization, [stopped_trace(services, stopped, now_us)])
    return Stopped(traces, await give_back(services, approval))


async def give_back(services: Services, approval: Approval) -> list[Call]:
    """The calls that free the money reserved for an approved action that will not run."""
    place: Parameters = {"organization": approval.organization, "id": approval.decision}
    reservation = await find_one(services.store, Reservation, "find_reservation", place)
    return release(reservation) if reservation else []
