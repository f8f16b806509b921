from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from execlave_server.clock import Clock
from execlave_server.sandbox import control
from execlave_server.sandbox.accepted_keys import AcceptedKeys
from execlave_server.sandbox.answer_errors import answer_errors
from execlave_server.sandbox.apply_faults import apply_faults
from execlave_server.sandbox.count_answers import count_answers
from execlave_server.sandbox.faults import INTAKE_PATH
from execlave_server.sandbox.limits import WIRE_BYTES_MAX
from execlave_server.sandbox.receive_logs import receive_logs
from execlave_server.sandbox.state import STATE, SandboxState
from execlave_server.sandbox.validate_key import validate_key_v1, validate_key_v2


class Endpoint(NamedTuple):
    """One line of the sandbox's index, and what answers there."""

    method: str
    path: str
    handler: Handler
    summary: str


async def show_index(_request: web.Request) -> web.Response:
    """`GET /`: what there is, as text."""
    lines = [f"{endpoint.method:<7}{endpoint.path:<19}{endpoint.summary}" for endpoint in ENDPOINTS]
    return web.Response(text="A local stand-in for Datadog Log Management.\n\n" + "\n".join(lines) + "\n")


ENDPOINTS = (
    Endpoint("GET", "/", show_index, "this page"),
    Endpoint("POST", INTAKE_PATH, receive_logs, "Datadog's log intake; needs DD-API-KEY"),
    Endpoint("GET", "/api/v1/validate", validate_key_v1, "Datadog's check of an API key"),
    Endpoint("GET", "/api/v2/validate", validate_key_v2, "the same, newer"),
    Endpoint("GET", "/sandbox/logs", control.list_logs, "logs in arrival order: ?after=0&limit=1000"),
    Endpoint("DELETE", "/sandbox/logs", control.forget_logs, "forget the logs and the stats"),
    Endpoint("GET", "/sandbox/stats", control.show_stats, "what arrived, and what became of it"),
    Endpoint("GET", "/sandbox/faults", control.show_faults, "the fault rules with times left"),
    Endpoint("POST", "/sandbox/faults", control.plan_faults, 'replace the fault rules: {"rules": [{"status": 503}]}'),
    Endpoint("PUT", "/sandbox/keys", control.replace_keys, 'replace the valid API keys: {"keys": ["..."]}'),
)


def create_app(keys: Iterable[str], clock: Clock) -> web.Application:
    """The sandbox. Its runner must be told `auto_decompress=False` and `handler_cancellation=True`; see serve.py."""
    app = web.Application(middlewares=[count_answers, answer_errors, apply_faults], client_max_size=WIRE_BYTES_MAX)
    state = SandboxState(clock=clock, keys=AcceptedKeys(keys), org_id=clock.uuid())
    app[STATE] = state
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, endpoint.handler)
    app.cleanup_ctx.append(hold_spool)
    return app


async def hold_spool(app: web.Application) -> AsyncIterator[None]:
    """Close the spool once no request can use it."""
    yield
    app[STATE].spool.close()
