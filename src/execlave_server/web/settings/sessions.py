"""Settings, Sessions: where one is signed in, and ending that."""

from starlette.responses import Response

from execlave_server.actions.person_sessions import end_other_sessions, end_session, list_sessions
from execlave_server.web.cookies import SESSION_COOKIE, drop_cookie
from execlave_server.web.exchange import Access, Page, PageRoute
from execlave_server.web.live import Topic

_PATH = "/settings/sessions"
_BROWSERS = (  # the first mark found names it: most browsers also carry the marks of others
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


async def show_sessions(page: Page) -> Response:
    """Every live session of this person."""
    sessions = await list_sessions(page.services, page.person)
    return page.render("settings/sessions.html", tab="sessions", sessions=sessions, browser_name=browser_name)


async def sessions_fragment(page: Page) -> str:
    """The list alone, as the page has it."""
    sessions = await list_sessions(page.services, page.person)
    return page.fragment("settings/_sessions.html", sessions=sessions, browser_name=browser_name)


def browser_name(user_agent: str | None) -> str:
    """What a browser calls itself, in the words of its owner; a program that signed in says what it is itself."""
    if not user_agent:
        return "a program, over the HTTP API"
    name = next((said for mark, said in _BROWSERS if mark in user_agent), None)
    system = next((said for mark, said in _SYSTEMS if mark in user_agent), None)
    return f"{name} on {system}" if name and system else user_agent


async def post_end(page: Page) -> Response:
    """End one; one's own is signing out."""
    session_id = page.path("session")
    await end_session(page.services, page.person, session_id)
    if session_id != page.session.hash.hex():
        return page.redirect(_PATH, "The session has ended.")
    response = page.redirect("/sign-in")
    drop_cookie(response, SESSION_COOKIE)
    return response


async def post_end_others(page: Page) -> Response:
    """End every other one."""
    await end_other_sessions(page.services, page.session)
    return page.redirect(_PATH, "You are signed in nowhere else now.")


ROUTES = (
    PageRoute("GET", _PATH, Access.SIGNED_IN, show_sessions, "settings"),
    PageRoute("POST", f"{_PATH}/others/end", Access.SIGNED_IN, post_end_others, "settings"),
    PageRoute("POST", f"{_PATH}/{{session}}/end", Access.SIGNED_IN, post_end, "settings"),
)
TOPIC = Topic("sessions", Access.SIGNED_IN, sessions_fragment)
