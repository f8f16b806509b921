"""`POST /api/v2/logs/analytics/aggregate`: what is asked for, checked, and answered."""

from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from execlave_server.datadog.monitors.monitor_query import Aggregation
from execlave_server.sandbox.aggregate import TOTAL, Compute, GroupBy, Measure, Plan, aggregate, read_row
from execlave_server.sandbox.api_requests import read_as
from execlave_server.sandbox.date_math import read_bound_ms, read_interval_ms
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import GROUP_FACETS_MAX, GROUPS_DEFAULT, GROUPS_MAX, TIMESERIES_POINTS_MAX
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.search_logs import LogFilter, answer_meta, open_filter
from execlave_server.sandbox.state import STATE, SandboxState

COMPUTES_MAX = 20  # figures of one answer
INTERVAL_DEFAULT_MS = 300_000  # five minutes, where a series names none


class ComputeBody(Struct):
    """One figure."""

    aggregation: Aggregation
    metric: str | None = None
    type: Literal["total", "timeseries"] = "total"
    interval: str | None = None


class SortBody(Struct):
    """The order of a facet's groups."""

    type: Literal["alphabetical", "measure"] = "alphabetical"
    aggregation: Aggregation | None = None
    metric: str | None = None
    order: Literal["asc", "desc"] | None = None


class HistogramBody(Struct):
    """Groups of equal width over a number."""

    interval: Annotated[float, Meta(gt=0)]
    min: float
    max: float


class GroupBody(Struct):
    """One facet."""

    facet: Annotated[str, Meta(min_length=1)]
    limit: Annotated[int, Meta(ge=1, le=GROUPS_MAX)] = GROUPS_DEFAULT
    sort: SortBody | None = None
    missing: str | float | None = None
    total: bool | str | float | None = None
    histogram: HistogramBody | None = None


class AggregateBody(Struct):
    """The whole request."""

    compute: Annotated[list[ComputeBody], Meta(max_length=COMPUTES_MAX)] = msgspec.field(
        default_factory=lambda: [ComputeBody(Aggregation.COUNT)]
    )
    filter: LogFilter = msgspec.field(default_factory=LogFilter)
    group_by: Annotated[list[GroupBody], Meta(max_length=GROUP_FACETS_MAX)] = []


async def aggregate_logs(request: web.Request) -> web.Response:
    """The recorded shape: computes are named c0, c1 in the order asked for."""
    state = request.app[STATE]
    started_us = state.clock.elapsed_us()
    wanted = await read_as(request, AggregateBody)
    buckets = await compute_buckets(state, wanted)
    return json_answer({"meta": answer_meta(state, started_us), "data": {"buckets": buckets}})


async def compute_buckets(state: SandboxState, wanted: AggregateBody) -> list[dict[str, Any]]:
    """The buckets over the logs that match."""
    plan = read_plan(wanted)
    check_points(plan, wanted.filter, state.clock.now_us())
    await state.index.catch_up(state.clock.now_us())
    matches, places = open_filter(state, wanted.filter)
    return aggregate(plan, [read_row(plan, log) async for log in state.index.walk(places) if matches(log)])


def read_plan(wanted: AggregateBody) -> Plan:
    """What to compute. Raises ApiRefusedError for a function that lacks its metric."""
    computes = [
        Compute(
            read_measure(each.aggregation, each.metric),
            None if each.type == "total" else interval_of(each.interval),
        )
        for each in wanted.compute
    ]
    return Plan(computes, [read_group(each, computes) for each in wanted.group_by])


def interval_of(text: str | None) -> int:
    """Milliseconds; five minutes where none is named."""
    return INTERVAL_DEFAULT_MS if text is None else read_interval_ms(text)


def read_measure(function: Aggregation, metric: str | None) -> Measure:
    """A function with its metric."""
    if function is Aggregation.COUNT:
        return Measure(function, None)
    if not metric:
        raise ApiRefusedError(400, f"Invalid compute: {function.value} needs a `metric`, such as @cost_usd")
    return Measure(function, metric)


def read_group(body: GroupBody, computes: list[Compute]) -> GroupBy:
    """One facet. Unless told otherwise the largest groups of the first figure come first."""
    order_by, descending = computes[0].measure if computes else Measure(Aggregation.COUNT, None), True
    if body.sort is not None and body.sort.type == "measure":
        order_by = read_measure(body.sort.aggregation or Aggregation.COUNT, body.sort.metric)
        descending = body.sort.order != "asc"
    by_name = body.sort is not None and body.sort.type == "alphabetical"
    histogram = body.histogram
    return GroupBy(
        facet=body.facet,
        limit=body.limit,
        order_by=None if by_name else order_by,
        descending=body.sort is not None and body.sort.order == "desc" if by_name else descending,
        missing=None if body.missing is None else str(body.missing),
        total=read_total(body.total),
        histogram=(histogram.interval, histogram.min, histogram.max) if histogram else None,
    )


def read_total(total: str | float | None) -> str | None:
    """The name of the bucket of totals; none unless asked for."""
    if total is None or total is False:  # JSON's true and false come as numbers do
        return None
    return TOTAL if total is True else str(total)


def check_points(plan: Plan, wanted: LogFilter, now_us: int) -> None:
    """Refuse a series of more points than anybody looks at."""
    span_ms = read_bound_ms(wanted.to, now_us, "to") - read_bound_ms(wanted.from_, now_us, "from")
    for compute in plan.computes:
        if compute.interval_ms and span_ms / compute.interval_ms > TIMESERIES_POINTS_MAX:
            raise ApiRefusedError(400, f"Invalid interval: the series would have over {TIMESERIES_POINTS_MAX} points")
