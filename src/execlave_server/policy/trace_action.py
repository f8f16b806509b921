"""A stored trace as the action that it records."""

from typing import Any

import msgspec

from execlave_server.model.agents import Agent
from execlave_server.model.policies import Phase
from execlave_server.model.traces import TraceItem
from execlave_server.policy.action import Action

TOOL_SPAN = "tool"
_item = msgspec.json.Decoder(TraceItem)
_members = msgspec.json.Decoder(dict[str, Any])


def agent_reference_of(item: bytes) -> tuple[str, str | None]:
    """The agent that a trace names, and in which environment."""
    said = _item.decode(item)
    return said.agent_id or "", said.environment


def action_of_trace(item: bytes, organization_id: str, agent: Agent | None, phase: Phase) -> Action:
    """What the agent did, as policies read it. Before it ran there was no output. Raises msgspec.MsgspecError."""
    said, members = _item.decode(item), _members.decode(item)
    metadata = members.get("metadata")
    tool = said.given_span_name if said.given_span_type == TOOL_SPAN else None
    return Action(
        agent_id=agent.agent_id if agent else said.agent_id or "",
        input=members.get("input"),
        organization_id=organization_id,
        agent_uuid=agent.id if agent else None,
        agent_name=agent.name if agent else None,
        environment=said.environment or (agent.environment if agent else None),
        output=members.get("output") if phase is Phase.POST else None,
        tools=(tool,) if tool else (),
        metadata=metadata if isinstance(metadata, dict) else {},
        estimated_cost=said.cost_usd if said.cost_usd is not None else said.estimated_cost_usd,
        phase=phase,
    )
