"""Stored traces by Datadog's search language, newest first, page by page."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from execlave_server.actions.right_of_way import RightOfWay
from execlave_server.datadog.search.match_log import LogTest, compile_query, weigh_query
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.datadog.search.query import Everything, Query, all_of
from execlave_server.datadog.search.searchable_log import SERVICE_DEFAULT, StoredLogs
from execlave_server.datadog.search.translate_query import (
    Column,
    Destination,
    Labels,
    Translation,
    label_tests,
    translate_query,
)
from execlave_server.store.protocol import Parameters, Row, Store, Value, integer

TRACES_PER_PAGE_DEFAULT = 50
TRACES_PER_PAGE_MAX = 1_000
ENTRIES_PER_PAGE_MAX = 50_000  # of the covering index: a few milliseconds, whatever they are filtered by
LOGS_PER_PAGE_MAX = 2_500  # read, decoded and matched one by one, some 30 us each
LOGS_AT_ONCE = 200  # between two looks of the event loop at what else waits
LOOKS_PER_PAGE_MAX = 100_000  # of all terms into all logs, a microsecond each: a long search reads fewer logs a page
LOOKS_AT_ONCE = 5_000
LABEL_TESTS_ON_LOOP_MAX = 2_000  # more are asked beside the event loop
LOGS_AT_ONCE_MIN = 5  # of the longest search, 10 ms a log
CLOCK_SET_BACK_US_MAX = 3_600_000_000  # received in a span of time is found though the clock was set back by so much
NEWEST_ID = (1 << 62) - 1
_ALLOWED = {
    Column.STATUS: "statuses",
    Column.AGENT: "agents",
    Column.ENVIRONMENT: "environments",
    Column.SPAN_TYPE: "span_types",
}


class FoundTrace(Struct, frozen=True):
    """A stored trace. `log` is the middle of its Datadog log, a JSON object once it has `{` before and `}}` behind."""

    id: int
    trace_id: str
    span_id: str
    occurred_at_ms: int
    received_at_us: int
    log: bytes


class Search(Struct, frozen=True):
    """What to look for: a query, and from when (inclusive) to when (exclusive) it was received, in microseconds.

    `narrowed_to` must hold as well. `before` is the cursor of the page before. `destination` is whose service and tags
    the query goes by.
    """

    query: str = ""
    narrowed_to: Query = Everything()
    from_us: int | None = None
    to_us: int | None = None
    before: int | None = None
    limit: int = TRACES_PER_PAGE_DEFAULT
    destination: Destination = Destination(SERVICE_DEFAULT)


class FoundPage(Struct, frozen=True):
    """Traces, newest first. `next` is the cursor of the next page; None when everything was searched.

    A page may be short, or empty, and yet have a next one: then a limit was met, and all that was received after
    `searched_back_to_us` was looked at.
    """

    traces: Sequence[FoundTrace]
    next: int | None
    searched_back_to_us: int | None


async def search_traces(store: Store, organization: int, search: Search, *, right_of_way: RightOfWay) -> FoundPage:
    """One page. Raises SearchSyntaxError where the query cannot be read.

    Reads at most 50,000 entries of the index and 2,500 logs, or fewer where the search is long, and then returns what
    it has. Decisions go first.
    """
    query = all_of([parse_query(search.query), search.narrowed_to])
    scope: dict[str, Value] = {"organization": organization}
    newest = integer((await store.rows("newest_trace"))[0][0] or 0)  # before the labels, so that its labels are known
    labels = _labels(await store.rows("labels_of_organization", scope))
    on_loop = label_tests(query, labels) <= LABEL_TESTS_ON_LOOP_MAX
    translate = partial(translate_query, query, labels, search.destination)
    translation = translate() if on_loop else await asyncio.to_thread(translate)
    if translation.finds_nothing:
        return FoundPage([], None, None)
    first, end = await _bounds(store, organization, search)
    before = min(end, newest + 1, search.before if search.before is not None else NEWEST_ID)
    floor_rows = await store.rows(
        "search_floor", {**scope, "before": before, "first": first, "entries": ENTRIES_PER_PAGE_MAX}
    )
    floor = integer(floor_rows[0][0]) + 1 if floor_rows else first
    scan = _Scan(store, organization, search, translation, right_of_way)
    stopped_before = await scan.run(before, floor)
    older = await store.rows("received_before", {**scope, "before": stopped_before, "first": first})
    if not older:
        return FoundPage(scan.found, None, None)
    return FoundPage(scan.found, stopped_before, integer(older[0][0]))


class _Scan:
    """Collects a page from candidates that the columns let through."""

    def __init__(
        self, store: Store, organization: int, search: Search, translation: Translation, right_of_way: RightOfWay
    ) -> None:
        self._store = store
        self._right_of_way = right_of_way
        self._search = search
        self._organization = organization
        allowed = translation.allowed
        self._columns: Parameters = {
            name: msgspec.json.encode(sorted(allowed[column])).decode() if column in allowed else None
            for column, name in _ALLOWED.items()
        }
        residual = translation.residual
        self._test: LogTest | None = None if residual is None else compile_query(residual)
        self._weight = 1 if residual is None else weigh_query(residual)
        self._logs = StoredLogs(search.destination.service, search.destination.ddtags)
        self.found: list[FoundTrace] = []

    async def run(self, before: int, first: int) -> int:
        """Look at what lies between two ids, newest first; the id below which nothing was looked at."""
        at_once = max(LOGS_AT_ONCE_MIN, min(LOGS_AT_ONCE, LOOKS_AT_ONCE // self._weight))
        logs_left = max(at_once, min(LOGS_PER_PAGE_MAX, LOOKS_PER_PAGE_MAX // self._weight))
        while before > first and logs_left > 0:
            room = self._search.limit - len(self.found)
            wanted = min(at_once if self._test else room, logs_left)
            ids = await self._candidates(before, first, wanted)
            logs_left -= len(ids)
            traces = await self._read(ids)
            working = await self._right_of_way.give_way()
            for trace in traces:
                if working.is_over:
                    working = await self._right_of_way.give_way()
                if self._is_wanted(trace):
                    self.found.append(trace)
                    if len(self.found) == self._search.limit:
                        return trace.id
            if len(ids) < wanted:
                return first
            before = ids[-1]
        return before

    async def _candidates(self, before: int, first: int, limit: int) -> list[int]:
        parameters: Parameters = {
            "organization": self._organization,
            "before": before,
            "first": first,
            "limit": limit,
            **self._columns,
        }
        return [integer(row[0]) for row in await self._store.rows("search_traces", parameters)]

    async def _read(self, ids: Collection[int]) -> list[FoundTrace]:
        if not ids:
            return []
        parameters: Parameters = {
            "organization": self._organization,
            "ids": msgspec.json.encode(ids).decode(),
            "oldest": min(ids),
            "newest": max(ids),
        }
        return [_found(row) for row in await self._store.rows("search_logs", parameters)]

    def _is_wanted(self, trace: FoundTrace) -> bool:
        from_us, to_us = self._search.from_us, self._search.to_us
        if from_us is not None and trace.received_at_us < from_us:
            return False
        if to_us is not None and trace.received_at_us >= to_us:
            return False
        if self._test is None:
            return True
        return self._test(self._logs.read(trace.log, trace.occurred_at_ms))


def _found(row: Row) -> FoundTrace:
    number, trace_id, span_id, occurred_at_ms, received_at_us, log = row
    assert isinstance(log, bytes)
    return FoundTrace(
        integer(number), str(trace_id), str(span_id), integer(occurred_at_ms), integer(received_at_us), log
    )


def _labels(rows: Sequence[Row]) -> Labels:
    labels: dict[Column, dict[str, int]] = {column: {} for column in Column}
    for kind, value, number in rows:
        labels[Column(str(kind))][str(value)] = integer(number)
    return labels


async def _bounds(store: Store, organization: int, search: Search) -> tuple[int, int]:
    """Between which ids (the second exclusive) all lies that was received in the span of time, and little else."""
    scope: dict[str, Value] = {"organization": organization}
    first, end = 0, NEWEST_ID
    if search.from_us is not None:
        clearly_before_us = search.from_us - CLOCK_SET_BACK_US_MAX
        rows = await store.rows("search_first", {**scope, "clearly_before_us": clearly_before_us})
        first = integer(rows[0][0]) if rows else first
    if search.to_us is not None:
        clearly_after_us = search.to_us + CLOCK_SET_BACK_US_MAX
        rows = await store.rows("search_end", {**scope, "clearly_after_us": clearly_after_us})
        end = integer(rows[0][0]) if rows else end
    return first, end
