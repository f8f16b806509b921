"""The search over HTTP: stored traces by Datadog's search language."""

from datetime import datetime
from typing import Any

from msgspec import Raw
from starlette.responses import Response

from execlave_server.actions.search_traces import (
    NEWEST_ID,
    TRACES_PER_PAGE_DEFAULT,
    TRACES_PER_PAGE_MAX,
    FoundTrace,
    Search,
    search_traces,
)
from execlave_server.api.codec import answer, whole_number
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso, microseconds
from execlave_server.errors import ValidationFailedError

TIME_MS_MAX = 253_402_300_799_999  # the end of the year 9999


async def get_search(exchange: Exchange) -> Response:
    """A page of what a query finds, newest first."""
    given = exchange.request.query_params
    limit = whole_number(given.get("limit", str(TRACES_PER_PAGE_DEFAULT)), "limit", TRACES_PER_PAGE_MAX)
    cursor = given.get("cursor")
    search = Search(
        query=given.get("query", ""),
        from_us=_time(given.get("from"), "from"),
        to_us=_time(given.get("to"), "to"),
        before=None if cursor is None else whole_number(cursor, "cursor", NEWEST_ID),
        limit=max(limit, 1),
    )
    services = exchange.services
    page = await search_traces(services.store, exchange.caller.organization, search, right_of_way=services.right_of_way)
    meta = {
        "next": None if page.next is None else str(page.next),
        "searchedBackTo": iso(page.searched_back_to_us),
    }
    return answer({"data": [trace_view(trace) for trace in page.traces], "meta": meta})


def trace_view(trace: FoundTrace) -> dict[str, Any]:
    """A trace as the API shows it; `log` is its Datadog log, without what destination and sending add."""
    return {
        "traceId": trace.trace_id,
        "spanId": trace.span_id,
        "timestamp": iso(trace.occurred_at_ms * 1_000),
        "receivedAt": iso(trace.received_at_us),
        "log": Raw(b"{%b}}" % trace.log),
    }


def _time(text: str | None, name: str) -> int | None:
    """A time in a query, ISO 8601 or epoch milliseconds, in microseconds."""
    if text is None:
        return None
    if text.isdecimal():
        return whole_number(text, name, TIME_MS_MAX) * 1_000
    try:
        return microseconds(datetime.fromisoformat(text.replace(" ", "+")))  # a plus that was not escaped is a blank
    except ValueError as error:
        raise ValidationFailedError(
            f"{name} is {text!r}; it must be a time such as 2026-03-01T12:00:00Z, or epoch milliseconds.",
            fields={name: "is not a time"},
        ) from error
