"""One ASGI application of API and pages: a path that begins as one of the API's goes there, all else is a page."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from starlette.routing import Route

from execlave_server.actions.services import Services
from execlave_server.api.routes import create_api
from execlave_server.web.live import LivePages
from execlave_server.web.routes import create_pages

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_application(services: Services, live: LivePages) -> App:
    """Everything this server answers over HTTP but the control channel."""
    api, pages = create_api(services), create_pages(services, live)
    roots = {_root(route.path) for route in api.routes if isinstance(route, Route)}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await (api if _root(scope["path"]) in roots else pages)(scope, receive, send)

    return application


def _root(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""
