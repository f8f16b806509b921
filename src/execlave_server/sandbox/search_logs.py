"""`/api/v2/logs/events` and `/api/v2/logs/events/search`: logs that match, page by page."""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from execlave_server.sandbox.aggregate import show_time
from execlave_server.sandbox.api_requests import read_as
from execlave_server.sandbox.date_math import read_bound_ms
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import SEARCH_LOGS_DEFAULT, SEARCH_LOGS_MAX
from execlave_server.sandbox.log_index import LogIndex, Place
from execlave_server.sandbox.match_logs import Matches, SearchSyntaxError, compile_matcher
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.state import STATE, SandboxState

Sort = Literal["timestamp", "-timestamp"]


class LogFilter(Struct):
    """Which logs."""

    query: str = "*"
    from_: str | int = msgspec.field(default="now-15m", name="from")
    to: str | int = "now"
    indexes: list[str] = []  # none named: all


class SearchPage(Struct):
    """Which page of them."""

    limit: Annotated[int, Meta(ge=1, le=SEARCH_LOGS_MAX)] = SEARCH_LOGS_DEFAULT
    cursor: str | None = None


class SearchBody(Struct):
    """The body of a search."""

    filter: LogFilter = msgspec.field(default_factory=LogFilter)
    sort: Sort = "-timestamp"  # newest first unless told
    page: SearchPage = msgspec.field(default_factory=SearchPage)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search, and where the next one begins."""

    logs: list[PreparedLog]
    after: Place | None


def open_filter(state: SandboxState, wanted: LogFilter) -> tuple[Matches, list[Place]]:
    """What matches, and the places of the time range. Raises ApiRefusedError for a bad query or bound."""
    now_us = state.clock.now_us()
    places: list[Place] = []
    if not wanted.indexes or {"*", "main"} & set(wanted.indexes):
        from_ms = read_bound_ms(wanted.from_, now_us, "from")
        places = state.index.places(from_ms, read_bound_ms(wanted.to, now_us, "to"))
    try:
        return compile_matcher(wanted.query), places
    except SearchSyntaxError as error:
        raise ApiRefusedError(400, f"Invalid query: {error}") from error


async def find_logs(state: SandboxState, wanted: SearchBody) -> Found:
    """The matching logs after the cursor, in the order asked for."""
    await state.index.catch_up(state.clock.now_us())
    matches, places = open_filter(state, wanted.filter)
    if wanted.sort == "-timestamp":
        places.reverse()
    if wanted.page.cursor:
        after = read_cursor(wanted.page.cursor)
        newest_first = wanted.sort == "-timestamp"
        places = [place for place in places if (place < after if newest_first else place > after)]
    return await take_matching(state.index, matches, places, wanted.page.limit)


async def take_matching(index: LogIndex, matches: Matches, places: list[Place], limit: int) -> Found:
    """The first `limit` logs at these places that match."""
    found: list[PreparedLog] = []
    async for log in index.walk(places):
        if matches(log):
            if len(found) == limit:
                last = found[-1]
                return Found(found, Place(last.timestamp_ms, last.sequence))
            found.append(log)
    return Found(found, None)


def write_cursor(place: Place) -> str:
    """Opaque to its reader, as Datadog's is."""
    return base64.urlsafe_b64encode(f"{place.timestamp_ms},{place.sequence}".encode()).decode()


def read_cursor(text: str) -> Place:
    """The place in a cursor. Raises ApiRefusedError for what is none of ours."""
    try:
        timestamp_ms, sequence = base64.urlsafe_b64decode(text.encode()).decode().split(",")
        return Place(int(timestamp_ms), int(sequence))
    except (ValueError, binascii.Error) as error:
        raise ApiRefusedError(400, "Invalid cursor: take it from `meta.page.after` as it is") from error


def show_log(log: PreparedLog) -> dict[str, Any]:
    """A log as the API gives it back. Its trace id is not among what it shows, as on the real one."""
    shown: dict[str, Any] = {"timestamp": show_time(log.timestamp_ms), "status": log.status}
    if log.host:
        shown["host"] = log.host
    if log.service:
        shown["service"] = log.service
    shown |= {"message": log.message, "tags": log.tags}
    if log.attributes:
        shown["attributes"] = log.attributes
    return {"id": log_id(log.sequence), "type": "log", "attributes": shown}


def log_id(sequence: int) -> str:
    """An id in the length of Datadog's."""
    return "AQAAA" + base64.urlsafe_b64encode(sequence.to_bytes(24, "big")).decode()


def answer_meta(state: SandboxState, started_us: int) -> dict[str, Any]:
    """The `meta` of an answer, without its page."""
    elapsed_ms = (state.clock.elapsed_us() - started_us) // 1_000
    return {"elapsed": elapsed_ms, "request_id": f"pddv1{state.clock.token()}", "status": "done"}


async def search_logs(request: web.Request) -> web.Response:
    """`POST /api/v2/logs/events/search`."""
    return await answer_search(request, await read_as(request, SearchBody))


async def list_events(request: web.Request) -> web.Response:
    """`GET /api/v2/logs/events`: the same in the query string."""
    given = request.query
    limit = given.get("page[limit]", str(SEARCH_LOGS_DEFAULT))
    filters = {
        "query": given.get("filter[query]", "*"),
        "from": given.get("filter[from]", "now-15m"),
        "to": given.get("filter[to]", "now"),
        "indexes": given.getall("filter[indexes]", ["*"]),
    }
    body = {
        "filter": filters,
        "sort": given.get("sort", "-timestamp"),
        "page": {"limit": int(limit) if limit.isdecimal() else limit, "cursor": given.get("page[cursor]")},
    }
    try:
        return await answer_search(request, msgspec.convert(body, SearchBody))
    except msgspec.ValidationError as error:
        raise ApiRefusedError(400, f"{error}") from error


async def answer_search(request: web.Request, wanted: SearchBody) -> web.Response:
    """The recorded shape; an empty page is `{"data": []}` with no link."""
    state = request.app[STATE]
    started_us = state.clock.elapsed_us()
    found = await find_logs(state, wanted)
    meta = answer_meta(state, started_us)
    answer: dict[str, Any] = {"data": [show_log(log) for log in found.logs], "meta": meta}
    if found.after is not None:
        cursor = write_cursor(found.after)
        meta["page"] = {"after": cursor}
        answer["links"] = {"next": f"{request.scheme}://{request.host}/api/v2/logs/events?{next_query(wanted, cursor)}"}
    return json_answer(answer)


def next_query(wanted: SearchBody, cursor: str) -> str:
    """The query string of the next page."""
    return urlencode(
        {
            "filter[query]": wanted.filter.query,
            "filter[from]": wanted.filter.from_,
            "filter[to]": wanted.filter.to,
            "sort": wanted.sort,
            "page[limit]": wanted.page.limit,
            "page[cursor]": cursor,
        }
    )
