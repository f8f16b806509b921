"""Signing in and out, and the theme."""

from starlette.responses import Response

from execlave_server.actions.sign_in import Credentials, sign_in, sign_out
from execlave_server.errors import SignInFailedError, TooManySignInsError
from execlave_server.model.secret import Secret
from execlave_server.settings import is_loopback
from execlave_server.web.account import invitations
from execlave_server.web.cookies import (
    SESSION_COOKIE,
    VISIT_COOKIE,
    Theme,
    begin_session,
    drop_cookie,
    remember_theme,
)
from execlave_server.web.exchange import Access, Page, PageRoute
from execlave_server.web.next_path import HOME, safe_next


async def go_home(page: Page) -> Response:
    """The first page of the navigation."""
    return page.redirect(page.navigation.home(page.person))


async def show_sign_in(page: Page) -> Response:
    """The form; whoever is signed in already goes on."""
    wanted = safe_next(page.query["next"])
    if page.open_session is not None:
        return page.redirect(wanted)
    return page.render("account/sign_in.html", next=wanted, keeps_cookies=_keeps_cookies(page))


async def post_sign_in(page: Page) -> Response:
    """Begin a session in place of any before, and go where the person wanted."""
    wanted = safe_next(page.form["next"])
    credentials = Credentials(
        email=page.form["email"],
        password=Secret(page.form.raw("password")),
        organization_id=page.form["organization"] or None,
        address=page.address,
        browser=page.browser,
    )
    try:
        session = await sign_in(page.services, credentials)
    except (SignInFailedError, TooManySignInsError) as error:
        return page.render(
            "account/sign_in.html", error.status, next=wanted, problem=error.message, keeps_cookies=_keeps_cookies(page)
        )
    if page.open_session is not None:
        await sign_out(page.services, page.bound_to.reveal())
    response = page.redirect(wanted)
    begin_session(response, session.token.reveal())
    return response


async def post_sign_out(page: Page) -> Response:
    """End the session, here and everywhere it was copied to."""
    await sign_out(page.services, page.bound_to.reveal())
    response = page.redirect("/sign-in")
    drop_cookie(response, SESSION_COOKIE)
    return response


async def post_theme(page: Page) -> Response:
    """Light, dark or as the system has it, in this browser."""
    response = page.redirect(safe_next(page.form["back"]))
    remember_theme(response, page.form.choice("theme", Theme))
    return response


def _keeps_cookies(page: Page) -> bool:
    """Whether a browser will hold our cookies, which are for TLS and for this machine itself alone."""
    url = page.request.url
    return url.scheme == "https" or is_loopback(url.hostname or "") or VISIT_COOKIE in page.request.cookies


ROUTES = (
    PageRoute("GET", HOME, Access.SIGNED_IN, go_home),
    PageRoute("GET", "/sign-in", Access.PUBLIC, show_sign_in),
    PageRoute("POST", "/sign-in", Access.PUBLIC, post_sign_in),
    PageRoute("POST", "/sign-out", Access.SIGNED_IN, post_sign_out),
    PageRoute("POST", "/theme", Access.PUBLIC, post_theme),
    *invitations.ROUTES,
)
