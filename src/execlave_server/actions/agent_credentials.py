"""An agent's proof of itself: `exe_agt_` and a short-lived token, issued to it and verified on the traces it stamps."""

import asyncio
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from execlave_server.actions.credential_memory import AgentClaims, Claims
from execlave_server.actions.services import Services
from execlave_server.actions.signing_key import BadTokenError, SigningKey, TokenKind, signing_key
from execlave_server.errors import ConflictError
from execlave_server.model.agents import Agent, CredentialMark
from execlave_server.model.organizations import ApiKey
from execlave_server.model.secret import Secret

PREFIX = "exe_agt_"
LIFETIME_S = 900
LEEWAY_S = 60  # the SDK stamps when it sends; a batch that is retried may be a little late


class IssuedCredential(Struct, frozen=True):
    """A new credential, which is kept nowhere."""

    credential: Secret
    expires_at_us: int
    kid: str


async def issue_credential(services: Services, key: ApiKey, reference: str) -> IssuedCredential:
    """A credential for an agent. Raises NotFoundError, and ConflictError for one that may not act."""
    agent = await services.agents.find_fresh(key, reference)
    if agent.status.stops_actions:
        raise ConflictError(f"The agent {agent.agent_id} is {agent.status}: it gets no credential until it may act.")
    signing = await signing_key(services)
    now_s = services.clock.now_us() // 1_000_000
    claims = {
        "iss": "execlave-server",
        "sub": agent.id,
        "org": key.organization_id,
        "agent_id": agent.agent_id,
        "environment": agent.environment,
        "iat": now_s,
        "exp": now_s + LIFETIME_S,
        "jti": services.clock.uuid(),
    }
    token = Secret(PREFIX + signing.sign(TokenKind.AGENT_CREDENTIAL, claims))
    return IssuedCredential(token, (now_s + LIFETIME_S) * 1_000_000, signing.kid)


async def read_credentials(services: Services, credentials: Iterable[object]) -> Claims:
    """What the credentials of a request say, each read once; off the event loop, since a signature costs 0.2 ms."""
    texts = {each for each in credentials if isinstance(each, str)}
    if not texts:
        return {}
    known = services.credentials.known(texts)
    unknown = texts - known.keys()
    if unknown:
        read = await asyncio.to_thread(_read_all, await signing_key(services), unknown)
        services.credentials.keep(read)
        known |= read
    return known


def mark_credential(
    claims: AgentClaims | None, agent: Agent | None, organization_id: str, now_us: int
) -> CredentialMark:
    """What a credential is worth on a trace of this agent, received now."""
    if claims is None or claims.org != organization_id:
        return CredentialMark.INVALID
    if agent is None or claims.sub != agent.id:
        return CredentialMark.OTHER_AGENT
    if now_us >= (claims.exp + LEEWAY_S) * 1_000_000:
        return CredentialMark.EXPIRED
    return CredentialMark.VERIFIED


def _read_all(key: SigningKey, credentials: Iterable[str]) -> dict[str, AgentClaims | None]:
    return {text: _read(key, text) for text in credentials}


def _read(key: SigningKey, credential: str) -> AgentClaims | None:
    if not credential.startswith(PREFIX):
        return None
    try:
        return msgspec.convert(key.read(TokenKind.AGENT_CREDENTIAL, credential.removeprefix(PREFIX)), AgentClaims)
    except (BadTokenError, msgspec.ValidationError):
        return None
