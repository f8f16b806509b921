"""The one route table, and the ASGI application made from it."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from execlave_server.actions.services import Services
from execlave_server.api import admin, deliveries, policies, sdk
from execlave_server.api.codec import SDK_BODY_BYTES_MAX, answer, refuse
from execlave_server.api.enforce import answer_enforce
from execlave_server.api.exchange import Access, Route, answer_exchange
from execlave_server.api.metrics import answer_metrics
from execlave_server.errors import NotFoundError, UnavailableError
from execlave_server.model.secret import Secret

ENFORCE_PATH = "/policies/enforce"  # answers by rules of its own, see `api.enforce`

ROUTES = (
    Route("GET", "/agents", Access.AGENT, sdk.get_agents),
    Route("POST", "/agents", Access.AGENT, sdk.post_agent),
    Route("GET", "/agents/{agent:path}/status-poll", Access.AGENT, sdk.get_status),
    Route("POST", "/agents/{agent:path}/heartbeat", Access.AGENT, sdk.post_heartbeat),
    Route("PATCH", "/agents/{agent:path}/pause", Access.ADMIN, admin.pause_agent),
    Route("PATCH", "/agents/{agent:path}/resume", Access.ADMIN, admin.resume_agent),
    Route("GET", "/agents/{agent:path}", Access.AGENT, sdk.get_agent),  # after those that end in more
    Route("POST", "/traces/ingest", Access.AGENT, sdk.post_traces, SDK_BODY_BYTES_MAX),
    Route("GET", "/policies", Access.ADMIN, policies.get_policies),
    Route("POST", "/policies", Access.ADMIN, policies.post_policy),
    Route("GET", "/policies/{id}", Access.ADMIN, policies.get_one_policy),
    Route("PUT", "/policies/{id}", Access.ADMIN, policies.put_policy),
    Route("DELETE", "/policies/{id}", Access.ADMIN, policies.delete_one_policy),
    Route("GET", "/policies/{id}/versions", Access.ADMIN, policies.get_policy_versions),
    Route("GET", "/integrations", Access.ADMIN, admin.get_integrations),
    Route("POST", "/integrations", Access.ADMIN, admin.post_integration),
    Route("GET", "/integrations/{id}", Access.ADMIN, admin.get_integration),
    Route("PATCH", "/integrations/{id}", Access.ADMIN, admin.patch_integration),
    Route("POST", "/integrations/{id}/test", Access.ADMIN, admin.post_integration_test),
    Route("POST", "/integrations/{id}/enable", Access.ADMIN, admin.post_integration_enable),
    Route("POST", "/integrations/{id}/disable", Access.ADMIN, admin.post_integration_disable),
    Route("GET", "/traces/{trace:path}/deliveries", Access.ADMIN, deliveries.get_trace_deliveries),
    Route("GET", "/deliveries", Access.ADMIN, deliveries.get_deliveries),
    Route("GET", "/deliveries/parked", Access.ADMIN, admin.get_parked),
    Route("POST", "/deliveries/requeue", Access.ADMIN, admin.post_requeue),
    Route("POST", "/deliveries/backfill", Access.ADMIN, deliveries.post_backfill),
    Route("POST", "/deliveries/replay", Access.ADMIN, deliveries.post_replay),
)
UNPREFIXED = (Route("GET", "/health", Access.ANYONE, sdk.get_health),)
PREFIXES = ("/api/v1", "/api")  # the SDK uses either, by its `api_version`

Endpoint = Callable[[Request], Awaitable[Response]]


def create_api(services: Services) -> Starlette:
    """The application: every route under both prefixes, no redirects (they would turn a POST into a GET)."""
    elapsed_us = services.clock.elapsed_us
    enforce_meter = services.metrics.route("POST", ENFORCE_PATH)
    token = Secret(services.settings.metrics_token)

    def endpoint(route: Route) -> Endpoint:
        meter = services.metrics.route(route.method, route.path)

        async def answer_route(request: Request) -> Response:
            started_us = elapsed_us()
            response = await answer_exchange(services, route, request)
            meter.answered(response.status_code, elapsed_us() - started_us)
            return response

        return answer_route

    async def enforce(request: Request) -> Response:
        started_us = elapsed_us()
        response = await answer_enforce(services, request)
        took_us = elapsed_us() - started_us
        response.headers["Server-Timing"] = f"enforce;dur={took_us / 1_000:.3f}"
        enforce_meter.answered(response.status_code, took_us)
        return response

    async def ready(_request: Request) -> Response:
        return await _answer_ready(services)

    async def metrics(request: Request) -> Response:
        return await answer_metrics(services, token, request)

    routes = [StarletteRoute(route.path, endpoint(route), methods=[route.method]) for route in UNPREFIXED]
    routes.append(StarletteRoute("/ready", ready, methods=["GET"]))
    routes.append(StarletteRoute("/metrics", metrics, methods=["GET"]))
    for prefix in PREFIXES:
        routes.append(StarletteRoute(prefix + ENFORCE_PATH, enforce, methods=["POST"]))
        routes += [StarletteRoute(prefix + route.path, endpoint(route), methods=[route.method]) for route in ROUTES]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _answer_http_error})
    app.router.redirect_slashes = False
    return app


async def _answer_ready(services: Services) -> Response:
    """Whether this process can read its store."""
    try:
        await services.store.rows("newest_trace")
    except UnavailableError as error:
        return refuse(error)
    return answer({"status": "ready"})


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:  # noqa: PLR2004 - HTTP Not Found
        return refuse(NotFoundError(f"There is no {request.method} {request.url.path} here."))
    message = f"{request.method} is not a method of {request.url.path}."
    response = answer({"error": {"code": "METHOD_NOT_ALLOWED", "message": message}}, error.status_code)
    response.headers.update(error.headers or {})  # `Allow` names the methods there are
    return response
