"""The kill switch, and the agent's sign of life."""

from execlave_server.actions.record_change import settings_changed
from execlave_server.actions.services import Services
from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.changes import agent_status_changed
from execlave_server.audit.event_logs import context_of
from execlave_server.errors import ConflictError
from execlave_server.model.agents import Agent, AgentStatus, OutcomeStrictness
from execlave_server.model.people import Caller
from execlave_server.store.protocol import Call, NewEvent, Parameters, Write


async def set_agent_status(
    services: Services, caller: Caller, reference: str, status: AgentStatus, reason: str | None
) -> Agent:
    """Pause or resume an agent. From its commit on no decision is made under the old status.

    Raises NotFoundError, and ConflictError for an archived agent or a name that several agents have.
    """
    agent = await services.agents.find_fresh(caller, reference)
    call, event = status_change(services, caller, agent, status, reason)
    await services.store.commit(Write(calls=[call], events=[event]))
    services.governed.set()
    return await services.agents.find_fresh(caller, agent.id)


def status_change(
    services: Services, caller: Caller, agent: Agent, status: AgentStatus, reason: str | None
) -> tuple[Call, NewEvent]:
    """The parts of a write that pauses or resumes an agent; `services.governed` is to be set after its commit.

    Raises ConflictError for an archived agent.
    """
    if agent.status is AgentStatus.ARCHIVED:
        raise ConflictError(f"The agent {agent.agent_id} is archived; an archived agent is neither paused nor resumed.")
    now_us = services.clock.now_us()
    [salt] = services.clock.salts(1)
    row: Parameters = {
        "organization": caller.organization,
        "id": agent.id,
        "status": status,
        "reason": reason,
        "salt": salt if reason else None,
        "now_us": now_us,
    }
    digest = salted_digest(salt, b"reason", reason.encode()) if reason else None
    changed = agent_status_changed(caller.actor, now_us, agent, status, reason_digest=digest)
    return Call("set_agent_status", row), NewEvent(caller.organization, changed, context_of(agent))


async def set_outcome_strictness(
    services: Services, key: Caller, reference: str, strictness: OutcomeStrictness
) -> Agent:
    """Ask evidence of an agent that says it succeeded, or no longer. Raises NotFoundError."""
    agent = await services.agents.find_fresh(key, reference)
    now_us = services.clock.now_us()
    row: Parameters = {
        "organization": key.organization,
        "id": agent.id,
        "strictness": strictness,
        "now_us": now_us,
    }
    change = settings_changed(key, f"agent:{agent.id}", now_us, {"outcomeStrictness": strictness})
    await services.store.commit(Write(calls=[Call("set_outcome_strictness", row)], events=[change]))
    return await services.agents.find_fresh(key, agent.id)


async def mark_agent_seen(services: Services, key: Caller, reference: str) -> Agent:
    """Note an agent's heartbeat. Raises NotFoundError."""
    agent = await services.agents.find_fresh(key, reference)
    row: Parameters = {"organization": key.organization, "id": agent.id, "now_us": services.clock.now_us()}
    await services.store.commit(Write(calls=[Call("mark_agent_seen", row)]))
    return agent
