"""Agents as the pages show them: the registry beside what each costs and what came of it."""

from typing import NamedTuple

from msgspec import Struct

from execlave_server.actions.bind_identity import IdentityBinding
from execlave_server.actions.grant_access import Grant
from execlave_server.actions.meter import money_meter, read_meters
from execlave_server.actions.read_policies import StoredPolicy, list_policies
from execlave_server.actions.services import Services
from execlave_server.actions.version_agent import AgentVersion
from execlave_server.errors import NotFoundError
from execlave_server.model.agents import Agent, AgentStatus
from execlave_server.model.budgets import BudgetScope
from execlave_server.model.policy_rules import Window
from execlave_server.store.protocol import Parameters, find_one, integer

UNREGISTERED_MAX = 50
INCIDENTS_MAX = 10
VERSIONS_MAX = 10


class AgentRow(NamedTuple):
    """An agent, what it spent today in billionths of a US dollar, and its violations in unresolved incidents."""

    agent: Agent
    spent_today: int
    incidents: int
    violations: int


class AgentIncident(Struct, frozen=True):
    """An incident of an agent."""

    id: str
    policy_name: str
    severity: str
    state: str
    violations: int
    opened_at_us: int
    last_seen_us: int


class AgentFile(NamedTuple):
    """An agent with everything about it. `policies` are those that name it, or every agent."""

    agent: Agent
    incidents: list[AgentIncident]
    versions: list[AgentVersion]
    grants: list[Grant]
    binding: IdentityBinding | None
    policies: list[StoredPolicy]


async def list_agent_rows(
    services: Services, organization: int, *, search: str, status: AgentStatus | None, limit: int, offset: int
) -> list[AgentRow]:
    """A page of the registry, by id."""
    wanted: Parameters = {
        "organization": organization,
        "search": search,
        "status": status or "",
        "limit": limit,
        "offset": offset,
    }
    agents = await services.store.find(Agent, "agents_page", wanted)
    now_us = services.clock.now_us()
    meters = {agent.id: money_meter(BudgetScope.AGENT, agent.id, Window.DAY, now_us) for agent in agents}
    spent = await read_meters(services.store, organization, meters.values())
    rows = await services.store.rows("incidents_by_agent", {"organization": organization})
    incidents = {str(agent): (integer(count), integer(violations)) for agent, count, violations in rows}
    return [AgentRow(agent, spent[meters[agent.id].name], *incidents.get(agent.id, (0, 0))) for agent in agents]


async def list_unregistered(services: Services, organization: int) -> list[str]:
    """The names under which traces came and that no registered agent has, the newest first."""
    wanted: Parameters = {"organization": organization, "limit": UNREGISTERED_MAX}
    return [str(row[0]) for row in await services.store.rows("unregistered_agents", wanted)]


async def read_agent(services: Services, organization: int, agent_id: str) -> AgentFile:
    """One agent by its UUID. Raises NotFoundError."""
    place: Parameters = {"organization": organization, "agent": agent_id}
    agent = await find_one(services.store, Agent, "agent_of_id", {"organization": organization, "id": agent_id})
    if agent is None:
        raise NotFoundError(f"There is no agent {agent_id!r} in this organization.")
    policies = [each for each in await list_policies(services.store, organization) if _is_about(each, agent)]
    return AgentFile(
        agent,
        await services.store.find(AgentIncident, "incidents_of_agent", {**place, "limit": INCIDENTS_MAX}),
        await services.store.find(AgentVersion, "agent_versions", {**place, "limit": VERSIONS_MAX}),
        await services.store.find(Grant, "grants_of", {"organization": organization, "caller": agent.id}),
        await find_one(services.store, IdentityBinding, "find_identity_binding", place),
        policies,
    )


def _is_about(stored: StoredPolicy, agent: Agent) -> bool:
    policy = stored.policy
    names, environments = policy.applies_to_agents, policy.environments
    return (not names or agent.agent_id in names or agent.id in names) and (
        not environments or agent.environment in environments
    )
