"""Regions of a page that follow the store: server-sent events whose data is the region's HTML, made as on the page."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from execlave_server.errors import ExeclaveServerError, UnauthorizedError, UnavailableError
from execlave_server.model.permissions import Permission
from execlave_server.web.answer import PageServer
from execlave_server.web.exchange import Access, Page, PageRoute
from execlave_server.web.headers import PAGE_HEADERS

LOOK_EVERY_S = 2.0  # what people watch; agents and the SDK never wait for this
HEARTBEAT_EVERY_S = 15.0  # proxies close a connection that is quiet for longer
STREAMS_PER_PERSON_MAX = 6  # tabs; a hidden one closes its stream
STREAMS_PER_ORGANIZATION_MAX = 60  # each costs a session's look-up and a fragment every two seconds
_ENDED = "event: ended\ndata:\n\n"  # the page loads itself anew, and so finds the sign-in page or its error

log = structlog.get_logger()


@dataclass(frozen=True)
class Topic:
    """A region that others may follow: `/live/<name>`. `fragment` gives its HTML, from the page's own query."""

    name: str
    access: Permission | Access
    fragment: Callable[[Page], Awaitable[str]]


class LivePages:
    """The streams of this process."""

    def __init__(self) -> None:
        self._of_person: Counter[str] = Counter()
        self._of_organization: Counter[int] = Counter()
        self._ending: Callable[[], bool] = lambda: False

    def end_when(self, ending: Callable[[], bool]) -> None:
        """Streams end once this is true, so that a server that stops need not wait for them."""
        self._ending = ending

    def endpoint(self, server: PageServer, topic: Topic) -> Callable[[Request], Awaitable[Response]]:
        """What answers a topic."""

        async def never(_page: Page) -> Response:
            raise NotImplementedError

        route = PageRoute("GET", f"/live/{topic.name}", topic.access, never)

        async def answer(request: Request) -> Response:
            try:
                page = await server.admit(await server.identify(server.stranger(route, request)))
            except UnauthorizedError:
                return Response(_ENDED, 200, PAGE_HEADERS, "text/event-stream")
            except ExeclaveServerError as error:
                return Response(error.message, error.status, PAGE_HEADERS, "text/plain")
            if not self._has_room(page):
                return Response("Too many live pages are open.", 503, {**PAGE_HEADERS, "Retry-After": "30"})
            events = self._events(server, topic, page)
            return StreamingResponse(events, 200, PAGE_HEADERS, "text/event-stream")

        return answer

    def _has_room(self, page: Page) -> bool:
        return (
            self._of_person[page.person.id] < STREAMS_PER_PERSON_MAX
            and self._of_organization[page.person.organization] < STREAMS_PER_ORGANIZATION_MAX
        )

    async def _events(self, server: PageServer, topic: Topic, page: Page) -> AsyncIterator[str]:
        """The region whenever it is another than before, a comment now and then, until the session ends."""
        person, organization = page.person.id, page.person.organization
        if not self._has_room(page):  # others began at the same moment
            return
        self._of_person[person] += 1
        self._of_organization[organization] += 1
        shown, quiet_s = "", 0.0
        try:
            while not self._ending() and not await page.request.is_disconnected():
                try:
                    page = await server.admit(await server.identify(replace(page, open_session=None)))
                    fragment = await topic.fragment(page)
                except UnavailableError:
                    fragment = shown  # the database is away; what is shown stays until it is back
                except ExeclaveServerError:
                    yield _ENDED
                    return
                if fragment != shown:
                    yield _event(fragment)
                    shown, quiet_s = fragment, 0.0
                elif quiet_s >= HEARTBEAT_EVERY_S:
                    yield ": still here\n\n"
                    quiet_s = 0.0
                await asyncio.sleep(LOOK_EVERY_S)
                quiet_s += LOOK_EVERY_S
        except Exception as error:  # the boundary of a stream
            log.exception("web.stream_failed", topic=topic.name, error=str(error))
        finally:
            self._leave(person, organization)

    def _leave(self, person: str, organization: int) -> None:
        self._of_person -= Counter([person])  # subtracting keeps only what is left
        self._of_organization -= Counter([organization])


def _event(fragment: str) -> str:
    lines = "\n".join(f"data: {line}" for line in fragment.splitlines())
    return f"{lines or 'data:'}\n\n"
