"""The one page route table, and the ASGI application made from it."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from execlave_server.actions.services import Services
from execlave_server.web.account import pages as account
from execlave_server.web.agents import pages as agents
from execlave_server.web.answer import PageServer
from execlave_server.web.approvals import pages as approvals
from execlave_server.web.audit import pages as audit
from execlave_server.web.budgets import pages as budgets
from execlave_server.web.exchange import PageRoute
from execlave_server.web.incidents import pages as incidents
from execlave_server.web.integrations import pages as integrations
from execlave_server.web.live import LivePages, Topic
from execlave_server.web.overview import pages as overview
from execlave_server.web.policies import pages as policies
from execlave_server.web.settings import pages as settings
from execlave_server.web.static_files import STATIC_PREFIX, answer_static
from execlave_server.web.traces import pages as traces

ROUTES: tuple[PageRoute, ...] = (
    *account.ROUTES,
    *overview.ROUTES,
    *traces.ROUTES,
    *incidents.ROUTES,
    *agents.ROUTES,
    *policies.ROUTES,
    *approvals.ROUTES,
    *budgets.ROUTES,
    *audit.ROUTES,
    *settings.ROUTES,
    *integrations.ROUTES,
)
TOPICS: tuple[Topic, ...] = (
    *overview.TOPICS,
    *traces.TOPICS,
    *incidents.TOPICS,
    *approvals.TOPICS,
    *audit.TOPICS,
    *settings.TOPICS,
    *integrations.TOPICS,
)


def create_pages(services: Services, live: LivePages | None = None) -> Starlette:
    """The application of the pages. `live` bounds the streams of this process and can end them all."""
    server = PageServer(services, ROUTES)
    streams = live or LivePages()
    routes = [Route(f"{STATIC_PREFIX}{{name}}", answer_static, methods=["GET"])]
    routes += [Route(each.path, server.endpoint(each), methods=[each.method]) for each in ROUTES]
    routes += [Route(f"/live/{each.name}", streams.endpoint(server, each), methods=["GET"]) for each in TOPICS]

    async def answer_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await server.answer_unknown(request, error.status_code)

    app = Starlette(routes=routes, exception_handlers={HTTPException: answer_http_error})
    app.router.redirect_slashes = False
    return app
