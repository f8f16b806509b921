"""One monitor at work: its body, its evaluation, and what became of it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from execlave_server.datadog.monitors.evaluate_monitor import Change, MonitorEvaluation
from execlave_server.datadog.monitors.log_monitor import LogMonitor
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, Status
from execlave_server.datadog.monitors.parse_monitor_query import MonitorQueryError, parse_monitor_query
from execlave_server.datadog.search.match_log import SearchableLog
from execlave_server.errors import ValidationFailedError
from execlave_server.sandbox.limits import HISTORY_EVENTS_MAX, VALUES_SHOWN_MAX
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
    work: LogMonitor
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
        return self.work.query.group_by

    @property
    def evaluation(self) -> MonitorEvaluation:
        """Its groups and their states."""
        return self.work.evaluation

    def feed(self, log: SearchableLog) -> None:
        """Count a log that matches; one from before the first window is none of its business."""
        if log.timestamp_ms * 1_000 >= self.created_us - self.work.query.window_us:
            self.work.add(log)

    def is_due(self, at_us: int) -> bool:
        """Whether its minute, or its ten minutes, have begun anew since it was evaluated."""
        every_us = self.evaluation.every_us
        return self.evaluated_us is None or at_us // every_us > self.evaluated_us // every_us

    def evaluate(self, at_us: int) -> list[Change]:
        """Hold it against the thresholds, and keep what the page draws."""
        before = self.evaluation.overall
        changes = self.work.evaluate(at_us)
        self.evaluated_us = at_us
        if self.overall_since_us is None or self.evaluation.overall is not before:
            self.overall_since_us = at_us
        states = self.evaluation.groups.values()
        values = [state.value for state in states if state.value is not None]
        upwards = self.evaluation.query.comparator.upwards is not False
        worst = (max if upwards else min)(values) if values else None
        self.drawn.append(Drawn(at_us, worst, sum(state.status in {Status.ALERT, Status.WARN} for state in states)))
        return changes


def open_monitor(monitor_id: int, body: dict[str, Any], now_us: int) -> HeldMonitor:
    """The monitor a body describes. Raises ApiRefusedError in the API's words for what Datadog refuses."""
    kept = {name: body[name] for name in FIELDS if name in body}
    try:
        critical = parse_monitor_query(str(kept.get("query", ""))).threshold
        work = LogMonitor(msgspec.convert(fill_in(kept, critical), MonitorDefinition))
    except MonitorQueryError as error:
        raise ApiRefusedError(400, f"{QUERY_REFUSED}{error}") from error
    except (msgspec.ValidationError, ValidationFailedError) as error:
        raise ApiRefusedError(400, f"{error}") from error
    return HeldMonitor(id=monitor_id, body=kept, work=work, created_us=now_us, modified_us=now_us)


def fill_in(body: dict[str, Any], critical: float) -> dict[str, Any]:
    """The body with what Datadog takes for granted: the critical threshold is the query's."""
    options = drop_nulls(body.get("options") or {}, "options")
    thresholds = {"critical": critical, **drop_nulls(options.get("thresholds") or {}, "options.thresholds")}
    given = {name: value for name, value in body.items() if value is not None}
    return {"name": "", "message": "", **given, "options": {**options, "thresholds": thresholds}}


def drop_nulls(fields: Any, name: str) -> dict[str, Any]:
    """What was given; Datadog's clients write null for what was not. Raises ApiRefusedError for no object."""
    if not isinstance(fields, dict):
        raise ApiRefusedError(400, f"The value provided for parameter '{name}' is invalid: it must be an object")
    return {key: value for key, value in fields.items() if value is not None}
