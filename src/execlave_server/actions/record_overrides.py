"""Policies that depart from an agent's autonomy tier are recorded in the audit chain."""

import msgspec

from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.event_logs import EventContext, context_of
from execlave_server.audit.events import Kind, TierOverride
from execlave_server.model.agents import Agent, AutonomyLevel
from execlave_server.model.policies import Policy
from execlave_server.policy.tiers import is_of_tier, tier_override
from execlave_server.store.protocol import NewEvent, Parameters


async def override_events(
    services: Services, organization: int, actor: str, policy: Policy, before: Policy | None = None
) -> list[NewEvent]:
    """An entry for each agent with a level that the policy names, or named before, and departs from the tier of.

    A policy for every agent is the organization's own and departs from no agent's tier.
    """
    names = dict.fromkeys((*policy.applies_to_agents, *(before.applies_to_agents if before else ())))
    agents: dict[str, Agent] = {}
    for name in names:
        place: Parameters = {"organization": organization, "reference": name}
        agents |= {agent.id: agent for agent in await services.store.find(Agent, "agents_named", place)}
    return [
        override_event(
            services,
            organization,
            actor,
            policy,
            agent=agent.id,
            level=agent.autonomy_level,
            context=context_of(agent),
        )
        for agent in agents.values()
        if agent.autonomy_level and _departs(agent, agent.autonomy_level, policy, before)
    ]


def override_event(
    services: Services,
    organization: int,
    actor: str,
    policy: Policy,
    *,
    agent: str,
    level: AutonomyLevel,
    context: EventContext,
) -> NewEvent:
    """The entry of one agent (its UUID) and policy."""
    details = TierOverride(agent=agent, autonomy_level=level, policy=policy.id, version=policy.version)
    event = Event(Kind.AGENT_TIER_OVERRIDDEN, services.clock.now_us(), actor, f"agent:{agent}", details)
    return NewEvent(organization, event, context)


def _departs(agent: Agent, level: AutonomyLevel, policy: Policy, before: Policy | None) -> bool:
    """Switching off departs only where the tier itself had brought the policy."""
    applies = not policy.applies_to_agents or not {agent.id, agent.agent_id}.isdisjoint(policy.applies_to_agents)
    judged = policy if applies else msgspec.structs.replace(policy, is_active=False)
    if not judged.is_active and not is_of_tier(before or policy):
        return False
    return tier_override(level, judged) is not None
