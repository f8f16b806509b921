import msgspec

from execlave_server.actions.services import Services
from execlave_server.audit.event_logs import EventContext, approval_context
from execlave_server.errors import NotFoundError
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.approvals import Approval, ApprovalStatus
from execlave_server.model.people import Person
from execlave_server.model.traces import unpack_item
from execlave_server.model.verdicts import PolicyViolation
from execlave_server.store.protocol import Parameters, find_one, integer

APPROVALS_PER_PAGE_MAX = 200


async def find_approval(services: Services, organization: int, approval_id: str) -> Approval | None:
    """An approval of this organization, or None."""
    return await find_one(services.store, Approval, "find_approval", {"organization": organization, "id": approval_id})


async def get_approval(services: Services, organization: int, approval_id: str) -> Approval:
    """An approval of this organization. Raises NotFoundError."""
    approval = await find_approval(services, organization, approval_id)
    if approval is None:
        raise NotFoundError(f"There is no approval {approval_id} in this organization.")
    return approval


async def agent_of_approval(services: Services, approval: Approval) -> Agent | None:
    """The agent that wants to act, as the registry has it now."""
    reference = approval.agent or approval.agent_reference
    named: Parameters = {"organization": approval.organization, "reference": reference}
    agents = await services.store.find(Agent, "agents_named", named)
    return resolve_agent(agents, reference, approval.environment)


async def read_event_context(services: Services, approval: Approval) -> EventContext:
    """What the logs of this approval's events say beside their entries."""
    return approval_context(
        await agent_of_approval(services, approval),
        approval.agent_reference,
        environment=approval.environment,
        decision_id=approval.decision,
        trace_id=approval.trace_id,
        violations=msgspec.json.decode(approval.violations, type=tuple[PolicyViolation, ...]),
        risk_level=approval.risk_level,
    )


async def list_approvals(
    services: Services, organization: int, *, status: ApprovalStatus | None, limit: int, offset: int
) -> tuple[list[Approval], int]:
    """A page of approvals, the newest first, and how many there are in all; the status is by the clock."""
    matching: Parameters = {
        "organization": organization,
        "status": status or "",
        "now_us": services.clock.now_us(),
    }
    found = await services.store.find(Approval, "list_approvals", {**matching, "limit": limit, "offset": offset})
    counted = await services.store.rows("count_approvals", matching)
    return found, integer(counted[0][0])


async def read_action_context(services: Services, approval: Approval) -> bytes | None:
    """What is to be approved, as canonical JSON; None where it was erased."""
    wanted: Parameters = {"organization": approval.organization, "id": approval.id}
    rows = await services.store.rows("approval_context", wanted)
    packed = rows[0][0] if rows else None
    return unpack_item(packed) if isinstance(packed, bytes) else None


async def find_decider(services: Services, approval: Approval) -> Person | None:
    """Who decided, or None while nobody has."""
    if approval.decided_by is None:
        return None
    wanted: Parameters = {"organization": approval.organization, "id": approval.decided_by}
    return await find_one(services.store, Person, "find_person", wanted)
