"""Counts and measures over groups of logs, as `POST /api/v2/logs/analytics/aggregate` answers them. Pure."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from execlave_server.datadog.facets import facet_values, measure_of
from execlave_server.datadog.monitors.monitor_query import Aggregation
from execlave_server.sandbox.prepared_log import PreparedLog

TOTAL = "__TOTAL__"  # the value of a facet in its bucket of totals; what Datadog writes there is not recorded


class Measure(NamedTuple):
    """A function and what it is over; only a count is over nothing."""

    function: Aggregation
    metric: str | None


@dataclass(frozen=True, slots=True)
class Compute:
    """One figure asked for; `interval_ms` makes it a series."""

    measure: Measure
    interval_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GroupBy:
    """One facet to group by. `missing` names the group of the logs without it; `total` adds a bucket of all."""

    facet: str
    limit: int
    order_by: Measure | None  # None: by the value itself
    descending: bool
    missing: str | None = None
    total: str | None = None
    histogram: tuple[float, float, float] | None = None  # interval, least, most


class Row(NamedTuple):
    """What one log brings: its time, its values of each facet, its values of each metric."""

    timestamp_ms: int
    groups: tuple[tuple[str, ...], ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole aggregation."""

    computes: Sequence[Compute]
    group_by: Sequence[GroupBy]

    @property
    def metrics(self) -> list[Measure]:
        """Each measure once, in the order of a row's values."""
        asked = [compute.measure for compute in self.computes]
        return list(dict.fromkeys(asked + [group.order_by for group in self.group_by if group.order_by]))


def read_row(plan: Plan, log: PreparedLog) -> Row:
    """What this log brings to the plan."""
    groups = tuple(tuple(values_of_group(group, log)) for group in plan.group_by)
    return Row(log.timestamp_ms, groups, tuple(value_of(measure, log) for measure in plan.metrics))


def values_of_group(group: GroupBy, log: PreparedLog) -> list[str]:
    """The groups of one facet that the log falls into."""
    if group.histogram is not None:
        interval, least, most = group.histogram
        number = measure_of(log, group.facet)
        if number is None or not least <= number <= most:
            return []
        return [f"{least + math.floor((number - least) / interval) * interval:g}"]
    values = facet_values(log, group.facet)
    return values or ([group.missing] if group.missing is not None else [])


def value_of(measure: Measure, log: PreparedLog) -> Any:
    """What a log brings to a measure."""
    if measure.function is Aggregation.COUNT or measure.metric is None:
        return 1
    if measure.function is Aggregation.CARDINALITY:
        return facet_values(log, measure.metric)
    return measure_of(log, measure.metric)


def aggregate(plan: Plan, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The buckets of the answer: `{"by": {...}, "computes": {"c0": ...}}`."""
    if not plan.group_by:
        return [bucket(plan, {}, rows)]
    return group_rows(plan, 0, {}, rows)


def group_rows(plan: Plan, depth: int, by: dict[str, str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The buckets of the groups from facet `depth` on."""
    if depth == len(plan.group_by):
        return [bucket(plan, by, rows)]
    group = plan.group_by[depth]
    members: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for value in row.groups[depth]:
            members[value].append(row)
    buckets: list[dict[str, Any]] = []
    for value in rank_groups(plan, group, members)[: group.limit]:
        buckets += group_rows(plan, depth + 1, by | {group.facet: value}, members[value])
    if group.total is not None:
        buckets.append(bucket(plan, by | {group.facet: group.total}, rows))
    return buckets


def rank_groups(plan: Plan, group: GroupBy, members: dict[str, list[Row]]) -> list[str]:
    """The values in the order asked for; equal ones by name."""
    names = sorted(members)
    if group.order_by is None:
        return names[::-1] if group.descending else names
    column = plan.metrics.index(group.order_by)
    figures = {name: fold(group.order_by, [row.values[column] for row in members[name]]) for name in names}
    sign = -1 if group.descending else 1
    return sorted(names, key=lambda name: (figures[name] is None, sign * (figures[name] or 0.0)))


def bucket(plan: Plan, by: dict[str, str], rows: Sequence[Row]) -> dict[str, Any]:
    """One bucket; a figure without data is left out."""
    metrics = plan.metrics
    computes: dict[str, Any] = {}
    for number, compute in enumerate(plan.computes):
        column = metrics.index(compute.measure)
        figure: Any
        if compute.interval_ms is None:
            figure = fold(compute.measure, [row.values[column] for row in rows])
        else:
            figure = series(compute.measure, column, compute.interval_ms, rows)
        if figure is not None:
            computes[f"c{number}"] = figure
    return {"by": by, "computes": computes}


def series(measure: Measure, column: int, interval_ms: int, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The figure of each interval that has data."""
    points: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        points[row.timestamp_ms - row.timestamp_ms % interval_ms].append(row.values[column])
    folded = [(time_ms, fold(measure, values)) for time_ms, values in sorted(points.items())]
    return [{"time": show_time(time_ms), "value": figure} for time_ms, figure in folded if figure is not None]


def fold(measure: Measure, values: Sequence[Any]) -> float | int | None:
    """The figure of one group; None where no log has the number."""
    if measure.function is Aggregation.COUNT:
        return len(values)
    if measure.function is Aggregation.CARDINALITY:
        return len({each for held in values for each in held})
    numbers = sorted(value for value in values if value is not None)
    if not numbers:
        return None
    rank = measure.function.rank
    return FOLDS[measure.function](numbers) if rank is None else percentile(numbers, rank)


def percentile(numbers: Sequence[float], rank: float) -> float:
    """The value at `rank` of sorted numbers, between neighbours in proportion. Datadog's is a sketch, near to it."""
    place = rank * (len(numbers) - 1)
    below = math.floor(place)
    above = min(below + 1, len(numbers) - 1)
    return float(numbers[below] + (numbers[above] - numbers[below]) * (place - below))


# Of sorted numbers, at least one.
FOLDS: Mapping[Aggregation, Callable[[Sequence[float]], float]] = {
    Aggregation.SUM: math.fsum,
    Aggregation.MIN: lambda numbers: numbers[0],
    Aggregation.MAX: lambda numbers: numbers[-1],
    Aggregation.AVG: lambda numbers: math.fsum(numbers) / len(numbers),
}


def show_time(time_ms: int) -> str:
    """ISO 8601 with milliseconds and `Z`, as Datadog writes every time of a log."""
    moment = datetime.fromtimestamp(time_ms // 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1_000:03d}Z"
