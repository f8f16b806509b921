"""The kill switch, and the agent's sign of life."""

from execlave_server.actions.services import Services
from execlave_server.audit.changes import agent_status_changed, key_actor
from execlave_server.errors import ConflictError
from execlave_server.model.agents import Agent, AgentStatus
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import Call, NewEvent, Parameters, Write


async def set_agent_status(
    services: Services, key: ApiKey, reference: str, status: AgentStatus, reason: str | None
) -> Agent:
    """Pause or resume an agent. From its commit on no decision is made under the old status.

    Raises NotFoundError, and ConflictError when an archived agent is to be resumed.
    """
    agent = await services.agents.find_fresh(key, reference)
    if agent.status is AgentStatus.ARCHIVED:
        raise ConflictError(f"The agent {agent.agent_id} is archived; an archived agent is neither paused nor resumed.")
    now_us = services.clock.now_us()
    row: Parameters = {
        "organization": key.organization,
        "id": agent.id,
        "status": status,
        "reason": reason,
        "now_us": now_us,
    }
    event = NewEvent(key.organization, agent_status_changed(key_actor(key.id), now_us, agent, status))
    await services.store.commit(Write(calls=[Call("set_agent_status", row)], events=[event]))
    return await services.agents.find_fresh(key, agent.id)


async def mark_agent_seen(services: Services, key: ApiKey, reference: str) -> Agent:
    """Note an agent's heartbeat. Raises NotFoundError."""
    agent = await services.agents.find_fresh(key, reference)
    row: Parameters = {"organization": key.organization, "id": agent.id, "now_us": services.clock.now_us()}
    await services.store.commit(Write(calls=[Call("mark_agent_seen", row)]))
    return agent
