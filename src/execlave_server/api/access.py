"""Who an agent is at the organization's identity provider, and what it may do with other agents."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from execlave_server.actions.bind_identity import (
    IdentityBinding,
    IdentityProvider,
    add_provider,
    bind_identity,
    find_binding,
    list_providers,
    remove_provider,
    unbind_identity,
)
from execlave_server.actions.grant_access import (
    Grant,
    GrantedAction,
    authorize_call,
    discover_agents,
    grant_access,
    list_grants,
    remove_grant,
)
from execlave_server.api.codec import data, decode, page
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso, microseconds
from execlave_server.errors import ValidationFailedError
from execlave_server.model.agents import Agent

Name = Annotated[str, Meta(min_length=1, max_length=256)]


class _ProviderBody(Struct, rename="camel", forbid_unknown_fields=True):
    tenant_id: Name
    audience: Name


class _BindingBody(Struct, rename="camel", forbid_unknown_fields=True):
    provider_id: Name
    subject: Name


class _GrantBody(Struct, rename="camel", forbid_unknown_fields=True):
    callee_agent_id: Name
    allowed_actions: Annotated[list[GrantedAction], Meta(min_length=1, max_length=len(GrantedAction))]
    expires_at: datetime | None = None


class _AuthorizeBody(Struct, rename="camel"):
    caller_agent_id: Name
    callee_agent_id: Name
    action: Name


async def get_providers(exchange: Exchange) -> Response:
    """The identity providers of the organization."""
    providers = await list_providers(exchange.services, exchange.caller)
    return page([_provider_view(provider) for provider in providers], len(providers))


async def post_provider(exchange: Exchange) -> Response:
    """Add an identity provider; it is never called."""
    body = decode(exchange.body, _ProviderBody)
    provider = await add_provider(exchange.services, exchange.caller, body.tenant_id, body.audience)
    return data(_provider_view(provider), 201)


async def delete_provider(exchange: Exchange) -> Response:
    """Remove an identity provider that no agent is bound to."""
    await remove_provider(exchange.services, exchange.caller, exchange.path("id"))
    return data({"id": exchange.path("id"), "deleted": True})


async def put_binding(exchange: Exchange) -> Response:
    """Bind an agent to an identity."""
    body = decode(exchange.body, _BindingBody)
    services, reference = exchange.services, exchange.path("agent")
    agent, binding = await bind_identity(services, exchange.caller, reference, body.provider_id, body.subject)
    return data(_binding_view(agent, binding))


async def get_binding(exchange: Exchange) -> Response:
    """The identity an agent is bound to."""
    agent, binding = await find_binding(exchange.services, exchange.caller, exchange.path("agent"))
    return data(_binding_view(agent, binding))


async def delete_binding(exchange: Exchange) -> Response:
    """Remove an agent's binding."""
    agent = await unbind_identity(exchange.services, exchange.caller, exchange.path("agent"))
    return data({"agentId": agent.agent_id, "deleted": True})


async def get_grants(exchange: Exchange) -> Response:
    """What an agent may do with others."""
    grants = await list_grants(exchange.services, exchange.caller, exchange.path("agent"))
    return page([_grant_view(grant) for grant in grants], len(grants))


async def post_grant(exchange: Exchange) -> Response:
    """Let an agent do something with another."""
    body = decode(exchange.body, _GrantBody)
    expires_at_us = None if body.expires_at is None else microseconds(body.expires_at)
    if expires_at_us is not None and expires_at_us <= exchange.services.clock.now_us():
        raise ValidationFailedError("The grant would have expired already.", fields={"expiresAt": "is in the past"})
    grant = await grant_access(
        exchange.services,
        exchange.caller,
        exchange.path("agent"),
        callee=body.callee_agent_id,
        actions=body.allowed_actions,
        expires_at_us=expires_at_us,
    )
    return data(_grant_view(grant), 201)


async def delete_grant(exchange: Exchange) -> Response:
    """Take a grant back."""
    await remove_grant(exchange.services, exchange.caller, exchange.path("agent"), exchange.path("grant"))
    return data({"id": exchange.path("grant"), "deleted": True})


async def post_authorize(exchange: Exchange) -> Response:
    """May this agent do that with the other one? 200 with the grant, or 403."""
    body = decode(exchange.body, _AuthorizeBody)
    services, key = exchange.services, exchange.key
    grant = await authorize_call(services, key, body.caller_agent_id, body.callee_agent_id, body.action)
    return data({"authorized": True, "grant": _grant_view(grant)})


async def get_discovered(exchange: Exchange) -> Response:
    """The active agents, or those of them that declared a capability."""
    capability = exchange.request.query_params.get("capability")
    peers = await discover_agents(exchange.services, exchange.key, capability or None)
    shown = [
        {"id": peer.id, "agentId": peer.agent_id, "name": peer.name, "capabilities": peer.capabilities}
        for peer in peers
    ]
    return page(shown, len(shown))


def _provider_view(provider: IdentityProvider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "tenantId": provider.tenant_id,
        "audience": provider.audience,
        "createdAt": iso(provider.created_at_us),
    }


def _binding_view(agent: Agent, binding: IdentityBinding) -> dict[str, Any]:
    return {
        "agentId": agent.agent_id,
        "providerId": binding.provider,
        "subject": binding.subject,
        "boundAt": iso(binding.bound_at_us),
    }


def _grant_view(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "callerAgentId": grant.caller_agent_id,
        "calleeAgentId": grant.callee_agent_id,
        "allowedActions": grant.allowed,
        "expiresAt": iso(grant.expires_at_us),
        "grantedAt": iso(grant.granted_at_us),
    }
