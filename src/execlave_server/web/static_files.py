"""Stylesheet, script and icon: read once, served under an address that changes with the content."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from execlave_server.web.headers import PAGE_HEADERS, STATIC_HEADERS

STATIC_PREFIX = "/static/"
_FOLDER = Path(__file__).parent / "static"
_MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HASH_CHARS = 12  # enough that two versions never share an address


@cache
def static_files() -> dict[str, tuple[bytes, str]]:
    """Content and media type, by the name with the content's hash in it."""
    found = {}
    for file in sorted(_FOLDER.iterdir()):
        content = file.read_bytes()
        found[_hashed(file, content)] = (content, _MEDIA[file.suffix])
    return found


@cache
def static_url(name: str) -> str:
    """The address of a file in `web/static`."""
    file = _FOLDER / name
    return STATIC_PREFIX + _hashed(file, file.read_bytes())


def _hashed(file: Path, content: bytes) -> str:
    return f"{file.stem}.{hashlib.sha256(content).hexdigest()[:_HASH_CHARS]}{file.suffix}"


async def answer_static(request: Request) -> Response:
    """A file; an address of another version is not there."""
    found = static_files().get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.", 404, PAGE_HEADERS, "text/plain")
    content, media_type = found
    return Response(content, 200, STATIC_HEADERS, media_type)
