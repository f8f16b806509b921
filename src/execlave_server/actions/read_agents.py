"""Agents as the registry has them, and as decisions and traces need them: by name, quickly, never stale unnoticed."""

import asyncio
from collections.abc import Iterable

from execlave_server.errors import NotFoundError
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import Parameters, Store

REFERENCES_REMEMBERED = 50_000  # names come from clients
AGENTS_PER_PAGE_MAX = 200


class AgentRegistry:
    """Remembers agents by the names they are called by, for one version of their organization.

    Whoever commits what was decided on them also checks that the version still stands (`standing_check`).
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[int, int] = {}
        self._agents: dict[tuple[int, str], list[Agent]] = {}

    async def named(self, key: ApiKey, references: Iterable[str]) -> dict[str, list[Agent]]:
        """The agents each UUID or external id may mean, at least as new as the version the caller's key was read at.

        Choose among them with `resolve_agent`; an unregistered name has none.
        """
        version = key.organization_version
        if self._versions.get(key.organization) != version:
            self._forget(key.organization)
            self._versions[key.organization] = version
        known = {name: self._agents.get((key.organization, name)) for name in references}
        missing = [name for name, agents in known.items() if agents is None]
        found = await asyncio.gather(*(self._named(key.organization, name) for name in missing))
        loaded = dict(zip(missing, found, strict=True))
        if self._versions.get(key.organization) == version:  # else what was read may be older than what is kept now
            self._remember(key.organization, loaded)
        return {name: loaded[name] if agents is None else agents for name, agents in known.items()}

    async def find_fresh(self, key: ApiKey, reference: str) -> Agent:
        """The agent as the store has it now. Raises NotFoundError."""
        agents = await self._named(key.organization, reference)
        agent = resolve_agent(agents, reference, key.environment.agent_environment)
        if agent is None:
            raise NotFoundError(f"There is no agent {reference!r} in this organization. Register it first.")
        return agent

    async def search(self, key: ApiKey, text: str, *, limit: int, offset: int) -> tuple[list[Agent], int]:
        """A page of the agents whose id or name contains a text, and how many there are in all."""
        matching: Parameters = {"organization": key.organization, "search": text}
        agents = await self._store.find(Agent, "search_agents", {**matching, "limit": limit, "offset": offset})
        counted = await self._store.rows("count_agents", matching)
        total = counted[0][0]
        return agents, total if isinstance(total, int) else len(agents)

    async def _named(self, organization: int, reference: str) -> list[Agent]:
        return await self._store.find(Agent, "agents_named", {"organization": organization, "reference": reference})

    def _remember(self, organization: int, agents: dict[str, list[Agent]]) -> None:
        if len(self._agents) + len(agents) > REFERENCES_REMEMBERED:
            self._agents.clear()
        self._agents |= {(organization, name): found for name, found in agents.items()}

    def _forget(self, organization: int) -> None:
        self._agents = {name: agents for name, agents in self._agents.items() if name[0] != organization}
