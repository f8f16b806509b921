"""The one route table, and the ASGI application made from it."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from execlave_server.actions.services import Services
from execlave_server.api import (
    access,
    admin,
    agents,
    approvals,
    audit,
    budgets,
    deliveries,
    incidents,
    people,
    policies,
    resolutions,
    sdk,
    traces,
)
from execlave_server.api.bypass_reports import post_bypass_windows
from execlave_server.api.codec import SDK_BODY_BYTES_MAX, answer, refuse
from execlave_server.api.enforce import answer_enforce
from execlave_server.api.exchange import Access, Route, answer_exchange
from execlave_server.api.metrics import answer_metrics
from execlave_server.api.search import get_search
from execlave_server.errors import NotFoundError, UnavailableError
from execlave_server.model.permissions import Permission
from execlave_server.model.secret import Secret

ENFORCE_PATH = "/policies/enforce"  # answers by rules of its own, see `api.enforce`

ROUTES = (
    Route("GET", "/agents", Access.AGENT, sdk.get_agents, Permission.AGENTS_READ),
    Route("POST", "/agents", Access.AGENT, sdk.post_agent),
    Route("POST", "/agents/authorize", Access.AGENT, access.post_authorize),
    Route("GET", "/agents/discover", Access.AGENT, access.get_discovered),
    Route("GET", "/agents/{agent:path}/status-poll", Access.AGENT, sdk.get_status),
    Route("POST", "/agents/{agent:path}/heartbeat", Access.AGENT, sdk.post_heartbeat),
    Route("PATCH", "/agents/{agent:path}/pause", Access.ADMIN, admin.pause_agent, Permission.AGENTS_CONTROL),
    Route("PATCH", "/agents/{agent:path}/resume", Access.ADMIN, admin.resume_agent, Permission.AGENTS_CONTROL),
    Route("POST", "/agents/{agent:path}/credential", Access.AGENT, agents.post_credential),
    Route("GET", "/agents/{agent:path}/versions", Access.AGENT, agents.get_versions),
    Route("POST", "/agents/{agent:path}/versions", Access.AGENT, agents.post_version),
    Route("GET", "/agents/{agent:path}/grants", Access.ADMIN, access.get_grants, Permission.AGENTS_READ),
    Route("POST", "/agents/{agent:path}/grants", Access.ADMIN, access.post_grant, Permission.AGENTS_CONTROL),
    Route(
        "DELETE", "/agents/{agent:path}/grants/{grant}", Access.ADMIN, access.delete_grant, Permission.AGENTS_CONTROL
    ),
    Route("GET", "/agents/{agent:path}/identity-binding", Access.ADMIN, access.get_binding, Permission.AGENTS_READ),
    Route("PUT", "/agents/{agent:path}/identity-binding", Access.ADMIN, access.put_binding, Permission.AGENTS_CONTROL),
    Route(
        "DELETE",
        "/agents/{agent:path}/identity-binding",
        Access.ADMIN,
        access.delete_binding,
        Permission.AGENTS_CONTROL,
    ),
    Route("PATCH", "/agents/{agent:path}", Access.ADMIN, agents.patch_agent, Permission.AGENTS_CONTROL),
    Route(
        "GET", "/agents/{agent:path}", Access.AGENT, sdk.get_agent, Permission.AGENTS_READ
    ),  # after those that end in more
    Route("POST", "/traces/ingest", Access.AGENT, sdk.post_traces, body_bytes_max=SDK_BODY_BYTES_MAX),
    Route("GET", "/traces/search", Access.ADMIN, get_search, Permission.TRACES_READ),
    Route("GET", "/identity-providers", Access.ADMIN, access.get_providers, Permission.AGENTS_READ),
    Route("POST", "/identity-providers", Access.ADMIN, access.post_provider, Permission.AGENTS_CONTROL),
    Route("DELETE", "/identity-providers/{id}", Access.ADMIN, access.delete_provider, Permission.AGENTS_CONTROL),
    Route("GET", "/tool-integrity/agents/{agent:path}/baseline", Access.AGENT, agents.get_baseline),
    Route("POST", "/tool-integrity/agents/{agent:path}/baseline", Access.AGENT, agents.post_baseline),
    Route("POST", "/sdk/bypass-windows", Access.AGENT, post_bypass_windows),
    Route("GET", "/billing/usage", Access.AGENT, resolutions.get_usage),
    Route("GET", "/traces/{trace:path}/resolutions", Access.AGENT, resolutions.get_resolutions),
    Route("POST", "/traces/{trace:path}/resolutions", Access.AGENT, resolutions.post_resolution),
    Route("POST", "/auth/login", Access.ANYONE, people.post_login),
    Route("POST", "/auth/logout", Access.PERSON, people.post_logout),
    Route("GET", "/auth/me", Access.PERSON, people.get_me),
    Route("GET", "/approvals", Access.ADMIN, approvals.get_approvals, Permission.APPROVALS_READ),
    # Any answer but 200 ends the SDK's waiting with an error, so this one is never rate-limited.
    Route("GET", "/approvals/{id}", Access.AGENT, approvals.get_approval_status, Permission.APPROVALS_READ),
    Route("POST", "/approvals/{id}/verify", Access.AGENT, approvals.post_verify, body_bytes_max=SDK_BODY_BYTES_MAX),
    Route("POST", "/approvals/{id}/grant", Access.PERSON, approvals.post_grant, Permission.APPROVALS_DECIDE),
    Route("POST", "/approvals/{id}/deny", Access.PERSON, approvals.post_deny, Permission.APPROVALS_DECIDE),
    Route("GET", "/policies", Access.ADMIN, policies.get_policies, Permission.POLICIES_READ),
    Route("POST", "/policies", Access.ADMIN, policies.post_policy, Permission.POLICIES_EDIT),
    Route("GET", "/policies/{id}", Access.ADMIN, policies.get_one_policy, Permission.POLICIES_READ),
    Route("PUT", "/policies/{id}", Access.ADMIN, policies.put_policy, Permission.POLICIES_EDIT),
    Route("PATCH", "/policies/{id}", Access.ADMIN, policies.patch_one_policy, Permission.POLICIES_EDIT),
    Route("DELETE", "/policies/{id}", Access.ADMIN, policies.delete_one_policy, Permission.POLICIES_EDIT),
    Route("GET", "/policies/{id}/versions", Access.ADMIN, policies.get_policy_versions, Permission.POLICIES_READ),
    Route("GET", "/policies/{id}/shadow", Access.ADMIN, policies.get_policy_shadow, Permission.POLICIES_READ),
    Route("GET", "/cost-budget-rules", Access.ADMIN, budgets.get_budgets, Permission.BUDGETS_READ),
    Route("POST", "/cost-budget-rules", Access.ADMIN, budgets.post_budget, Permission.BUDGETS_EDIT),
    Route("GET", "/cost-budget-rules/{id}", Access.ADMIN, budgets.get_one_budget, Permission.BUDGETS_READ),
    Route("PUT", "/cost-budget-rules/{id}", Access.ADMIN, budgets.put_budget, Permission.BUDGETS_EDIT),
    Route("DELETE", "/cost-budget-rules/{id}", Access.ADMIN, budgets.delete_one_budget, Permission.BUDGETS_EDIT),
    Route("GET", "/cost-budget-rules/{id}/usage", Access.ADMIN, budgets.get_budget_usage, Permission.BUDGETS_READ),
    Route("GET", "/integrations", Access.ADMIN, admin.get_integrations, Permission.DESTINATIONS_READ),
    Route("POST", "/integrations", Access.ADMIN, admin.post_integration, Permission.DESTINATIONS_EDIT),
    Route("GET", "/integrations/{id}", Access.ADMIN, admin.get_integration, Permission.DESTINATIONS_READ),
    Route("PATCH", "/integrations/{id}", Access.ADMIN, admin.patch_integration, Permission.DESTINATIONS_EDIT),
    Route("POST", "/integrations/{id}/test", Access.ADMIN, admin.post_integration_test, Permission.DESTINATIONS_EDIT),
    Route(
        "POST", "/integrations/{id}/enable", Access.ADMIN, admin.post_integration_enable, Permission.DESTINATIONS_EDIT
    ),
    Route(
        "POST", "/integrations/{id}/disable", Access.ADMIN, admin.post_integration_disable, Permission.DESTINATIONS_EDIT
    ),
    Route(
        "GET", "/traces/{trace:path}/deliveries", Access.ADMIN, deliveries.get_trace_deliveries, Permission.TRACES_READ
    ),
    Route("GET", "/deliveries", Access.ADMIN, deliveries.get_deliveries, Permission.DELIVERIES_READ),
    Route("GET", "/deliveries/parked", Access.ADMIN, admin.get_parked, Permission.DELIVERIES_READ),
    Route("POST", "/deliveries/requeue", Access.ADMIN, admin.post_requeue, Permission.DELIVERIES_REQUEUE),
    Route("POST", "/deliveries/backfill", Access.ADMIN, deliveries.post_backfill, Permission.DELIVERIES_REQUEUE),
    Route("POST", "/deliveries/replay", Access.ADMIN, deliveries.post_replay, Permission.DELIVERIES_REQUEUE),
    Route("GET", "/audit", Access.ADMIN, audit.get_audit, Permission.AUDIT_READ),
    Route("GET", "/traces/{trace:path}/evidence", Access.ADMIN, audit.get_evidence, Permission.AUDIT_READ),
    Route("GET", "/traces", Access.ADMIN, traces.get_traces, Permission.TRACES_READ),
    Route("GET", "/traces/{trace:path}", Access.ADMIN, traces.get_trace, Permission.TRACES_READ),  # after those in it
    Route("GET", "/incidents", Access.ADMIN, incidents.get_incidents, Permission.INCIDENTS_READ),
    Route("POST", "/incidents", Access.ADMIN, incidents.post_incident, Permission.INCIDENTS_EDIT),
    Route("GET", "/incidents/{id}", Access.ADMIN, incidents.get_incident, Permission.INCIDENTS_READ),
    Route("GET", "/incidents/{id}/evidence", Access.ADMIN, incidents.get_incident_evidence, Permission.AUDIT_READ),
    Route("POST", "/incidents/{id}/acknowledge", Access.ADMIN, incidents.post_acknowledge, Permission.INCIDENTS_EDIT),
    Route("POST", "/incidents/{id}/assign", Access.ADMIN, incidents.post_assign, Permission.INCIDENTS_EDIT),
    Route("POST", "/incidents/{id}/comment", Access.ADMIN, incidents.post_comment, Permission.INCIDENTS_EDIT),
    Route("POST", "/incidents/{id}/contain", Access.ADMIN, incidents.post_contain, Permission.INCIDENTS_EDIT),
    Route("POST", "/incidents/{id}/resolve", Access.ADMIN, incidents.post_resolve, Permission.INCIDENTS_EDIT),
    Route("POST", "/incidents/{id}/reopen", Access.ADMIN, incidents.post_reopen, Permission.INCIDENTS_EDIT),
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
