"""What the endpoints of Datadog's API host share: keys, bodies, and their refusals."""

from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from execlave_server.sandbox.accepted_keys import KEY_HEADER, KeyVerdict
from execlave_server.sandbox.decompress_body import decompress_body, read_encoding
from execlave_server.sandbox.limits import APPLICATION_KEY_HEADER, STORED_BODY_BYTES_MAX
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.state import STATE

_Body = TypeVar("_Body")


def with_both_keys(handler: Handler) -> Handler:
    """The handler, behind an API key and an application key, as on the API host."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        state = request.app[STATE]
        verdicts = (
            state.keys.judge(request.headers.get(KEY_HEADER)),
            state.application_keys.judge(request.headers.get(APPLICATION_KEY_HEADER)),
        )
        if verdicts[0] is KeyVerdict.MISSING:
            raise ApiRefusedError(403, "API key required")
        if verdicts[1] is KeyVerdict.MISSING:
            raise ApiRefusedError(403, "Application key required")
        if verdicts[0] is KeyVerdict.INVALID or (verdicts[1] is KeyVerdict.INVALID and len(state.application_keys)):
            raise ApiRefusedError(403, "Forbidden")
        return await handler(request)

    return guarded


async def read_body(request: web.Request) -> bytes:
    """The body before compression. Raises ApiRefusedError for one that is too long to be kept."""
    body = decompress_body(await request.read(), read_encoding(request.headers.get(hdrs.CONTENT_ENCODING, "")))
    if len(body) > STORED_BODY_BYTES_MAX:
        raise ApiRefusedError(413, f"the body is over {STORED_BODY_BYTES_MAX} bytes")
    return body


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object."""
    return decode_as(await read_body(request), dict[str, Any])


async def read_as(request: web.Request, kind: type[_Body]) -> _Body:
    """The body as `kind`; a refusal names what is wrong with it."""
    return decode_as(await read_body(request), kind)


def decode_as(body: bytes, kind: type[_Body]) -> _Body:
    """JSON as `kind`. Raises ApiRefusedError with the place that does not fit."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise ApiRefusedError(400, f"{error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiRefusedError(400, f"the body is not JSON: {error}") from error
