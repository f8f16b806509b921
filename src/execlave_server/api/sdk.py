"""The SDK's endpoints, exactly as the official SDKs expect them."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from execlave_server import __version__
from execlave_server.actions.govern_agent import mark_agent_seen
from execlave_server.actions.ingest_traces import ingest_traces
from execlave_server.actions.read_agents import AGENTS_PER_PAGE_MAX
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.api.agent_view import agent_view
from execlave_server.api.codec import answer, data, decode, page, whole_number
from execlave_server.api.exchange import Exchange
from execlave_server.api.trace_items import read_items
from execlave_server.errors import ValidationFailedError
from execlave_server.model.agents import AgentProfile, AutonomyLevel

NAME_CHARS_MAX = 256


class _RegisterBody(Struct, rename="camel"):
    agent_id: str
    name: str
    type: str = "chatbot"
    platform: str = "custom"
    environment: str | None = None
    description: str | None = None
    owner_email: str | None = None
    allowed_data_sources: list[str] | None = None
    allowed_actions: list[str] | None = None
    requires_human_approval_for: list[str] | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    autonomy_level: AutonomyLevel | None = None


async def get_health(_exchange: Exchange) -> Response:
    """The server answers; a request with a wrong key never gets here."""
    return answer({"status": "ok", "version": __version__})


async def post_agent(exchange: Exchange) -> Response:
    """Register or update an agent."""
    body = decode(exchange.body, _RegisterBody)
    environment = body.environment or exchange.key.environment.agent_environment
    for field, text in {"agentId": body.agent_id, "name": body.name, "environment": environment}.items():
        if not 1 <= len(text) <= NAME_CHARS_MAX:
            reason = f"must have 1 to {NAME_CHARS_MAX} characters"
            raise ValidationFailedError(f"The agent cannot be registered: {field} {reason}.", fields={field: reason})
    registration = Registration(
        agent_id=body.agent_id,
        name=body.name,
        type=body.type,
        platform=body.platform,
        environment=environment,
        autonomy_level=body.autonomy_level,
        profile=AgentProfile(
            description=body.description,
            owner_email=body.owner_email,
            allowed_data_sources=body.allowed_data_sources,
            allowed_actions=body.allowed_actions,
            requires_human_approval_for=body.requires_human_approval_for,
            tags=body.tags,
            metadata=body.metadata,
        ),
    )
    return data(agent_view(await register_agent(exchange.services, exchange.key, registration)))


async def get_agents(exchange: Exchange) -> Response:
    """Agents whose id or name contains `search`."""
    query = exchange.request.query_params
    limit = whole_number(query.get("limit", "50"), "limit", AGENTS_PER_PAGE_MAX)
    offset = whole_number(query.get("offset", "0"), "offset", 1_000_000)
    agents, total = await exchange.services.agents.search(
        exchange.caller, query.get("search", ""), limit=limit, offset=offset
    )
    return page([agent_view(agent) for agent in agents], total)


async def get_agent(exchange: Exchange) -> Response:
    """One agent, by UUID or external id."""
    return data(agent_view(await exchange.services.agents.find_fresh(exchange.caller, exchange.path("agent"))))


async def get_status(exchange: Exchange) -> Response:
    """An agent's status, polled by the SDK; a status that stops actions is told as `paused`, the one it obeys."""
    agent = await exchange.services.agents.find_fresh(exchange.caller, exchange.path("agent"))
    return data({"agentId": agent.agent_id, "status": agent.status.told, "reason": agent.status_reason})


async def post_heartbeat(exchange: Exchange) -> Response:
    """An agent lives."""
    agent = await mark_agent_seen(exchange.services, exchange.key, exchange.path("agent"))
    return data({"agentId": agent.agent_id, "status": agent.status})


async def post_traces(exchange: Exchange) -> Response:
    """Store traces: 202 after the commit, with the refused ones named; 400 when every one was refused."""
    sent, refused = read_items(exchange.body)
    result = await ingest_traces(exchange.services, exchange.presented, sent)
    refused += result.refused
    exchange.services.metrics.ingested(
        stored=result.accepted - result.duplicates, duplicates=result.duplicates, refused=len(refused)
    )
    body = {"accepted": result.accepted, "failed": len(refused), "errors": refused}
    if result.duplicates:
        body["duplicates"] = result.duplicates
    if refused and not result.accepted:
        error = {"code": refused[0].code, "message": f"No trace was stored. The first reason: {refused[0].error}"}
        return answer({"error": error, **body}, 400)
    return answer(body, 202)
