"""Metrics made of the logs: 15 months of history, also of logs that are not indexed. They begin when they are made."""

from typing import Literal

from msgspec import Struct

from execlave_server.datadog.as_code.searches import ONCE, STOPPED


class Compute(Struct, frozen=True, omit_defaults=True):
    """Count logs, or keep the distribution of a measure."""

    aggregation_type: Literal["count", "distribution"]
    path: str | None = None
    include_percentiles: bool | None = None


class Filter(Struct, frozen=True):
    """Which logs."""

    query: str


class GroupBy(Struct, frozen=True):
    """An attribute that becomes a tag of the metric."""

    path: str
    tag_name: str


class Attributes(Struct, frozen=True):
    """What a metric is."""

    compute: Compute
    filter: Filter
    group_by: tuple[GroupBy, ...]


class Metric(Struct, frozen=True):
    """`data` of `POST /api/v2/logs/config/metrics`; `id` is the metric's name."""

    id: str
    attributes: Attributes
    type: str = "logs_metrics"


class MetricBody(Struct, frozen=True):
    """The body of the request."""

    data: Metric


def _by(*names: str) -> tuple[GroupBy, ...]:
    return tuple(GroupBy(f"@{name}", name.rpartition(".")[2]) for name in names)


METRICS = (
    MetricBody(
        Metric(
            "execlave.spend_usd",
            Attributes(
                Compute("distribution", "@cost_usd", include_percentiles=True),
                Filter(ONCE),
                _by("agent_id", "environment", "model"),
            ),
        )
    ),
    MetricBody(
        Metric(
            "execlave.violations",
            Attributes(
                Compute("count"),
                Filter(f"{ONCE} {STOPPED}"),
                _by("agent_id", "environment", "autonomy_level", "execlave.status"),
            ),
        )
    ),
)
