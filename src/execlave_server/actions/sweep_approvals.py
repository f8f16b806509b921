"""What the passing of time does to approvals, written down once: nobody decided, or nobody used the certificate."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from execlave_server.actions.read_approvals import read_event_context
from execlave_server.actions.services import Services
from execlave_server.actions.stop_unapproved import give_back, stop_unapproved
from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.chain import Event
from execlave_server.audit.changes import SERVER
from execlave_server.audit.events import Approval as ApprovalDetails
from execlave_server.audit.events import Kind
from execlave_server.model.approvals import Approval, ApprovalStatus
from execlave_server.model.organizations import Organization
from execlave_server.store.protocol import Call, NewEvent, StaleError, Write

APPROVALS_PER_LOOK = 200
WriteOf: TypeAlias = Callable[[Services, Approval, str, int], Awaitable[Write]]


class SweptApprovals(NamedTuple):
    """How many approvals one sweep found expired, and how many approved but never verified."""

    expired: int
    unverified: int


async def sweep_approvals(services: Services) -> SweptApprovals:
    """Note every approval whose time has run out. Several processes may do so at once: each is noted by one.

    One that nobody decided about leaves a trace of the action that did not run; what it reserved is given back.
    """
    return SweptApprovals(
        expired=await _sweep(services, "approvals_run_out", _expire),
        unverified=await _sweep(services, "approvals_unverified", _note_unverified),
    )


async def _sweep(services: Services, found_by: str, write_of: WriteOf) -> int:
    noted, now_us = 0, services.clock.now_us()
    organizations: dict[int, str] = {}
    while True:
        due = await services.store.find(Approval, found_by, {"now_us": now_us, "limit": APPROVALS_PER_LOOK})
        if due and not organizations:
            known = await services.store.find(Organization, "list_organizations")
            organizations = {each.number: each.id for each in known}
        for approval in due:
            try:
                await services.store.commit(
                    await write_of(services, approval, organizations[approval.organization], now_us)
                )
            except StaleError:  # somebody was first
                continue
            noted += 1
        if len(due) < APPROVALS_PER_LOOK:
            return noted


async def _expire(services: Services, approval: Approval, organization_id: str, now_us: int) -> Write:
    stopped = await stop_unapproved(services, organization_id, approval, ApprovalStatus.EXPIRED, now_us)
    write = await _note(services, approval, "expire_approval", Kind.APPROVAL_EXPIRED, now_us)
    return replace(write, calls=stopped.calls, traces=stopped.traces)


async def _note_unverified(services: Services, approval: Approval, _organization_id: str, now_us: int) -> Write:
    write = await _note(services, approval, "mark_unverified", Kind.APPROVAL_UNVERIFIED, now_us)
    return replace(write, calls=await give_back(services, approval))


async def _note(services: Services, approval: Approval, marked_by: str, kind: Kind, now_us: int) -> Write:
    details = ApprovalDetails(
        action_digest=salted_digest(approval.salt, b"action", approval.action_digest.encode()),
        approval=approval.id,
        decision=approval.decision,
    )
    event = Event(kind, now_us, SERVER, f"approval:{approval.id}", details)
    mark = Call(marked_by, {"organization": approval.organization, "id": approval.id, "now_us": now_us})
    context = await read_event_context(services, approval)
    return Write(charges=[mark], events=[NewEvent(approval.organization, event, context)])
