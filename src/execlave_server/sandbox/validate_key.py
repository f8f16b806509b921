from aiohttp import web

from execlave_server.sandbox.accepted_keys import KEY_HEADER, KeyVerdict, key_id
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.state import STATE


async def validate_key_v1(request: web.Request) -> web.Response:
    """`GET /api/v1/validate`, as recorded."""
    return refusal_of_key(request) or json_answer({"valid": True})


async def validate_key_v2(request: web.Request) -> web.Response:
    """`GET /api/v2/validate`, in the official client's shape."""
    refusal = refusal_of_key(request)
    if refusal is not None:
        return refusal
    attributes = {"valid": True, "api_key_id": key_id(request.headers[KEY_HEADER]), "api_key_scopes": list[str]()}
    return json_answer(
        {"data": {"id": request.app[STATE].org_id, "type": "validate_v2", "attributes": attributes}},
    )


async def validate_both_keys(_request: web.Request) -> web.Response:
    """`GET /api/v2/validate_keys`, once both keys were found good."""
    return json_answer({"status": "ok"})


def refusal_of_key(request: web.Request) -> web.Response | None:
    """The 403 a request without a valid key gets from the API host; None when the key is valid."""
    match request.app[STATE].keys.judge(request.headers.get(KEY_HEADER)):
        case KeyVerdict.VALID:
            return None
        case KeyVerdict.MISSING:
            return json_answer({"errors": ["API key required"]}, 403)
        case KeyVerdict.INVALID:
            return json_answer({"errors": ["Forbidden"]}, 403)
