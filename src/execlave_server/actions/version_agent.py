from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.errors import NotFoundError
from execlave_server.model.agents import Agent
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import Call, Parameters, StaleError, Write, integer

VERSIONS_LISTED_MAX = 200


class AgentVersion(Struct, frozen=True):
    """A release of an agent as its deploy pipeline reported it. `metadata` is JSON."""

    id: str
    number: int
    label: str | None
    notes: str | None
    metadata: str
    active: bool
    created_at_us: int


async def add_version(
    services: Services,
    key: ApiKey,
    reference: str,
    *,
    label: str | None,
    notes: str | None,
    metadata: dict[str, Any],
    activate: bool,
) -> tuple[Agent, AgentVersion]:
    """The next version of an agent; with `activate` it takes the place of the active one. Raises NotFoundError."""
    agent = await services.agents.find_fresh(key, reference)
    version = AgentVersion(
        id=services.clock.uuid(),
        number=0,
        label=label,
        notes=notes,
        metadata=msgspec.json.encode(metadata).decode(),
        active=activate,
        created_at_us=services.clock.now_us(),
    )
    row: Parameters = {
        "id": version.id,
        "organization": key.organization,
        "agent": agent.id,
        "label": label,
        "notes": notes,
        "metadata": version.metadata,
        "active": int(activate),
        "api_key": key.id,
        "now_us": version.created_at_us,
    }
    calls = [Call("deactivate_versions", {"organization": key.organization, "agent": agent.id})] if activate else []
    hold = hold_agent(agent)
    try:
        written = await services.store.commit(Write(charges=[hold], calls=[*calls, Call("insert_agent_version", row)]))
    except StaleError as error:
        raise NotFoundError(f"There is no agent {reference!r} any more.") from error
    return agent, msgspec.structs.replace(version, number=integer(written.rows[-1][0][0]))


async def list_versions(services: Services, key: ApiKey, reference: str) -> tuple[Agent, list[AgentVersion]]:
    """The newest versions of an agent, newest first. Raises NotFoundError."""
    agent = await services.agents.find_fresh(key, reference)
    wanted: Parameters = {"organization": key.organization, "agent": agent.id, "limit": VERSIONS_LISTED_MAX}
    return agent, await services.store.find(AgentVersion, "agent_versions", wanted)


def hold_agent(agent: Agent) -> Call:
    """A charge after which nobody else numbers anything of this agent until the commit."""
    return Call("hold_agent", {"organization": agent.organization, "id": agent.id})
