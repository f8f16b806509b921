"""An agent's identity at the organization's identity provider. No provider is ever called."""

from msgspec import Struct

from execlave_server.actions.record_change import settings_changed
from execlave_server.actions.services import Services
from execlave_server.errors import ConflictError, NotFoundError
from execlave_server.model.agents import Agent
from execlave_server.model.people import Caller
from execlave_server.store.protocol import Call, NewEvent, Parameters, StaleError, Write, find_one


class IdentityProvider(Struct, frozen=True):
    """A tenant of Microsoft Entra whose identities agents are bound to."""

    id: str
    tenant_id: str
    audience: str
    created_at_us: int


class IdentityBinding(Struct, frozen=True):
    """An agent (by UUID) is this subject at this provider."""

    agent: str
    provider: str
    subject: str
    bound_at_us: int


async def add_provider(services: Services, key: Caller, tenant_id: str, audience: str) -> IdentityProvider:
    """Raises ConflictError when the organization has it already."""
    provider = IdentityProvider(f"idp_{services.clock.uuid().replace('-', '')}", tenant_id, audience, _now(services))
    row: Parameters = {
        "id": provider.id,
        "organization": key.organization,
        "tenant_id": tenant_id,
        "audience": audience,
        "now_us": provider.created_at_us,
    }
    said = {"identityProvider": {"tenantId": tenant_id, "audience": audience}}
    change = settings_changed(key, f"identity-provider:{provider.id}", provider.created_at_us, said)
    try:
        await services.store.commit(Write(charges=[Call("insert_identity_provider", row)], events=[change]))
    except StaleError as error:
        raise ConflictError("This organization has an identity provider of this tenant and audience.") from error
    return provider


async def list_providers(services: Services, key: Caller) -> list[IdentityProvider]:
    """Every provider, the oldest first."""
    wanted = {"organization": key.organization}
    return await services.store.find(IdentityProvider, "list_identity_providers", wanted)


async def remove_provider(services: Services, key: Caller, provider_id: str) -> None:
    """Raises NotFoundError, and ConflictError while an agent is bound to it."""
    place: Parameters = {"organization": key.organization, "id": provider_id}
    await _find_provider(services, key, provider_id)
    change = settings_changed(key, f"identity-provider:{provider_id}", _now(services), {"identityProvider": None})
    try:
        await services.store.commit(Write(charges=[Call("delete_identity_provider", place)], events=[change]))
    except StaleError as error:
        raise ConflictError("Agents are bound to this identity provider. Remove their bindings first.") from error


async def bind_identity(
    services: Services, key: Caller, reference: str, provider_id: str, subject: str
) -> tuple[Agent, IdentityBinding]:
    """Bind an agent, or bind it anew. Raises NotFoundError, and ConflictError when another agent is that subject."""
    agent = await services.agents.find_fresh(key, reference)
    await _find_provider(services, key, provider_id)
    now_us = _now(services)
    row: Parameters = {
        "organization": key.organization,
        "agent": agent.id,
        "provider": provider_id,
        "subject": subject,
        "now_us": now_us,
    }
    charges = [_mark(key, agent, now_us, bound=True), Call("bind_identity", row)]
    change = _change(key, agent, now_us, {"provider": provider_id, "subject": subject})
    try:
        await services.store.commit(Write(charges=charges, events=[change]))
    except StaleError as error:
        raise ConflictError(
            "Another agent is bound to this subject of this provider; one subject is one agent. Remove that binding "
            "first."
        ) from error
    return agent, IdentityBinding(agent.id, provider_id, subject, now_us)


async def find_binding(services: Services, key: Caller, reference: str) -> tuple[Agent, IdentityBinding]:
    """An agent's binding. Raises NotFoundError."""
    agent = await services.agents.find_fresh(key, reference)
    place: Parameters = {"organization": key.organization, "agent": agent.id}
    binding = await find_one(services.store, IdentityBinding, "find_identity_binding", place)
    if binding is None:
        raise NotFoundError(f"The agent {agent.agent_id} is not bound to an identity.")
    return agent, binding


async def unbind_identity(services: Services, key: Caller, reference: str) -> Agent:
    """Remove an agent's binding. Raises NotFoundError."""
    agent, _ = await find_binding(services, key, reference)
    now_us = _now(services)
    place: Parameters = {"organization": key.organization, "agent": agent.id}
    charges = [_mark(key, agent, now_us, bound=False), Call("unbind_identity", place)]
    try:
        await services.store.commit(Write(charges=charges, events=[_change(key, agent, now_us, None)]))
    except StaleError as error:
        raise NotFoundError(f"The agent {agent.agent_id} is not bound to an identity.") from error
    return agent


async def _find_provider(services: Services, key: Caller, provider_id: str) -> IdentityProvider:
    place: Parameters = {"organization": key.organization, "id": provider_id}
    found = await find_one(services.store, IdentityProvider, "find_identity_provider", place)
    if found is None:
        raise NotFoundError(f"There is no identity provider {provider_id!r} in this organization. Add it first.")
    return found


def _mark(key: Caller, agent: Agent, now_us: int, *, bound: bool) -> Call:
    return Call(
        "set_idp_bound",
        {"organization": key.organization, "id": agent.id, "bound": int(bound), "now_us": now_us},
    )


def _change(key: Caller, agent: Agent, now_us: int, bound_to: dict[str, str] | None) -> NewEvent:
    return settings_changed(key, f"agent:{agent.id}", now_us, {"identityBinding": bound_to})


def _now(services: Services) -> int:
    return services.clock.now_us()
