import asyncio
import contextlib

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from execlave_server.sandbox.decompress_body import decompress_body, read_encoding
from execlave_server.sandbox.faults import FaultAction, planned_answer
from execlave_server.sandbox.refusals import RefusedError
from execlave_server.sandbox.reset_connection import reset_connection
from execlave_server.sandbox.state import STATE


@web.middleware
async def apply_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do to the request what the first matching rule says."""
    state = request.app[STATE]
    body = await read_body(request) if state.faults.reads_body(request.path) else b""
    rule = state.faults.take(request.path, body)
    if rule is None:
        return await handler(request)
    state.counters.faults_applied += 1
    await request.read()  # while a body waits unread, a client that goes away is not noticed
    await asyncio.sleep(rule.delay_ms / 1_000)
    match rule.action:
        case FaultAction.RESPOND:
            return await handler(request) if rule.status is None else planned_answer(rule, rule.status)
        case FaultAction.HANG:
            await asyncio.Event().wait()  # until the client goes, or the sandbox: either cancels this
            return reset_connection(request)
        case FaultAction.RESET:
            return reset_connection(request)
        case FaultAction.ACCEPT_THEN_RESET:
            with contextlib.suppress(RefusedError, web.HTTPException):
                await handler(request)
            return reset_connection(request)


async def read_body(request: web.Request) -> bytes:
    """The body as sent before compression; nothing of one that the intake would refuse to read."""
    wire = await request.read()
    try:
        return decompress_body(wire, read_encoding(request.headers.get(hdrs.CONTENT_ENCODING, "")))
    except RefusedError:
        return b""
