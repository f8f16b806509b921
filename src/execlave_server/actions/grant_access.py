"""What one agent may do with another: grants, and the question whether there is one."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from execlave_server.actions.record_change import settings_changed
from execlave_server.actions.services import Services
from execlave_server.errors import ConflictError, ForbiddenError, NotFoundError
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.organizations import ApiKey
from execlave_server.model.people import Caller
from execlave_server.store.protocol import Call, Parameters, StaleError, Write, find_one

GRANTS_PER_CALLER_MAX = 1_000
AGENTS_DISCOVERED_MAX = 5_000


class GrantedAction(StrEnum):
    """What an agent may be allowed to do with another."""

    EXECUTE = "execute"
    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    INVOKE = "invoke"
    QUERY = "query"
    SUBSCRIBE = "subscribe"
    DELEGATE = "delegate"


class Grant(Struct, frozen=True):
    """`caller` and `callee` are UUIDs; `actions` is JSON; without `expires_at_us` it holds until it is removed."""

    id: str
    caller: str
    callee: str
    caller_agent_id: str
    callee_agent_id: str
    actions: str
    expires_at_us: int | None
    granted_at_us: int

    @property
    def allowed(self) -> list[str]:
        """The actions."""
        return msgspec.json.decode(self.actions, type=list[str])


class Peer(Struct, frozen=True):
    """An agent that another may find. `profile` is what registration said, as JSON."""

    id: str
    agent_id: str
    name: str
    profile: str

    @property
    def capabilities(self) -> list[str]:
        """The actions it declared when it registered."""
        return msgspec.json.decode(self.profile, type=_Declared).allowed_actions or []


class _Declared(Struct, rename="camel"):
    allowed_actions: list[str] | None = None


async def grant_access(
    services: Services,
    key: Caller,
    caller: str,
    *,
    callee: str,
    actions: Sequence[GrantedAction],
    expires_at_us: int | None,
) -> Grant:
    """Let one agent do these with another, in place of what it might before. Raises NotFoundError, ConflictError."""
    calling = await services.agents.find_fresh(key, caller)
    called = await services.agents.find_fresh(key, callee)
    if calling.id == called.id:
        raise ConflictError("An agent needs no grant to call itself.")
    before = await list_grants(services, key, calling.id)
    if len(before) >= GRANTS_PER_CALLER_MAX and all(grant.callee != called.id for grant in before):
        raise ConflictError(f"An agent may hold {GRANTS_PER_CALLER_MAX:,} grants. Remove some first.")
    now_us = services.clock.now_us()
    allowed = msgspec.json.encode(sorted(set(actions))).decode()
    row: Parameters = {
        "id": f"grant_{services.clock.uuid().replace('-', '')}",
        "organization": key.organization,
        "caller": calling.id,
        "callee": called.id,
        "actions": allowed,
        "expires_at_us": expires_at_us,
        "now_us": now_us,
    }
    said = {"grant": {"callee": called.id, "actions": sorted(set(actions)), "expiresAtUs": expires_at_us}}
    change = settings_changed(key, f"agent:{calling.id}", now_us, said)
    written = await services.store.commit(Write(calls=[Call("put_grant", row)], events=[change]))
    return Grant(
        id=str(written.rows[0][0][0]),
        caller=calling.id,
        callee=called.id,
        caller_agent_id=calling.agent_id,
        callee_agent_id=called.agent_id,
        actions=allowed,
        expires_at_us=expires_at_us,
        granted_at_us=now_us,
    )


async def list_grants(services: Services, key: Caller, caller: str) -> list[Grant]:
    """What an agent may do with others, expired grants included. Raises NotFoundError."""
    calling = await services.agents.find_fresh(key, caller)
    return await services.store.find(Grant, "grants_of", {"organization": key.organization, "caller": calling.id})


async def remove_grant(services: Services, key: Caller, caller: str, grant: str) -> None:
    """From its commit on the caller is denied. Raises NotFoundError."""
    calling = await services.agents.find_fresh(key, caller)
    place: Parameters = {"organization": key.organization, "caller": calling.id, "id": grant}
    change = settings_changed(key, f"agent:{calling.id}", services.clock.now_us(), {"grantRemoved": grant})
    try:
        await services.store.commit(Write(charges=[Call("delete_grant", place)], events=[change]))
    except StaleError as error:
        raise NotFoundError(f"The agent {calling.agent_id} has no grant {grant!r}.") from error


async def authorize_call(services: Services, key: ApiKey, caller: str, callee: str, action: str) -> Grant:
    """The grant under which one agent may do this with another now. Raises ForbiddenError where there is none."""
    calling, called = await _agent(services, key, caller), await _agent(services, key, callee)
    place: Parameters = {"organization": key.organization, "caller": calling.id, "callee": called.id}
    grant = await find_one(services.store, Grant, "find_grant", place)
    if grant is None or action not in grant.allowed:
        raise ForbiddenError(f"{calling.agent_id} has no grant to {action!r} {called.agent_id}.")
    if grant.expires_at_us is not None and services.clock.now_us() >= grant.expires_at_us:
        raise ForbiddenError(f"The grant of {calling.agent_id} to {action!r} {called.agent_id} has expired.")
    return grant


async def discover_agents(services: Services, key: Caller, capability: str | None) -> list[Peer]:
    """The active agents of the organization, with those that declared a capability where one is asked for."""
    wanted: Parameters = {"organization": key.organization, "limit": AGENTS_DISCOVERED_MAX}
    peers = await services.store.find(Peer, "discover_agents", wanted)
    return [peer for peer in peers if capability is None or capability in peer.capabilities]


async def _agent(services: Services, key: ApiKey, reference: str) -> Agent:
    """An agent that may take part in a call; one not known, or one that may not act, is denied as without a grant."""
    named = await services.agents.named(key, [reference], fresh=True)
    agent = resolve_agent(named[reference], reference, key.environment.agent_environment)
    if agent is None:
        raise ForbiddenError(f"There is no agent {reference!r} in this organization, so it has no grants.")
    if agent.status.stops_actions:
        raise ForbiddenError(f"The agent {agent.agent_id} is {agent.status}: it neither calls nor is called.")
    return agent
