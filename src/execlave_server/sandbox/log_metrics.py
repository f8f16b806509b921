"""Metrics made from logs: counted over the logs that arrive after the metric was created."""

from collections import OrderedDict
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from execlave_server.datadog.facets import facet_values, measure_of
from execlave_server.sandbox.limits import METRIC_POINTS_IN_ALL_MAX, METRIC_POINTS_MAX, METRIC_SERIES_MAX
from execlave_server.sandbox.match_logs import compile_matcher
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.processors import QueryFilter, Text

MINUTE_MS = 60_000


class MetricCompute(Struct, kw_only=True, omit_defaults=True):
    """What is made of the matching logs."""

    aggregation_type: Literal["count", "distribution"]
    path: str | UnsetType = UNSET
    include_percentiles: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.aggregation_type == "distribution" and not self.path:
            raise ValueError("`path` is needed for a distribution")
        if self.aggregation_type == "count" and self.path:
            raise ValueError("`path` does not go with a count")


class MetricGroup(Struct, kw_only=True):
    """A dimension: where it is read, and the tag it becomes."""

    path: Text
    tag_name: str | UnsetType = UNSET

    @property
    def tag(self) -> str:
        """The tag's key."""
        return self.tag_name if isinstance(self.tag_name, str) else self.path.removeprefix("@")


class MetricAttributes(Struct, kw_only=True):
    """The attributes of a metric."""

    compute: MetricCompute
    filter: QueryFilter = QueryFilter("*")
    group_by: Annotated[list[MetricGroup], Meta(max_length=10)] = []


class MetricData(Struct, kw_only=True):
    """A metric as the API takes it and gives it back."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]*$", max_length=200)]
    type: Literal["logs_metrics"]
    attributes: MetricAttributes


class MetricBody(Struct):
    """`{"data": ...}`."""

    data: MetricData


class Point(Struct, array_like=True):
    """One minute of one series."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0


class LogMetric:
    """One metric and its points, newest minutes kept."""

    def __init__(self, data: MetricData) -> None:
        """Raises SearchSyntaxError for a filter that is no query."""
        self.data = data
        self._matches = compile_matcher(data.attributes.filter.query)
        self._series: dict[tuple[str, ...], OrderedDict[int, Point]] = {}
        self._points = 0
        self.left_out = 0  # logs of series beyond the limit

    def count(self, log: PreparedLog) -> None:
        """Count a log that matches and has the number."""
        if not self._matches(log):
            return
        compute = self.data.attributes.compute
        value: float | None = 1.0
        if isinstance(compute.path, str):
            value = measure_of(log, compute.path)
        if value is None:
            return
        tags = tuple(f"{group.tag}:{text}" for group in self._groups for text in facet_values(log, group.path)[:1])
        series = self._series.get(tags)
        if series is None:
            if len(self._series) >= METRIC_SERIES_MAX:
                self.left_out += 1
                return
            series = self._series[tags] = OrderedDict()
        self._add(series, log.timestamp_ms - log.timestamp_ms % MINUTE_MS, value)

    @property
    def _groups(self) -> list[MetricGroup]:
        return self.data.attributes.group_by

    def _add(self, series: OrderedDict[int, Point], minute_ms: int, value: float) -> None:
        point = series.get(minute_ms)
        if point is None:
            point = series[minute_ms] = Point(least=value, most=value)
            self._points += 1
            while len(series) > 1 and (len(series) > METRIC_POINTS_MAX or self._points > METRIC_POINTS_IN_ALL_MAX):
                series.popitem(last=False)
                self._points -= 1
        point.count += 1
        point.total += value
        point.least, point.most = min(point.least, value), max(point.most, value)

    def report(self) -> dict[str, Any]:
        """What was counted, for the sandbox's own endpoint."""
        points = [
            {
                "minute_ms": minute_ms,
                "tags": list(tags),
                "count": point.count,
                "sum": point.total,
                "min": point.least,
                "max": point.most,
            }
            for tags, series in self._series.items()
            for minute_ms, point in series.items()
        ]
        return {"id": self.data.id, "points": points, "left_out": self.left_out}
