import msgspec

from execlave_server.actions.services import Services
from execlave_server.audit.changes import agent_registered
from execlave_server.model.agents import Agent, AgentProfile, AutonomyLevel
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import Call, ChangeEvent, Parameters, Write


class Registration(msgspec.Struct, frozen=True):
    """What an agent says of itself when it registers."""

    agent_id: str
    name: str
    type: str
    platform: str
    environment: str
    autonomy_level: AutonomyLevel | None
    profile: AgentProfile


async def register_agent(services: Services, key: ApiKey, registration: Registration) -> Agent:
    """Register or update an agent; registering the same again changes nothing, and never its status."""
    now_us = services.clock.now_us()
    row: Parameters = {
        "id": services.clock.uuid(),
        "organization": key.organization,
        "agent_id": registration.agent_id,
        "environment": registration.environment,
        "name": registration.name,
        "type": registration.type,
        "platform": registration.platform,
        "autonomy_level": registration.autonomy_level,
        "profile": msgspec.json.encode(registration.profile).decode(),
        "now_us": now_us,
    }
    event = ChangeEvent(key.organization, 0, agent_registered(key.actor, now_us))
    uses = services.uses.named(key, [(registration.agent_id, registration.environment)])
    await services.store.commit(Write(calls=[Call("upsert_agent", row), *uses], events=[event]))
    services.uses.committed(uses)
    agents = await services.store.find(
        Agent, "agents_named", {"organization": key.organization, "reference": registration.agent_id}
    )
    return next(agent for agent in agents if agent.environment == registration.environment)
