"""Signing in, in a real browser."""

from browsing import sign_in_as
from execlave_server.web.cookies import SESSION_COOKIE


def test_a_session_on_plain_http_loopback(page):
    """Chromium keeps the Secure, HttpOnly `__Host-` cookie of a loopback address over plain HTTP."""
    sign_in_as(page, "owner@pages.example")

    (cookie,) = [each for each in page.context.cookies() if each["name"] == SESSION_COOKIE]
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""
    assert page.get_by_role("heading", level=1).inner_text() == "Settings"
