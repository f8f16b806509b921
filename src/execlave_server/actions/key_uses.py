"""Which API key has used which agent: whoever used it hears of its status over the control channel."""

from collections.abc import Iterable

from execlave_server.model.agents import Agent
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import Call

AGENTS_PER_KEY_MAX = 10_000  # beyond, an agent's status is learnt by polling alone
REMEMBERED_MAX = 200_000  # pairs; forgetting one costs a look into an index


class KeyUses:
    """Remembers what is written already, so that a pair costs the store one row and afterwards nothing."""

    def __init__(self) -> None:
        self._written: set[tuple[str, str, str]] = set()

    def calls(self, key: ApiKey, agents: Iterable[Agent | None]) -> list[Call]:
        """What to add to a write by this key about these agents; nothing for those not registered."""
        return self.named(key, {(agent.agent_id, agent.environment) for agent in agents if agent})

    def named(self, key: ApiKey, agents: Iterable[tuple[str, str]]) -> list[Call]:
        """The same, for (external id, environment)."""
        return [
            Call(
                "note_agent_use",
                {
                    "organization": key.organization,
                    "api_key": key.id,
                    "agent_id": agent_id,
                    "environment": environment,
                    "most": AGENTS_PER_KEY_MAX,
                },
            )
            for agent_id, environment in sorted(agents)
            if (key.id, agent_id, environment) not in self._written
        ]

    def committed(self, calls: Iterable[Call]) -> None:
        """These calls are on disk."""
        if len(self._written) > REMEMBERED_MAX:
            self._written.clear()
        for call in calls:
            place = call.parameters
            self._written.add((str(place["api_key"]), str(place["agent_id"]), str(place["environment"])))
