"""One request on its way through a route: who calls, what was sent, and how a refusal is answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from execlave_server.actions.identify_caller import refuse_revoked, verify_signature
from execlave_server.actions.services import Services
from execlave_server.api.codec import BODY_BYTES_MAX, read_body, refuse
from execlave_server.audit.changes import key_actor
from execlave_server.errors import ExeclaveServerError, ForbiddenError
from execlave_server.model.organizations import ApiKey, Role

log = structlog.get_logger()


class Access(Enum):
    """Who may call a route."""

    ANYONE = "anyone"
    AGENT = "agent"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a handler is given. `key` is the caller's; a route open to anyone has none."""

    services: Services
    request: Request
    presented: str
    body: bytes
    key: ApiKey | None

    @property
    def caller(self) -> ApiKey:
        """The caller's key, on a route that requires one."""
        assert self.key is not None
        return self.key

    @property
    def actor(self) -> str:
        """Who calls, as the audit chain names it."""
        return key_actor(self.caller.id)

    def path(self, name: str) -> str:
        """A part of the path."""
        value: str = self.request.path_params[name]
        return value


Handler = Callable[[Exchange], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One line of the route table."""

    method: str
    path: str
    access: Access
    handler: Handler
    body_bytes_max: int = BODY_BYTES_MAX


def presented_key(request: Request) -> str | None:
    """The API key a request presents, in either of the two headers."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("x-api-key")


def check_signature(services: Services, request: Request, presented: str, body: bytes) -> None:
    """Verify a request's optional signature over its raw body. Raises BadSignatureError."""
    timestamp, signature = (request.headers.get(f"x-execlave-{name}") for name in ("timestamp", "signature"))
    verify_signature(presented, timestamp, signature, body, services.clock.now_us())


async def answer_exchange(services: Services, route: Route, request: Request) -> Response:
    """Authenticate, authorize, handle; every failure becomes the one shape of an error."""
    try:
        body = await read_body(request, route.body_bytes_max)
        exchange = await _admit(services, route, request, body)
        return await route.handler(exchange)
    except ExeclaveServerError as error:
        return refuse(error)
    except ClientDisconnect:
        raise
    except Exception as error:
        log.exception("api.unexpected_error", route=route.path, error=str(error))
        return refuse(ExeclaveServerError("Something unexpected went wrong here; the server's log has the cause."))


async def _admit(services: Services, route: Route, request: Request, body: bytes) -> Exchange:
    presented = presented_key(request)
    if route.access is Access.ANYONE and presented is None:
        return Exchange(services, request, "", body, None)
    key = await services.keys.identify(presented)
    refuse_revoked(key)
    check_signature(services, request, presented or "", body)
    if route.access is Access.ADMIN and key.role is not Role.ADMIN:
        raise ForbiddenError("This needs an admin API key; the one presented has the role agent.")
    return Exchange(services, request, presented or "", body, key)
