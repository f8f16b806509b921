from enum import StrEnum
from typing import Any

from msgspec import Struct


class AgentStatus(StrEnum):
    """The registry's status of an agent."""

    ACTIVE = "active"
    PAUSED = "paused"
    INACTIVE = "inactive"
    ARCHIVED = "archived"
    ERROR = "error"

    @property
    def stops_actions(self) -> bool:
        """True when enforcement refuses every action of an agent in this status."""
        return self in _STOPPED

    @property
    def told(self) -> "AgentStatus":
        """What the SDK is told: it obeys only `paused` and `active`."""
        return AgentStatus.PAUSED if self.stops_actions else self


_STOPPED = frozenset({AgentStatus.PAUSED, AgentStatus.INACTIVE, AgentStatus.ARCHIVED})


class AutonomyLevel(StrEnum):
    """The declared tier of an agent."""

    OBSERVE = "observe"
    ADVISE = "advise"
    ACT_WITH_APPROVAL = "act_with_approval"
    AUTONOMOUS = "autonomous"


class OutcomeStrictness(StrEnum):
    """Whether an agent's word that an action succeeded is enough."""

    STANDARD = "standard"
    STRICT = "strict"  # only with evidence that the effect happened


class CredentialMark(StrEnum):
    """What the credential on a trace was worth. The trace is kept in any case."""

    VERIFIED = "verified"
    EXPIRED = "expired"
    OTHER_AGENT = "other_agent"
    INVALID = "invalid"


class Agent(Struct, frozen=True):
    """A registered agent. Its identity is (organization, agent_id, environment); `id` is the server's UUID for it."""

    id: str
    organization: int
    agent_id: str
    environment: str
    name: str
    type: str
    platform: str
    status: AgentStatus
    status_reason: str | None
    autonomy_level: AutonomyLevel | None
    idp_bound: bool
    profile: str
    created_at_us: int
    updated_at_us: int
    last_seen_at_us: int | None
    outcome_strictness: OutcomeStrictness = OutcomeStrictness.STANDARD


class AgentProfile(Struct, rename="camel", omit_defaults=True):
    """What registration says of an agent beyond its identity; kept as said."""

    description: str | None = None
    owner_email: str | None = None
    allowed_data_sources: list[str] | None = None
    allowed_actions: list[str] | None = None
    requires_human_approval_for: list[str] | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None


def most_restricted(agents: list[Agent]) -> Agent | None:
    """The one to judge by where a name fits several: a stopped one first, then the oldest."""
    return min(agents, key=lambda agent: (not agent.status.stops_actions, agent.created_at_us), default=None)


def resolve_agent(agents: list[Agent], reference: str, environment: str | None) -> Agent | None:
    """The agent meant by a UUID or an external id, in this environment where there is one.

    A name that fits only agents of other environments still means them, so that a stopped agent cannot act by
    claiming another environment.
    """
    by_uuid = [agent for agent in agents if agent.id == reference]
    if by_uuid:
        return by_uuid[0]
    named = [agent for agent in agents if agent.agent_id == reference]
    exact = [agent for agent in named if agent.environment == environment]
    return most_restricted(exact or named)
