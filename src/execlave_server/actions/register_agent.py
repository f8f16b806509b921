from dataclasses import replace

import msgspec

from execlave_server.actions.apply_tier import tier_change
from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.changes import agent_registered
from execlave_server.audit.event_logs import context_of
from execlave_server.audit.events import Kind, LevelRefused
from execlave_server.errors import UnavailableError
from execlave_server.model.agents import Agent, AgentProfile, AutonomyLevel
from execlave_server.model.organizations import ApiKey, Role
from execlave_server.policy.tiers import is_at_least_as_strict
from execlave_server.store.protocol import (
    Call,
    ChangeEvent,
    Check,
    NewEvent,
    Parameters,
    StaleError,
    Telling,
    Write,
)

REGISTER_AGAIN_MAX = 8  # each time means that policies or the agent's level changed between reading and committing


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
    """Register or update an agent; registering the same again changes nothing, and never its status.

    A new autonomy level brings its policies in the same commit. One that would loosen the agent's tier is taken from an
    admin key only: else the agent keeps its level, and what it asked for is recorded once. Raises UnavailableError
    where others change this organization's policies faster than that can be committed.
    """
    for _attempt in range(REGISTER_AGAIN_MAX):
        known = await _find(services, key, registration)
        uses = services.uses.named(key, [(registration.agent_id, registration.environment)])
        write = await _write(services, key, registration, known)
        try:
            await services.store.commit(replace(write, calls=[*write.calls, *uses]))
        except StaleError:
            continue
        services.uses.committed(uses)
        agent = await _find(services, key, registration)
        assert agent is not None
        return agent
    raise UnavailableError("The policies change faster than an agent can be registered. Try again.")


async def _write(services: Services, key: ApiKey, registration: Registration, known: Agent | None) -> Write:
    now_us = services.clock.now_us()
    agent, level = known.id if known else services.clock.uuid(), registration.autonomy_level
    row: Parameters = {
        "id": agent,
        "organization": key.organization,
        "agent_id": registration.agent_id,
        "environment": registration.environment,
        "name": registration.name,
        "type": registration.type,
        "platform": registration.platform,
        "autonomy_level": level,
        "profile": msgspec.json.encode(registration.profile).decode(),
        "now_us": now_us,
    }
    if known and known.autonomy_level and level and _loosens(key, level, known.autonomy_level):
        kept = Call("upsert_agent", {**row, "autonomy_level": None})
        event = ChangeEvent(key.organization, 0, agent_registered(key.actor, now_us))
        return Write(calls=[kept], events=[event], tellings=[_refused(key, known, level, now_us)])
    registered = Call("upsert_agent", row)
    event = ChangeEvent(key.organization, 0, agent_registered(key.actor, now_us))
    if level is None or (known and known.autonomy_level is level):
        return Write(calls=[registered], events=[event])
    place: Parameters = {
        "organization": key.organization,
        "agent_id": registration.agent_id,
        "environment": registration.environment,
    }
    standing = (known.id, known.autonomy_level) if known else None
    policies = await services.policies.of(key.organization, fresh=True)
    bundle = await tier_change(
        services, key.organization, key.actor, level, agent=agent, agent_name=registration.agent_id
    )
    checks = [Check("agent_tier_standing", place, standing), policies.check]
    return Write(checks=checks, calls=[registered, *bundle.calls], events=[event, *bundle.events])


def _loosens(key: ApiKey, level: AutonomyLevel, before: AutonomyLevel) -> bool:
    """True where an agent's own key asks for less than it is held to."""
    return key.role is not Role.ADMIN and not is_at_least_as_strict(level, before)


def _refused(key: ApiKey, agent: Agent, level: AutonomyLevel, now_us: int) -> Telling:
    assert agent.autonomy_level is not None
    details = LevelRefused(
        agent=agent.id, asked=level, autonomy_level=agent.autonomy_level, environment=agent.environment
    )
    event = Event(Kind.AGENT_LEVEL_REFUSED, now_us, key.actor, f"agent:{agent.id}", details)
    mark: Parameters = {"organization": key.organization, "id": agent.id, "level": level}
    return Telling(Call("refuse_level", mark), NewEvent(key.organization, event, context_of(agent)))


async def _find(services: Services, key: ApiKey, registration: Registration) -> Agent | None:
    named: Parameters = {"organization": key.organization, "reference": registration.agent_id}
    agents = await services.store.find(Agent, "agents_named", named)
    return next(
        (
            agent
            for agent in agents
            if (agent.agent_id, agent.environment) == (registration.agent_id, registration.environment)
        ),
        None,
    )
