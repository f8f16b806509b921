"""When a log monitor fires, and for whom: logs go in once, and each evaluation gives the changes of state.

Source: Datadog's documentation of log monitors and of monitor options; where it is silent, the comment says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from execlave_server.datadog.monitors.monitor_definition import (
    MonitorDefinition,
    OnMissingData,
    Status,
    Thresholds,
)
from execlave_server.datadog.monitors.monitor_query import MINUTE_US, Aggregation, MonitorQuery
from execlave_server.datadog.monitors.sliding_window import Window, open_window

GROUPS_MAX = 1_000  # Datadog evaluates the first thousand groups; a group beyond them is not evaluated
SLOW_WINDOW_US = 24 * 60 * MINUTE_US  # from here on Datadog evaluates each 10 minutes instead of each minute
SLOW_EVERY_US = 10 * MINUTE_US

Group: TypeAlias = tuple[str, ...]


class Why(StrEnum):
    """Why somebody is told of a group."""

    ALERT = "alert"
    WARNING = "warning"
    RECOVERY = "recovery"
    NO_DATA = "no data"
    RENOTIFY = "renotify"


@dataclass(frozen=True, slots=True)
class Change:
    """A group whose state changed, or of which somebody is told again. `notify` None: it only shows.

    `value` is what was held against the thresholds, None where there was none; `log` a log of the group.
    """

    at_us: int
    group: Group
    before: Status
    after: Status
    value: float | None
    notify: Why | None
    log: Any = None


@dataclass(slots=True)
class GroupState:
    """What is known of one group. A state that has not been evaluated yet is No Data, as Datadog shows it."""

    window: Window
    first_seen_us: int
    last_seen_us: int
    status: Status = Status.NO_DATA
    value: float | None = None
    since_us: int | None = None
    last_triggered_us: int | None = None
    told_us: int | None = None
    told_again: int = 0
    log: Any = None
    at_rest: bool = False
    """Nothing is in its window and nothing changed: until a log comes, no evaluation can change anything."""


@dataclass(slots=True)
class MonitorEvaluation:
    """A monitor at work. `add` its matching logs in any order, `evaluate` forwards in time.

    The window of an evaluation is made of whole minutes and ends with the one that holds the moment before it, so an
    evaluation at a full minute looks at exactly the last N minutes. A log counts from the evaluation after `add`.
    """

    definition: MonitorDefinition
    query: MonitorQuery
    groups: dict[Group, GroupState] = field(default_factory=dict)
    left_out: int = 0
    """Logs of groups beyond the thousandth."""
    evaluated_us: int | None = None

    def add(self, group: Group, at_us: int, value: float | str, log: Any = None) -> None:
        """Count a log that matches the search: its group, its own time, and what the measure says of it."""
        state = self.groups.get(group)
        if state is None:
            if len(self.groups) >= GROUPS_MAX:
                self.left_out += 1
                return
            state = self.groups[group] = GroupState(open_window(self.query.aggregation), at_us, at_us)
        state.window.add(at_us // MINUTE_US, value)
        state.at_rest = False
        state.first_seen_us = min(state.first_seen_us, at_us)
        if at_us >= state.last_seen_us:
            state.last_seen_us = at_us
            state.log = log

    @property
    def every_us(self) -> int:
        """How often Datadog evaluates it."""
        return SLOW_EVERY_US if self.query.window_us >= SLOW_WINDOW_US else MINUTE_US

    @property
    def overall(self) -> Status:
        """The gravest state of any group, as the monitor itself shows it."""
        found = {state.status for state in self.groups.values() if state.since_us is not None}
        return next((status for status in _GRAVEST_FIRST if status in found), Status.NO_DATA)

    def evaluate(self, at_us: int) -> list[Change]:
        """Hold every group against the thresholds; what changed, in the order of the groups."""
        at_us = max(at_us, self.evaluated_us or 0)
        self.evaluated_us = at_us
        if not self.query.group_by and () not in self.groups:  # one that groups by nothing has its one group always
            self.groups[()] = GroupState(open_window(self.query.aggregation), at_us, at_us)
        options = self.definition.options
        seen_us = at_us - (options.evaluation_delay or 0) * 1_000_000
        last = (seen_us - 1) // MINUTE_US
        changes = []
        for group, state in list(self.groups.items()):
            if not state.at_rest:
                state.window.slide(last - self.query.window_minutes + 1, last)
            if self.query.group_by and self._is_over(state, at_us):
                del self.groups[group]
                continue
            if self.query.group_by and at_us - state.first_seen_us < (options.new_group_delay or 0) * 1_000_000:
                continue
            if state.at_rest:
                continue
            if change := self._evaluate(group, state, at_us):
                changes.append(change)
            elif not options.renotify_interval and not options.no_data_timeframe:
                state.at_rest = state.window.is_empty
        return changes

    def _is_over(self, state: GroupState, at_us: int) -> bool:
        return state.window.is_empty and at_us - state.last_seen_us >= self.definition.options.retention_us

    def _evaluate(self, group: Group, state: GroupState, at_us: int) -> Change | None:
        value = state.window.value()
        after = self._status(state, value, at_us)
        if value is None and self._missing_is_zero:
            value = 0.0
        if after is not Status.NO_DATA or value is not None:
            state.value = value if value is not None else state.value
        before, first = state.status, state.since_us is None
        if first or after is not before:
            state.status, state.since_us = after, at_us
        notify = None if after is before else self._notify(before, after, told=state.told_us is not None)
        if notify in {Why.ALERT, Why.WARNING}:
            state.last_triggered_us = at_us
        if notify is not None:
            state.told_us, state.told_again = (None if notify is Why.RECOVERY else at_us), 0
        elif self._tell_again(state, at_us):
            notify, state.told_us, state.told_again = Why.RENOTIFY, at_us, state.told_again + 1
        if after is before and notify is None:
            return None
        return Change(at_us, group, before, after, value, notify, state.log)

    @property
    def _missing_is_zero(self) -> bool:
        missing = self.definition.options.missing
        return self.query.aggregation is Aggregation.COUNT and missing is OnMissingData.DEFAULT

    def _status(self, state: GroupState, value: float | None, at_us: int) -> Status:
        if value is None:
            return self._status_without_data(state, at_us)
        return status_of(value, state.status, self.query, self.definition.options.thresholds)

    def _status_without_data(self, state: GroupState, at_us: int) -> Status:
        """Counts are zero by default; every other aggregate keeps what it had."""
        options = self.definition.options
        waited_us = at_us - state.last_seen_us
        match options.missing:
            case OnMissingData.RESOLVE:
                return Status.OK
            case OnMissingData.DEFAULT if self._missing_is_zero:
                return status_of(0.0, state.status, self.query, options.thresholds)
            case OnMissingData.DEFAULT:
                return state.status
            case _ if waited_us < (options.no_data_timeframe or 0) * MINUTE_US:
                return state.status
            case _:
                return Status.NO_DATA

    def _notify(self, before: Status, after: Status, *, told: bool) -> Why | None:
        """Whom a new state is told to; that a group is well only where somebody was told that it was not."""
        match after:
            case Status.ALERT:
                return Why.ALERT
            case Status.WARN:
                return Why.WARNING
            case Status.NO_DATA:
                tells = self.definition.options.missing is OnMissingData.SHOW_AND_NOTIFY_NO_DATA
                return Why.NO_DATA if tells else None
            case Status.OK:
                return Why.RECOVERY if told or before is not Status.NO_DATA else None

    def _tell_again(self, state: GroupState, at_us: int) -> bool:
        options = self.definition.options
        interval_us = (options.renotify_interval or 0) * MINUTE_US
        if not interval_us or state.told_us is None:
            return False
        if state.status.lower() not in {each.lower() for each in options.renotify_statuses or ("alert", "no data")}:
            return False
        if options.renotify_occurrences is not None and state.told_again >= options.renotify_occurrences:
            return False
        return at_us - state.told_us >= interval_us


_GRAVEST_FIRST = (Status.ALERT, Status.WARN, Status.NO_DATA, Status.OK)


def status_of(value: float, before: Status, query: MonitorQuery, thresholds: Thresholds) -> Status:
    """The state of a value. A recovery threshold holds a state that was reached until it is passed back as well."""
    crosses = query.comparator.holds
    if crosses(value, thresholds.critical):
        return Status.ALERT
    if before is Status.ALERT and _holds(crosses, value, thresholds.critical_recovery):
        return Status.ALERT
    if _holds(crosses, value, thresholds.warning):
        return Status.WARN
    # Datadog does not say what follows an alert between the two warning thresholds; a warning is the cautious reading.
    if before in {Status.ALERT, Status.WARN} and _holds(crosses, value, thresholds.warning_recovery):
        return Status.WARN
    return Status.OK


def _holds(crosses: Callable[[float, float], bool], value: float, threshold: float | None) -> bool:
    return threshold is not None and crosses(value, threshold)


def label_group(group_by: Sequence[str], group: Group) -> Mapping[str, str]:
    """The values of a group by the names of what is grouped by."""
    return dict(zip(group_by, group, strict=True))
