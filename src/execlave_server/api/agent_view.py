from typing import Any

import msgspec

from execlave_server.api.times import iso
from execlave_server.model.agents import Agent


def agent_view(agent: Agent) -> dict[str, Any]:
    """An agent as the API shows it: the registry's facts, and what registration said beside them."""
    said: dict[str, Any] = msgspec.json.decode(agent.profile)
    return {
        **said,
        "id": agent.id,
        "agentId": agent.agent_id,
        "name": agent.name,
        "type": agent.type,
        "platform": agent.platform,
        "environment": agent.environment,
        "status": agent.status,
        "statusReason": agent.status_reason,
        "autonomyLevel": agent.autonomy_level,
        "idpBound": agent.idp_bound,
        "outcomeStrictness": agent.outcome_strictness,
        "createdAt": iso(agent.created_at_us),
        "updatedAt": iso(agent.updated_at_us),
        "lastSeenAt": iso(agent.last_seen_at_us),
    }
