"""One monitor at work: its body, its evaluation, and what became of it."""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from execlave_server.datadog.monitors.evaluate_monitor import Change, Group, MonitorEvaluation
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, Status, require_valid
from execlave_server.datadog.monitors.monitor_query import Aggregation
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query
from execlave_server.errors import ValidationFailedError
from execlave_server.sandbox.facets import facet_values, measure_of
from execlave_server.sandbox.limits import HISTORY_EVENTS_MAX, VALUES_SHOWN_MAX
from execlave_server.sandbox.match_logs import Matches, SearchSyntaxError, compile_matcher
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.refusals import ApiRefusedError

FIELDS = ("name", "type", "query", "message", "tags", "priority", "options", "restricted_roles")
OPTIONS = {
    "notify_audit": False,
    "silenced": dict[str, Any](),
    "include_tags": True,
    "new_host_delay": 300,
    "notify_no_data": False,
    "groupby_simple_monitor": False,
}
QUERY_REFUSED = "The value provided for parameter 'query' is invalid: "
GROUPS_OF_LOG_MAX = 100  # combinations of the values of one log's arrays


class Event(msgspec.Struct, kw_only=True):
    """One line of a monitor's history: a change of state, and what was told of it."""

    at_us: int
    group: str
    before: str
    after: str
    value: float | None
    transition: str | None = None  # None: nobody was told
    title: str | None = None
    body: str | None = None
    handles: list[str] = []
    posted: str = ""  # what became of the webhook


class Drawn(msgspec.Struct, array_like=True):
    """One evaluation as it is drawn: the worst value over the groups, and how many groups are in Alert or Warn."""

    at_us: int
    value: float | None
    alerting: int


@dataclass(slots=True)
class HeldMonitor:
    """A monitor, from its creation to its deletion."""

    id: int
    body: dict[str, Any]
    evaluation: MonitorEvaluation
    matches: Matches
    created_us: int
    modified_us: int
    fed: int = 0  # sequence number of the last log it was given
    evaluated_us: int | None = None
    overall_since_us: int | None = None
    history: deque[Event] = field(default_factory=lambda: deque(maxlen=HISTORY_EVENTS_MAX))
    drawn: deque[Drawn] = field(default_factory=lambda: deque(maxlen=VALUES_SHOWN_MAX))

    @property
    def group_by(self) -> tuple[str, ...]:
        """What it groups by."""
        return self.evaluation.query.group_by

    def feed(self, log: PreparedLog) -> None:
        """Count a log that matches; one from before the first window is none of its business."""
        at_us = log.timestamp_ms * 1_000
        if at_us < self.created_us - self.evaluation.query.window_us or not self.matches(log):
            return
        for value in self._values(log):
            for group in groups_of(log, self.group_by):
                self.evaluation.add(group, at_us, value, log)

    def _values(self, log: PreparedLog) -> list[Any]:
        query = self.evaluation.query
        if query.aggregation is Aggregation.COUNT or query.measure is None:
            return [1.0]
        if query.aggregation is Aggregation.CARDINALITY:
            return list(facet_values(log, query.measure))
        number = measure_of(log, query.measure)
        return [] if number is None else [number]

    def evaluate(self, at_us: int) -> list[Change]:
        """Hold it against the thresholds, and keep what the page draws."""
        before = self.evaluation.overall
        changes = self.evaluation.evaluate(at_us)
        self.evaluated_us = at_us
        if self.overall_since_us is None or self.evaluation.overall is not before:
            self.overall_since_us = at_us
        states = self.evaluation.groups.values()
        values = [state.value for state in states if state.value is not None]
        upwards = self.evaluation.query.comparator.upwards is not False
        worst = (max if upwards else min)(values) if values else None
        self.drawn.append(Drawn(at_us, worst, sum(state.status in {Status.ALERT, Status.WARN} for state in states)))
        return changes


def groups_of(log: PreparedLog, group_by: tuple[str, ...]) -> Iterator[Group]:
    """The groups the log falls into: one unless it has arrays, none where it lacks a value."""
    values = [facet_values(log, facet) for facet in group_by]
    return itertools.islice(itertools.product(*values), GROUPS_OF_LOG_MAX)


def open_monitor(monitor_id: int, body: dict[str, Any], now_us: int) -> HeldMonitor:
    """The monitor a body describes. Raises ApiRefusedError in the API's words for what Datadog refuses."""
    kept = {name: body[name] for name in FIELDS if name in body}
    try:
        query = parse_monitor_query(str(kept.get("query", "")))
    except ValidationFailedError as error:
        raise ApiRefusedError(400, f"{QUERY_REFUSED}{error}") from error
    options = dict(kept.get("options") or {})
    thresholds = {"critical": query.threshold, **(options.get("thresholds") or {})}
    defaults = {"name": "", "message": ""}
    filled = {**defaults, **drop_nulls(kept), "options": {**drop_nulls(options), "thresholds": drop_nulls(thresholds)}}
    try:
        definition = msgspec.convert(filled, MonitorDefinition)
        require_valid(definition, query)
        matches = compile_matcher(query.search)
    except SearchSyntaxError as error:
        raise ApiRefusedError(400, f"{QUERY_REFUSED}{error}") from error
    except (msgspec.ValidationError, ValidationFailedError) as error:
        raise ApiRefusedError(400, f"{error}") from error
    return HeldMonitor(
        id=monitor_id,
        body=kept,
        evaluation=MonitorEvaluation(definition, query),
        matches=matches,
        created_us=now_us,
        modified_us=now_us,
    )


def drop_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """What was given; Datadog's clients write null for what was not."""
    return {name: value for name, value in fields.items() if value is not None}
