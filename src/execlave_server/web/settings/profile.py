"""Settings, Profile: one's own name and password."""

from starlette.responses import Response

from execlave_server.web.exchange import Access, Page, PageRoute


async def show_profile(page: Page) -> Response:
    """Who one is here."""
    return page.render("settings/profile.html", tab="profile")


ROUTES = (PageRoute("GET", "/settings/profile", Access.SIGNED_IN, show_profile, "settings"),)
