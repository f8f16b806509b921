"""Where pages about traces, agents and policies are, as far as this server has them."""

from urllib.parse import quote

from execlave_server.web.exchange import Page


def trace_path(trace_id: str, more: str = "") -> str:
    """The page of a trace; a trace id may have any character."""
    return f"/traces/{quote(trace_id, safe='')}{more}"


def areas_of(page: Page) -> frozenset[str]:
    """The areas this person can open: what may be linked to."""
    return frozenset(area.name for area in page.navigation.areas(page.person))
