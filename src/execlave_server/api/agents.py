"""What is told of one agent beside its registration: its credential, its releases, its tools, what it is held to."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from execlave_server.actions.agent_credentials import issue_credential
from execlave_server.actions.govern_agent import set_outcome_strictness
from execlave_server.actions.pin_tools import Baseline, Pin, find_baseline, pin_tools
from execlave_server.actions.version_agent import AgentVersion, add_version, list_versions
from execlave_server.api.agent_view import agent_view
from execlave_server.api.codec import data, decode, page
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso
from execlave_server.errors import NotFoundError, ValidationFailedError
from execlave_server.model.agents import Agent, OutcomeStrictness

METADATA_BYTES_MAX = 16_000  # of a version: a commit, a time, a few labels
PINS_MAX = 1_000  # tools of one agent


class _AgentBody(Struct, rename="camel", forbid_unknown_fields=True):
    outcome_strictness: OutcomeStrictness


class _VersionBody(Struct, rename="camel"):
    activate: bool = False
    version_label: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    notes: Annotated[str, Meta(max_length=4_000)] | None = None
    metadata: dict[str, Any] | None = None


class _BaselineBody(Struct):
    descriptors: Annotated[list[Pin], Meta(max_length=PINS_MAX)]
    reason: Literal["manual", "baseline_update"] = "manual"


async def patch_agent(exchange: Exchange) -> Response:
    """Change what an agent is held to."""
    body = decode(exchange.body, _AgentBody)
    reference = exchange.path("agent")
    agent = await set_outcome_strictness(exchange.services, exchange.caller, reference, body.outcome_strictness)
    return data(agent_view(agent))


async def post_credential(exchange: Exchange) -> Response:
    """A short-lived credential, with which the agent stamps its traces."""
    issued = await issue_credential(exchange.services, exchange.key, exchange.path("agent"))
    told = {"credential": issued.credential.reveal(), "expiresAt": iso(issued.expires_at_us), "kid": issued.kid}
    response = data(told)
    response.headers["Cache-Control"] = "no-store"
    return response


async def post_version(exchange: Exchange) -> Response:
    """A release of an agent, as its deploy pipeline reports it."""
    body = decode(exchange.body or b"{}", _VersionBody)
    if len(msgspec.json.encode(body.metadata)) > METADATA_BYTES_MAX:
        reason = f"has more than {METADATA_BYTES_MAX:,} bytes"
        raise ValidationFailedError(f"The version's metadata {reason}.", fields={"metadata": reason})
    agent, version = await add_version(
        exchange.services,
        exchange.key,
        exchange.path("agent"),
        label=body.version_label,
        notes=body.notes,
        metadata=body.metadata or {},
        activate=body.activate,
    )
    return data(_version_view(agent, version), 201)


async def get_versions(exchange: Exchange) -> Response:
    """The releases of an agent, newest first."""
    agent, versions = await list_versions(exchange.services, exchange.key, exchange.path("agent"))
    return page([_version_view(agent, version) for version in versions], len(versions))


async def post_baseline(exchange: Exchange) -> Response:
    """Pin the tools an agent was reviewed with."""
    body = decode(exchange.body, _BaselineBody)
    named = {(pin.server, pin.tool) for pin in body.descriptors}
    if len(named) < len(body.descriptors):
        raise ValidationFailedError(
            "A tool of a server stands in descriptors twice; pin each once.", fields={"descriptors": "has a tool twice"}
        )
    reference = exchange.path("agent")
    agent, baseline = await pin_tools(exchange.services, exchange.key, reference, body.descriptors, body.reason)
    return data(_baseline_view(agent, baseline), 201)


async def get_baseline(exchange: Exchange) -> Response:
    """The tools pinned for an agent."""
    agent = await exchange.services.agents.find_fresh(exchange.key, exchange.path("agent"))
    baseline = await find_baseline(exchange.services, agent.organization, agent.id)
    if baseline is None:
        raise NotFoundError(f"The agent {agent.agent_id} has no pinned tools. Report its baseline first.")
    return data(_baseline_view(agent, baseline))


def _version_view(agent: Agent, version: AgentVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "agentId": agent.agent_id,
        "versionNumber": version.number,
        "versionLabel": version.label,
        "notes": version.notes,
        "metadata": msgspec.json.decode(version.metadata),
        "isActive": version.active,
        "createdAt": iso(version.created_at_us),
    }


def _baseline_view(agent: Agent, baseline: Baseline) -> dict[str, Any]:
    return {
        "agentId": agent.agent_id,
        "baselineNumber": baseline.number,
        "descriptors": baseline.pins,
        "reason": baseline.reason,
        "pinnedAt": iso(baseline.pinned_at_us),
    }
