"""The timeline of a trace: every span of its trace id, and of the traces linked to it by `parentTraceId`."""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.actions.arrange_spans import arrange_spans
from execlave_server.actions.services import Services
from execlave_server.audit.stored_rows import StoredTrace
from execlave_server.errors import NotFoundError
from execlave_server.model.people import Caller
from execlave_server.model.span_log import SpanLog, read_span_log
from execlave_server.model.traces import ID_CHARS_MAX, TraceStatus, identify
from execlave_server.store.protocol import Parameters

SPANS_MAX = 2_000  # of one timeline; a page of more is of no use to anybody
LINKED_MAX = 20  # traces below one
LOOK_BEFORE, LOOK_BEHIND = 1_000, 4_000  # traces around this one among which those linked to it are looked for
_STATUSES = list(TraceStatus)  # by their stored codes
_WORST_FIRST = (
    TraceStatus.POLICY_BLOCKED,
    TraceStatus.LIMIT_EXCEEDED,
    TraceStatus.ERROR,
    TraceStatus.TIMEOUT,
    TraceStatus.FLAGGED_FOR_REVIEW,
    TraceStatus.EFFECT_UNCONFIRMED,
    TraceStatus.SUCCESS,
)


class Relation(StrEnum):
    """Where a span comes from: the trace that was asked for, the one it names as its parent, or one that names it."""

    PARENT = "parent"
    OWN = "own"
    CHILD = "child"


class TimelineRow(StoredTrace, frozen=True, kw_only=True):
    """A row of traces with the time its batch was received."""

    received_at_us: int


class TimelineSpan(Struct, frozen=True):
    """One span. `depth` is how many spans it stands in; its start is the client's word, in Python to the second."""

    row: TimelineRow
    log: SpanLog
    relation: Relation
    depth: int = 0

    @property
    def id(self) -> int:
        """The order of receiving."""
        return self.row.id

    @property
    def trace_id(self) -> str:
        """The trace it is of."""
        return self.row.trace_id

    @property
    def span_id(self) -> str:
        """Its id within its trace."""
        return self.row.span_id

    @property
    def parent_span_id(self) -> str | None:
        """The span it is part of."""
        return self.log.execlave.parent_span_id

    @property
    def started_at_ms(self) -> int:
        """When it started."""
        return self.row.occurred_at_ms

    @property
    def duration_ms(self) -> float:
        """How long it took; 0 where that is not known or not possible."""
        return max(0.0, self.log.duration_ms or 0.0)

    @property
    def status(self) -> TraceStatus:
        """How it ended."""
        return _STATUSES[self.row.status]

    @property
    def is_erased(self) -> bool:
        """True where its content was erased."""
        return self.row.erased is not None


class Timeline(Struct, frozen=True):
    """The spans in reading order; `more` where there are more than are read."""

    trace_id: str
    spans: list[TimelineSpan]
    parent: str | None
    children: list[str]
    more: bool

    @property
    def own(self) -> list[TimelineSpan]:
        """The spans of the trace itself."""
        return [span for span in self.spans if span.relation is Relation.OWN]

    @property
    def root(self) -> TimelineSpan:
        """The span that the others of the trace stand in, or the first of them."""
        return min(self.own, key=lambda span: span.depth)

    @property
    def status(self) -> TraceStatus:
        """The worst that became of any span of the trace."""
        return min((span.status for span in self.own), key=_WORST_FIRST.index)


async def read_timeline(services: Services, caller: Caller, trace_id: str) -> Timeline:
    """The timeline of a trace. Raises NotFoundError, alike for one of another organization and for none."""
    rows = await _spans(services, caller, trace_id, SPANS_MAX + 1)
    if not rows:
        raise NotFoundError(f"There is no trace {trace_id[:ID_CHARS_MAX]!r} in this organization.")
    more, own = len(rows) > SPANS_MAX, _read(rows[:SPANS_MAX], Relation.OWN)
    parent = next((named for span in own if (named := span.log.parent_trace_id) and named != trace_id), None)
    children = await _children(services, caller, trace_id, own)
    groups = [own]
    related = [(parent, Relation.PARENT)] if parent else []
    for linked, relation in [*related, *((child, Relation.CHILD) for child in children)]:
        room = SPANS_MAX - sum(len(group) for group in groups)
        found = await _spans(services, caller, linked, room + 1)
        more = more or len(found) > room
        groups.append(_read(found[:room], relation))
    return Timeline(trace_id, _arranged(groups), parent, children, more)


def _arranged(groups: list[list[TimelineSpan]]) -> list[TimelineSpan]:
    """The parent's spans, the trace's own inside them, then the traces that it led to."""
    outer = 1 if any(group and group[0].relation is Relation.PARENT for group in groups) else 0
    depths = {Relation.PARENT: 0, Relation.OWN: outer, Relation.CHILD: outer + 1}
    return [
        msgspec.structs.replace(span, depth=depth + depths[relation])
        for relation in Relation
        for group in groups
        if group and group[0].relation is relation
        for span, depth in arrange_spans(group)
    ]


def _read(rows: list[TimelineRow], relation: Relation) -> list[TimelineSpan]:
    return [TimelineSpan(row, read_span_log(row.log), relation) for row in rows]


async def _spans(services: Services, caller: Caller, trace_id: str, limit: int) -> list[TimelineRow]:
    if not 1 <= len(trace_id) <= ID_CHARS_MAX:
        return []
    wanted: Parameters = {
        "organization": caller.organization,
        "trace_key": identify(caller.organization_id, trace_id, "").trace_key,
        "trace_id": trace_id,
        "limit": limit,
    }
    return await services.store.find(TimelineRow, "timeline_spans", wanted)


async def _children(services: Services, caller: Caller, trace_id: str, own: list[TimelineSpan]) -> list[str]:
    """The traces that name this one as their parent, among those received around it."""
    named = b'"parent_trace_id":' + msgspec.json.encode(trace_id)
    wanted: Parameters = {
        "organization": caller.organization,
        "first": own[0].id - LOOK_BEFORE,
        "last": own[-1].id + LOOK_BEHIND,
        "named": named,
        "limit": LINKED_MAX,
    }
    rows = await services.store.rows("traces_of_parent", wanted)
    return sorted(str(row[0]) for row in rows if row[0] != trace_id)


def span_facts(span: TimelineSpan) -> dict[str, Any]:
    """What the log says of a span, by its own names, absent ones omitted."""
    said = msgspec.to_builtins(span.log)
    governed = said.pop("execlave")
    return {name: value for name, value in {**said, **governed}.items() if value not in (None, (), [], "", False)}
