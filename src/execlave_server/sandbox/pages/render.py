"""Templates, and the headers of every page."""

from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any

import jinja2
from aiohttp import web

from execlave_server.sandbox.aggregate import show_time
from execlave_server.sandbox.pages.differences import DIFFERENCES

# data: is for the empty icon, so that browsers ask for none.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("execlave_server.sandbox.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = show_moment
    environment.filters["time_ms"] = show_time
    environment.filters["figure"] = show_figure
    return environment


def render_page(name: str, status: int = 200, **values: Any) -> web.Response:
    """A page; every one says what it is, and lists where it differs."""
    html = _templates().get_template(name).render(differences=DIFFERENCES, **values)
    return web.Response(text=html, status=status, content_type="text/html", headers=HEADERS)


async def show_style(_request: web.Request) -> web.Response:
    """`GET /static/sandbox.css`."""
    style = (resources.files("execlave_server.sandbox.pages") / "static" / "sandbox.css").read_text()
    return web.Response(text=style, content_type="text/css", headers={"X-Content-Type-Options": "nosniff"})


def show_moment(at_us: int | None) -> str:
    """UTC, to the second."""
    return "" if at_us is None else f"{datetime.fromtimestamp(at_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def show_figure(value: float | None) -> str:
    """A number for people: at most four decimals, none that say nothing."""
    return "" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")
