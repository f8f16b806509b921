"""Agents as the registry has them, and as decisions and traces need them: by name, quickly, never stale unnoticed."""

import asyncio
from collections.abc import Iterable, Mapping

from execlave_server.errors import ConflictError, NotFoundError
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.organizations import ApiKey
from execlave_server.model.people import Caller, Person
from execlave_server.store.protocol import Check, Parameters, Store

REFERENCES_REMEMBERED = 50_000  # names come from clients
AGENTS_PER_PAGE_MAX = 200


class AgentRegistry:
    """Remembers agents by the names they are called by.

    What is remembered may be old: whoever commits what was decided on it also commits its `standing_checks`, and asks
    again, fresh, when they do not hold.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._agents: dict[tuple[int, str], list[Agent]] = {}

    async def named(self, key: ApiKey, references: Iterable[str], *, fresh: bool) -> dict[str, list[Agent]]:
        """The agents each UUID or external id may mean. Choose among them with `resolve_agent`; there may be none."""
        known = {name: None if fresh else self._agents.get((key.organization, name)) for name in references}
        missing = [name for name, agents in known.items() if agents is None]
        found = await asyncio.gather(*(self._named(key.organization, name) for name in missing))
        loaded = dict(zip(missing, found, strict=True))
        if len(self._agents) + len(loaded) > REFERENCES_REMEMBERED:
            self._agents.clear()
        self._agents |= {(key.organization, name): agents for name, agents in loaded.items()}
        return {name: loaded[name] if agents is None else agents for name, agents in known.items()}

    async def find_fresh(self, caller: Caller, reference: str) -> Agent:
        """The agent as the store has it now.

        Raises NotFoundError, and ConflictError where a person, who has no environment as a key has, means several.
        """
        agents = await self._named(caller.organization, reference)
        if isinstance(caller, Person) and len(agents) > 1:
            ids = ", ".join(f"{agent.id} ({agent.environment})" for agent in agents)
            raise ConflictError(f"There are several agents {reference!r}. Name one by its id: {ids}.")
        environment = caller.environment.agent_environment if isinstance(caller, ApiKey) else None
        agent = resolve_agent(agents, reference, environment)
        if agent is None:
            raise NotFoundError(f"There is no agent {reference!r} in this organization. Register it first.")
        return agent

    async def search(self, caller: Caller, text: str, *, limit: int, offset: int) -> tuple[list[Agent], int]:
        """A page of the agents whose id or name contains a text, and how many there are in all."""
        matching: Parameters = {"organization": caller.organization, "search": text}
        agents = await self._store.find(Agent, "search_agents", {**matching, "limit": limit, "offset": offset})
        counted = await self._store.rows("count_agents", matching)
        total = counted[0][0]
        return agents, total if isinstance(total, int) else len(agents)

    async def _named(self, organization: int, reference: str) -> list[Agent]:
        return await self._store.find(Agent, "agents_named", {"organization": organization, "reference": reference})


def standing_checks(key: ApiKey, named: Mapping[str, list[Agent]]) -> list[Check]:
    """Hold while the caller's key and the agents of these names are as they were read.

    Nothing else is checked: an organization whose other agents register all the time must not keep this one waiting.
    """
    checks = [Check("key_standing", {"api_key": key.id}, (key.revoked_at_us,))]
    for name, agents in named.items():
        place: Parameters = {"organization": key.organization, "reference": name}
        checks.append(Check("agent_standing", place, (len(agents), sum(agent.updated_at_us for agent in agents))))
    return checks
