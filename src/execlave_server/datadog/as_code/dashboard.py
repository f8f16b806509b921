"""The dashboard: what the agents do, what is stopped, what it costs, and whether the stream is whole."""

from typing import Any

from msgspec import Struct

from execlave_server.datadog.as_code.searches import EVERY_LOG, ONCE, STOPPED, TRACES

TOP = 10  # rows of a list, lines of a graph


class Sort(Struct, frozen=True, omit_defaults=True):
    """The order of groups."""

    aggregation: str
    metric: str | None = None
    order: str = "desc"


class GroupBy(Struct, frozen=True):
    """An attribute to group by."""

    facet: str
    sort: Sort
    limit: int = TOP


class Search(Struct, frozen=True):
    """Which logs."""

    query: str


class Compute(Struct, frozen=True, omit_defaults=True):
    """What is made of them."""

    aggregation: str
    metric: str | None = None


class LogQuery(Struct, frozen=True):
    """One query of logs, named so that a formula can use it."""

    search: Search
    compute: Compute
    group_by: tuple[GroupBy, ...] = ()
    name: str = "q"
    data_source: str = "logs"
    indexes: tuple[str, ...] = ("*",)


class Widget(Struct, frozen=True):
    """One widget; `definition` is Datadog's, which differs from type to type."""

    definition: dict[str, Any]


class Dashboard(Struct, frozen=True):
    """The body of `POST /api/v1/dashboard`. It is found again by its title."""

    title: str
    description: str
    widgets: tuple[Widget, ...]
    layout_type: str = "ordered"


def _query(search: str, aggregation: str = "count", metric: str | None = None, by: tuple[str, ...] = ()) -> LogQuery:
    groups = tuple(GroupBy(facet, Sort(aggregation, metric)) for facet in by)
    return LogQuery(Search(search), Compute(aggregation, metric), groups)


def _over_time(title: str, query: LogQuery, display: str = "bars") -> Widget:
    request = {
        "response_format": "timeseries",
        "display_type": display,
        "formulas": [{"formula": query.name}],
        "queries": [query],
    }
    return Widget({"type": "timeseries", "title": title, "show_legend": True, "requests": [request]})


def _top(title: str, query: LogQuery) -> Widget:
    request = {"response_format": "scalar", "formulas": [{"formula": query.name}], "queries": [query]}
    return Widget({"type": "toplist", "title": title, "requests": [request]})


def _number(title: str, query: LogQuery, precision: int = 0) -> Widget:
    request = {"response_format": "scalar", "formulas": [{"formula": query.name}], "queries": [query]}
    return Widget({"type": "query_value", "title": title, "precision": precision, "requests": [request]})


def _logs(title: str, search: str, columns: tuple[str, ...]) -> Widget:
    request = {
        "response_format": "event_list",
        "columns": [{"field": field, "width": "auto"} for field in ("status_line", "timestamp", *columns)],
        "query": {"data_source": "logs_stream", "query_string": search, "indexes": []},
    }
    return Widget({"type": "list_stream", "title": title, "requests": [request]})


DASHBOARD = Dashboard(
    title="Execlave: agents under governance",
    description="Traces, interventions, spend and governance events. Kept by execlave-server; your changes to it are "
    "overwritten by the next `datadog apply`, so clone it first.",
    widgets=(
        _number("Traces", _query(f"{ONCE} {TRACES}")),
        _number("Stopped or flagged", _query(f"{ONCE} {STOPPED}")),
        _number("Spent, US dollars", _query(ONCE, "sum", "@cost_usd"), precision=2),
        _number("Agents at work", _query(f"{ONCE} {TRACES}", "cardinality", "@agent_id")),
        _over_time("Traces by status", _query(f"{ONCE} {TRACES}", by=("@execlave.status",))),
        _over_time("Stopped or flagged by agent", _query(f"{ONCE} {STOPPED}", by=("@agent_id",))),
        _top("Policies that object", _query(f"{ONCE} {STOPPED}", by=("@execlave.policy_types",))),
        _top("Spend by agent", _query(ONCE, "sum", "@cost_usd", by=("@agent_id",))),
        _over_time("Spend by model", _query(ONCE, "sum", "@cost_usd", by=("@model",)), "area"),
        _over_time("Duration, 95th percentile", _query(ONCE, "pc95", "@duration_ms", by=("@agent_id",)), "line"),
        _top("Agents nobody registered", _query(f"{ONCE} @execlave.unregistered:true", by=("@agent_id",))),
        _over_time(
            "Logs that wait, by the heartbeat",
            _query(f"{EVERY_LOG} @execlave.event:heartbeat", "max", "@execlave.backlog"),
            "line",
        ),
        _logs(
            "Governance events",
            f"{ONCE} @execlave.event:* -@execlave.event:heartbeat",
            ("@execlave.event", "@agent_id", "content"),
        ),
        _logs(
            "Stopped or flagged",
            f"{ONCE} {STOPPED}",
            ("@agent_name", "@execlave.status", "@execlave.policy_types", "@execlave.trace_url", "content"),
        ),
    ),
)
