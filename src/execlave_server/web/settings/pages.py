"""The settings: one module for each tab."""

from starlette.responses import Response

from execlave_server.web.exchange import Access, Page, PageRoute
from execlave_server.web.settings import keys, members, organization, profile, sessions

FIRST = "/settings/profile"


async def go_to_first(page: Page) -> Response:
    """The first tab."""
    return page.redirect(FIRST)


ROUTES = (
    PageRoute("GET", "/settings", Access.SIGNED_IN, go_to_first, "settings"),
    *profile.ROUTES,
    *sessions.ROUTES,
    *keys.ROUTES,
    *members.ROUTES,
    *organization.ROUTES,
)

TOPICS = (sessions.TOPIC,)
