"""What the passing of time does to approvals, written down once: nobody decided, or nobody used the certificate."""

from typing import NamedTuple

from execlave_server.actions.read_approvals import read_event_context
from execlave_server.actions.services import Services
from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.chain import Event
from execlave_server.audit.events import Approval as ApprovalDetails
from execlave_server.audit.events import Kind
from execlave_server.model.approvals import Approval
from execlave_server.store.protocol import Call, NewEvent, StaleError, Write

APPROVALS_PER_LOOK = 200
_SERVER = "server"


class SweptApprovals(NamedTuple):
    """How many approvals one sweep found expired, and how many approved but never verified."""

    expired: int
    unverified: int


async def sweep_approvals(services: Services) -> SweptApprovals:
    """Note every approval whose time has run out. Several processes may do so at once: each is noted by one."""
    return SweptApprovals(
        expired=await _sweep(services, "approvals_run_out", "expire_approval", Kind.APPROVAL_EXPIRED),
        unverified=await _sweep(services, "approvals_unverified", "mark_unverified", Kind.APPROVAL_UNVERIFIED),
    )


async def _sweep(services: Services, found_by: str, marked_by: str, kind: Kind) -> int:
    noted, now_us = 0, services.clock.now_us()
    while True:
        due = await services.store.find(Approval, found_by, {"now_us": now_us, "limit": APPROVALS_PER_LOOK})
        for approval in due:
            noted += await _note(services, approval, marked_by, kind, now_us)
        if len(due) < APPROVALS_PER_LOOK:
            return noted


async def _note(services: Services, approval: Approval, marked_by: str, kind: Kind, now_us: int) -> bool:
    details = ApprovalDetails(
        action_digest=salted_digest(approval.salt, b"action", approval.action_digest.encode()),
        approval=approval.id,
        decision=approval.decision,
    )
    event = Event(kind, now_us, _SERVER, f"approval:{approval.id}", details)
    mark = Call(marked_by, {"organization": approval.organization, "id": approval.id, "now_us": now_us})
    try:
        context = await read_event_context(services, approval)
        await services.store.commit(Write(charges=[mark], events=[NewEvent(approval.organization, event, context)]))
    except StaleError:  # somebody was first
        return False
    return True
