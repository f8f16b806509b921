"""From a request to a page: session, form, permission, handler; every failure becomes a page that says what to do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from execlave_server.actions.person_sessions import open_session
from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import SESSION_PATTERN
from execlave_server.errors import ExeclaveServerError, NotFoundError, SessionEndedError, UnauthorizedError
from execlave_server.model.permissions import Permission, require
from execlave_server.model.secret import Secret
from execlave_server.web.cookies import SESSION_COOKIE, VISIT_COOKIE, drop_cookie, remember_visit
from execlave_server.web.csrf import CSRF_FIELD, check_form
from execlave_server.web.exchange import SEE_OTHER, Access, Form, Page, PageRoute, read_form
from execlave_server.web.headers import PAGE_HEADERS
from execlave_server.web.navigation import Navigation
from execlave_server.web.next_path import HOME, safe_next

SIGN_IN_PATH = "/sign-in"
NOT_FOUND = 404

log = structlog.get_logger()


async def _answer_nothing(_page: Page) -> Response:
    raise NotFoundError("There is no page at this address.")


_NOWHERE = PageRoute("GET", "", Access.PUBLIC, _answer_nothing)


class PageServer:
    """Answers the routes of the pages."""

    def __init__(self, services: Services, routes: Sequence[PageRoute]) -> None:
        self.services = services
        self._navigation = Navigation(routes)

    def endpoint(self, route: PageRoute) -> Callable[[Request], Awaitable[Response]]:
        """What answers a route."""
        elapsed_us = self.services.clock.elapsed_us
        meter = self.services.metrics.route(route.method, f"page {route.path}")

        async def answer_route(request: Request) -> Response:
            started_us = elapsed_us()
            response = await self.answer(route, request)
            meter.answered(response.status_code, elapsed_us() - started_us)
            return response

        return answer_route

    async def answer(self, route: PageRoute, request: Request) -> Response:
        """Admit, handle; the headers are on every answer."""
        page = self.stranger(route, request)
        try:
            page = await self.identify(page)
            page = await self.admit(page)
            response = await route.handler(page)
        except ClientDisconnect:
            raise
        except UnauthorizedError as error:
            response = _send_to_sign_in(request, error)
        except ExeclaveServerError as error:
            response = show_error(page, error)
        except Exception as error:
            log.exception("web.unexpected_error", route=route.path, error=str(error))
            response = show_error(page, ExeclaveServerError("Something unexpected went wrong here."))
        if page.open_session is None and VISIT_COOKIE not in request.cookies and SESSION_COOKIE not in request.cookies:
            remember_visit(response, page.bound_to.reveal())
        response.headers.update(PAGE_HEADERS)
        return response

    def stranger(self, route: PageRoute, request: Request) -> Page:
        """The exchange before anybody is known."""
        visit = Secret(request.cookies.get(VISIT_COOKIE) or self.services.clock.token())
        return Page(self.services, request, route, self._navigation, None, visit, Form())

    async def identify(self, page: Page) -> Page:
        """Whose session it is, if it is anybody's. Raises UnavailableError."""
        token = page.request.cookies.get(SESSION_COOKIE, "")
        if not SESSION_PATTERN.fullmatch(token):
            return page
        try:
            session = await open_session(self.services, token)
        except SessionEndedError:
            return page
        return replace(page, open_session=session, bound_to=Secret(token))

    async def admit(self, page: Page) -> Page:
        """May he, and is the form ours. Raises SessionEndedError, ForbiddenError, and what a form is refused for."""
        access = page.route.access
        if page.open_session is None and access is not Access.PUBLIC:
            raise SessionEndedError("Sign in to see this page.")
        if page.request.method == "POST":
            form = await read_form(page.request)
            check_form(self.services, page.request, page.bound_to, form[CSRF_FIELD])
            page = replace(page, form=form)
        if isinstance(access, Permission):
            require(page.person, access)
        return page

    async def answer_unknown(self, request: Request, status: int) -> Response:
        """The page at an address where there is none, or that takes no such method."""
        response = await self.answer(_NOWHERE, request)
        response.status_code = status
        return response


def show_error(page: Page, error: ExeclaveServerError) -> Response:
    """The page of an error. What is not there and what is another's look alike."""
    response = page.render("error.html", error.status, error=error, back=_back(page.request))
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _send_to_sign_in(request: Request, _error: UnauthorizedError) -> Response:
    back = _back(request) if request.method == "POST" else request.url.path
    if request.method != "POST" and request.url.query:
        back = f"{back}?{request.url.query}"
    wanted = safe_next(back)
    query = "" if wanted == HOME else "?" + urlencode({"next": wanted})
    response = RedirectResponse(SIGN_IN_PATH + query, SEE_OTHER)
    if SESSION_COOKIE in request.cookies:
        drop_cookie(response, SESSION_COOKIE)
    return response


def _back(request: Request) -> str:
    """The page of ours that a request was made from."""
    referer = urlsplit(request.headers.get("referer", ""))
    if referer.netloc != request.headers.get("host"):
        return HOME
    return safe_next(referer.path + (f"?{referer.query}" if referer.query else ""))
