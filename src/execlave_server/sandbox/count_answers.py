from aiohttp import web
from aiohttp.typedefs import Handler

from execlave_server.sandbox.faults import INTAKE_PATH
from execlave_server.sandbox.state import STATE


@web.middleware
async def count_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count requests to the intake, and the answers that still had a client to go to."""
    if request.path != INTAKE_PATH:
        return await handler(request)
    state = request.app[STATE]
    state.counters.requests += 1
    answer = await handler(request)
    if request.transport is not None and not request.transport.is_closing():
        state.counters.by_status[str(answer.status)] += 1
    return answer
