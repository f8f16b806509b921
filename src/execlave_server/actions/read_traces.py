"""A page of an organization's traces, newest first, by whatever they are filtered by, a search among it.

Ids come first, over the one covering index; only the traces of the page are then read. However rare what is looked for
is, a page looks at a bounded number of traces and then returns short, with a cursor and how far back it has looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from msgspec import Struct

from execlave_server.actions.search_traces import Search, search_traces
from execlave_server.actions.services import Services
from execlave_server.datadog.search.query import Everything, Field, FieldKind, Phrase, Query, Term, all_of, any_of
from execlave_server.model.people import Caller
from execlave_server.model.span_log import SpanLog, read_span_log
from execlave_server.model.traces import TraceStatus
from execlave_server.store.protocol import Parameters, Store, Value, integer

TRACES_PER_PAGE = 50
TRACES_PER_PAGE_MAX = 200
ENTRIES_MAX = 50_000  # of the index, looked at for one page: about 5 ms
BATCHES_AROUND_A_TIME = (50, 2_000)  # among which one with traces is looked for; an enforcing agent's often have none
EVERY_STATUS = (1 << len(TraceStatus)) - 1
NEWEST = (1 << 62) - 1  # above every id
_STATUSES = list(TraceStatus)  # by their stored codes


class TraceFilter(Struct, frozen=True):
    """What a list is narrowed to; what is empty narrows nothing. Times are of receiving, `to_us` not included.

    `query` is a search in Datadog's language.
    """

    statuses: tuple[TraceStatus, ...] = ()
    agent: str = ""
    environment: str = ""
    span_type: str = ""
    from_us: int | None = None
    to_us: int | None = None
    query: str = ""


class ListedTrace(Struct, frozen=True):
    """One trace of a list."""

    id: int
    status: TraceStatus
    agent: str
    environment: str
    span_type: str
    occurred_at_ms: int
    received_at_us: int
    trace_id: str
    span_id: str
    log: SpanLog


class TracePage(NamedTuple):
    """A page. `next` is the cursor of the next one, None at the end; `searched_to_us` is set where it came short."""

    traces: list[ListedTrace]
    next: int | None
    searched_to_us: int | None


class _Row(Struct, frozen=True):
    id: int
    status: int
    agent_number: int
    agent: str | None
    environment: str | None
    span_type: str | None
    occurred_at_ms: int
    trace_id: str
    span_id: str
    log: bytes
    received_at_us: int


@dataclass(frozen=True, slots=True)
class _Window:
    """Ids of traces that match, newest first, and where looking ended: None where there is nothing before."""

    ids: list[int]
    reached: int | None


async def read_traces(
    services: Services, caller: Caller, wanted: TraceFilter, *, before: int | None = None, limit: int = TRACES_PER_PAGE
) -> TracePage:
    """A page of the traces that match, from below the id `before` on. Raises SearchSyntaxError for the query."""
    if wanted.query:
        return await _search(services, caller, wanted, before, limit)
    store, organization = services.store, caller.organization
    places = await _places(services, caller, wanted)
    if places is None:
        return TracePage([], None, None)
    scope = {**places, "before": min(before or NEWEST, integer(places["before"]))}
    window = await _look(store, scope, limit)
    traces = [trace for trace in await _bodies(store, organization, window.ids) if _in_time(trace, wanted)]
    if window.reached is None:
        return TracePage(traces, None, None)
    short = len(window.ids) < limit
    searched_to_us = await _received_at(store, organization, window.reached) if short else None
    return TracePage(traces, window.reached, searched_to_us)


async def _places(services: Services, caller: Caller, wanted: TraceFilter) -> dict[str, Value] | None:
    """The filter as the index has it, or None where nothing can match."""
    store, organization = services.store, caller.organization
    agents = await _agent_numbers(store, organization, wanted.agent)
    environment = await _label(store, organization, "environment", wanted.environment)
    span_type = await _label(store, organization, "span_type", wanted.span_type)
    unknown = (wanted.environment and environment is None) or (wanted.span_type and span_type is None)
    if unknown or (wanted.agent and not agents):
        return None
    return {
        "organization": organization,
        "before": await _id_before(store, organization, wanted.to_us),
        "after": await _id_from(store, organization, wanted.from_us),
        "statuses": sum(1 << status.code for status in set(wanted.statuses)) or EVERY_STATUS,
        "agent": agents[0] if agents else None,
        "agent_also": agents[-1] if agents else None,
        "environment": environment,
        "span_type": span_type,
    }


async def _search(services: Services, caller: Caller, wanted: TraceFilter, before: int | None, limit: int) -> TracePage:
    terms = [
        _is_one_of("execlave.status", wanted.statuses),
        _is_one_of("agent_id", await _agent_names(services.store, caller.organization, wanted.agent)),
        _is_one_of("environment", [wanted.environment]),
        _is_one_of("span_type", [wanted.span_type]),
    ]
    search = Search(wanted.query, all_of(terms), wanted.from_us, wanted.to_us, before, limit)
    page = await search_traces(services.store, caller.organization, search, right_of_way=services.right_of_way)
    traces = await _bodies(services.store, caller.organization, [trace.id for trace in page.traces])
    return TracePage(traces, page.next, page.searched_back_to_us if len(page.traces) < limit else None)


def _is_one_of(attribute: str, texts: Sequence[str]) -> Query:
    field = Field(FieldKind.ATTRIBUTE, attribute)
    return any_of([Term(field, Phrase(text)) for text in texts if text] or [Everything()])


async def _agent_names(store: Store, organization: int, agent: str) -> list[str]:
    """An agent may be named by its id or by its UUID; traces say either."""
    if not agent:
        return []
    known = await store.rows("agents_named", {"organization": organization, "reference": agent})
    return [agent, *(str(name) for row in known[:1] for name in (row[0], row[2]) if name != agent)][:2]


async def _agent_numbers(store: Store, organization: int, agent: str) -> list[int]:
    names = await _agent_names(store, organization, agent)
    numbers = [await _label(store, organization, "agent", name) for name in names]
    return [number for number in numbers if number is not None]


async def _label(store: Store, organization: int, kind: str, value: str) -> int | None:
    if not value:
        return None
    rows = await store.rows("label_number", {"organization": organization, "kind": kind, "value": value})
    return integer(rows[0][0]) if rows else None


async def _id_from(store: Store, organization: int, time_us: int | None) -> int:
    return 0 if time_us is None else await _nearest(store, "traces_received_from", organization, time_us, 0)


async def _id_before(store: Store, organization: int, time_us: int | None) -> int:
    if time_us is None:
        return NEWEST
    return await _nearest(store, "traces_received_before", organization, time_us, NEWEST - 1) + 1


async def _nearest(store: Store, statement: str, organization: int, time_us: int, otherwise: int) -> int:
    for batches in BATCHES_AROUND_A_TIME:
        near: Parameters = {"organization": organization, "time_us": time_us, "batches": batches}
        found = (await store.rows(statement, near))[0][0]
        if found is not None:
            return integer(found)
    return otherwise


async def _look(store: Store, scope: Parameters, limit: int) -> _Window:
    rows = await store.rows("list_trace_ids", {**scope, "entries": ENTRIES_MAX, "limit": limit})
    ids = [integer(row[0]) for row in rows]
    if len(ids) >= limit:
        return _Window(ids, ids[-1])
    return _Window(ids, await _end_of_window(store, scope, ENTRIES_MAX))


async def _end_of_window(store: Store, scope: Parameters, entries: int) -> int | None:
    """The lowest id of a window, or None where the window reached the end of what there is."""
    window = {name: scope[name] for name in ("organization", "before", "after")}
    [(oldest, count)] = await store.rows("end_of_window", {**window, "entries": entries})
    return None if oldest is None or integer(count) < entries else integer(oldest)


async def _bodies(store: Store, organization: int, ids: Sequence[int]) -> list[ListedTrace]:
    if not ids:
        return []
    wanted: Parameters = {"organization": organization, "ids": msgspec.json.encode(ids).decode()}
    return [_listed(row) for row in await store.find(_Row, "listed_traces", wanted)]


def _listed(row: _Row) -> ListedTrace:
    return ListedTrace(
        id=row.id,
        status=_STATUSES[row.status],
        agent=row.agent or "",
        environment=row.environment or "",
        span_type=row.span_type or "",
        occurred_at_ms=row.occurred_at_ms,
        received_at_us=row.received_at_us,
        trace_id=row.trace_id,
        span_id=row.span_id,
        log=read_span_log(row.log),
    )


def _in_time(trace: ListedTrace, wanted: TraceFilter) -> bool:
    """Ids follow the time of receiving only roughly, where several servers commit."""
    late = wanted.from_us is not None and trace.received_at_us < wanted.from_us
    return not late and (wanted.to_us is None or trace.received_at_us < wanted.to_us)


async def _received_at(store: Store, organization: int, trace: int) -> int | None:
    bodies = await _bodies(store, organization, [trace])
    return bodies[0].received_at_us if bodies else None
