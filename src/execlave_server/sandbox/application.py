from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from execlave_server.clock import Clock
from execlave_server.sandbox import control, control_platform
from execlave_server.sandbox.accepted_keys import AcceptedKeys
from execlave_server.sandbox.answer_errors import answer_errors
from execlave_server.sandbox.api_endpoints import API
from execlave_server.sandbox.api_requests import with_both_keys
from execlave_server.sandbox.apply_faults import apply_faults
from execlave_server.sandbox.configure_metrics import show_points
from execlave_server.sandbox.count_answers import count_answers
from execlave_server.sandbox.faults import INTAKE_PATH
from execlave_server.sandbox.limits import WIRE_BYTES_MAX
from execlave_server.sandbox.monitors.evaluate_monitors import keep_evaluating
from execlave_server.sandbox.moving_clock import MovingClock
from execlave_server.sandbox.pages import views as pages
from execlave_server.sandbox.receive_logs import receive_logs
from execlave_server.sandbox.state import STATE, SandboxState
from execlave_server.sandbox.validate_key import validate_key_v1, validate_key_v2


class Endpoint(NamedTuple):
    """One line of the sandbox's index, and what answers there."""

    method: str
    path: str
    handler: Handler
    summary: str


async def show_index(request: web.Request) -> web.Response:
    """`GET /`: what there is, as text; a browser is sent to the logs."""
    if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        raise web.HTTPSeeOther("/logs")
    lines = [f"{endpoint.method:<7}{endpoint.path:<46}{endpoint.summary}" for endpoint in ENDPOINTS]
    return web.Response(text="A local stand-in for Datadog Log Management.\n\n" + "\n".join(lines) + "\n")


ENDPOINTS = (
    Endpoint("GET", "/", show_index, "this page"),
    Endpoint("POST", INTAKE_PATH, receive_logs, "Datadog's log intake; needs DD-API-KEY"),
    Endpoint("GET", "/api/v1/validate", validate_key_v1, "Datadog's check of an API key"),
    Endpoint("GET", "/api/v2/validate", validate_key_v2, "the same, newer"),
    *(Endpoint(method, path, with_both_keys(handler), summary) for method, path, handler, summary in API),
    Endpoint("GET", "/sandbox/logs", control.list_logs, "logs in arrival order: ?after=0&limit=1000"),
    Endpoint("DELETE", "/sandbox/logs", control.forget_logs, "forget the logs and the stats"),
    Endpoint("GET", "/sandbox/stats", control.show_stats, "what arrived, and what became of it"),
    Endpoint("GET", "/sandbox/faults", control.show_faults, "the fault rules with times left"),
    Endpoint("POST", "/sandbox/faults", control.plan_faults, 'replace the fault rules: {"rules": [{"status": 503}]}'),
    Endpoint("PUT", "/sandbox/keys", control.replace_keys, 'replace the valid API keys: {"keys": ["..."]}'),
    Endpoint("GET", "/sandbox/clock", control_platform.show_clock, "the sandbox's time"),
    Endpoint("POST", "/sandbox/clock", control_platform.move_clock_forward, 'set it forward: {"advance_s": 900}'),
    Endpoint("POST", "/sandbox/evaluate", control_platform.evaluate_now, "evaluate every monitor now"),
    Endpoint("GET", "/sandbox/history", control_platform.show_history, "what the monitors told, oldest first"),
    Endpoint("GET", "/sandbox/settings", control_platform.show_settings, "webhook and indexing delay"),
    Endpoint("PUT", "/sandbox/settings", control_platform.change_settings, "change them"),
    Endpoint("GET", "/sandbox/metrics/{id}", show_points, "what a log metric counted"),
    Endpoint("GET", "/logs", pages.show_logs, "page: the log explorer"),
    Endpoint("GET", "/monitors", pages.show_monitors, "page: the monitors"),
    Endpoint("GET", "/monitors/{id}", pages.show_monitor_page, "page: one monitor, its groups and its history"),
    Endpoint("GET", "/about", pages.show_differences, "page: where this differs from Datadog"),
    Endpoint("GET", "/static/sandbox.css", pages.show_style, "the pages' style"),
)


def create_app(keys: Iterable[str], clock: Clock, application_keys: Iterable[str] = ()) -> web.Application:
    """The sandbox. Its runner must be told `auto_decompress=False` and `handler_cancellation=True`; see serve.py.

    Without application keys any application key is taken.
    """
    app = web.Application(middlewares=[count_answers, answer_errors, apply_faults], client_max_size=WIRE_BYTES_MAX)
    state = SandboxState(
        clock=MovingClock(clock),
        keys=AcceptedKeys(keys),
        application_keys=AcceptedKeys(application_keys),
        org_id=clock.uuid(),
    )
    app[STATE] = state
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, endpoint.handler)
    app.cleanup_ctx.append(hold_spool)
    app.cleanup_ctx.append(keep_evaluating)
    return app


async def hold_spool(app: web.Application) -> AsyncIterator[None]:
    """Close spool and index once no request can use it."""
    yield
    app[STATE].close()
