import msgspec
from aiohttp import web


def json_answer(value: object, status: int = 200) -> web.Response:
    """`value` as a JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
