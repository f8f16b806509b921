"""One request on its way through a route: who calls, what was sent, and how a refusal is answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from execlave_server.actions.identify_caller import refuse_revoked, verify_signature
from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import SESSION_PATTERN, identify_person
from execlave_server.api.codec import BODY_BYTES_MAX, read_body, refuse
from execlave_server.errors import ExeclaveServerError, ForbiddenError
from execlave_server.model.organizations import ApiKey, Role
from execlave_server.model.people import Caller, Person
from execlave_server.model.permissions import Permission, require

log = structlog.get_logger()


class Access(Enum):
    """Who may call a route: any key, admin keys only, or people only.

    A person may also call what a key may, where the route names a permission and his role has it.
    """

    ANYONE = "anyone"
    AGENT = "agent"
    ADMIN = "admin"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a handler is given. `sender` is the key or the person; a route open to anyone may have none."""

    services: Services
    request: Request
    presented: str
    body: bytes
    sender: Caller | None

    @property
    def caller(self) -> Caller:
        """Who calls, on a route that is not open to anyone."""
        assert self.sender is not None
        return self.sender

    @property
    def key(self) -> ApiKey:
        """The caller's key, on a route that people may not call."""
        assert isinstance(self.sender, ApiKey)
        return self.sender

    @property
    def person(self) -> Person:
        """The caller, on a route for people only."""
        assert isinstance(self.sender, Person)
        return self.sender

    @property
    def address(self) -> str:
        """The network address that the request came from."""
        return self.request.client.host if self.request.client else ""

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
    permission: Permission | None = None
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
    if presented is not None and SESSION_PATTERN.fullmatch(presented):
        sender: Caller = await identify_person(services, presented)
    else:
        sender = await services.keys.identify(presented)
        refuse_revoked(sender)
    check_signature(services, request, presented or "", body)
    authorize(route, sender)
    return Exchange(services, request, presented or "", body, sender)


def authorize(route: Route, sender: Caller) -> None:
    """Raise ForbiddenError unless this route is for who calls it."""
    if route.access is Access.ANYONE:
        return
    if isinstance(sender, Person):
        if route.permission is not None:
            require(sender, route.permission)
        elif route.access is not Access.PERSON:
            raise ForbiddenError("This is for API keys, not for people. Send one instead of the session token.")
    elif route.access is Access.PERSON:
        raise ForbiddenError("This is for a signed-in person, never for an API key. Sign in: POST /api/v1/auth/login")
    elif route.access is Access.ADMIN and sender.role is not Role.ADMIN:
        raise ForbiddenError("This needs an admin API key; the one presented has the role agent.")
