from aiohttp import hdrs, web

from execlave_server.sandbox.accepted_keys import KEY_HEADER, KeyVerdict
from execlave_server.sandbox.decompress_body import decompress_body, read_encoding
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.prepare_log import Arrival
from execlave_server.sandbox.refusals import RefusedError
from execlave_server.sandbox.sort_logs import read_batch, sort_logs
from execlave_server.sandbox.state import STATE, SandboxState

# The real intake takes these too, one log a line; taking them for JSON would only puzzle their sender.
LINE_FORMATS = {"text/plain", "application/logplex-1"}


async def receive_logs(request: web.Request) -> web.Response:
    """`POST /api/v2/logs`: 202 and `{}`, whatever then becomes of the logs; or a refusal, and nothing is kept."""
    state = request.app[STATE]
    check_key(state, request.headers.get(KEY_HEADER))
    if request.content_type in LINE_FORMATS:
        raise RefusedError(400, f"the sandbox does not read {request.content_type}: send application/json")
    encoding = read_encoding(request.headers.get(hdrs.CONTENT_ENCODING, ""))
    wire = await request.read()
    body = decompress_body(wire, encoding)
    batch = read_batch(body)
    arrived_us = state.clock.now_us()
    fates = sort_logs(batch, arrived_us)

    counters = state.counters
    first = state.spool.total + 1
    state.spool.append(fates.kept, counters.accepted_requests + 1, fates.truncated)
    state.index.expect(first, len(fates.kept), Arrival(arrived_us, request.query.get("ddtags", "")), state.rules)
    counters.accepted_requests += 1
    counters.saw_arrival(arrived_us)
    counters.body_bytes += len(body)
    counters.wire_bytes += len(wire)
    counters.by_encoding[encoding.value] += 1
    counters.dropped_too_old += fates.dropped_too_old
    counters.truncated += len(fates.truncated)
    return json_answer({}, 202)


def check_key(state: SandboxState, key: str | None) -> None:
    """Refuse a request without a valid key, in the recorded words."""
    if key:
        state.counters.saw_key(key)
    match state.keys.judge(key):
        case KeyVerdict.VALID:
            return
        case KeyVerdict.MISSING:
            raise RefusedError(403, "API key is missing")
        case KeyVerdict.INVALID:
            raise RefusedError(403, "API key is invalid")
