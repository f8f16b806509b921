"""What monitors would have said of the stored traces. Reads page by page, keeps one window a monitor, changes nothing.

Each log counts from the moment its batch was received, as if it had reached Datadog at once, with the time and the
marks that it would have been sent with. Heartbeats are made when they are sent and are stored nowhere.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.datadog.event_times import is_taken, restamped_members
from execlave_server.datadog.heartbeat import EVENT as HEARTBEAT
from execlave_server.datadog.monitors.evaluate_monitor import Change, Group
from execlave_server.datadog.monitors.log_monitor import LogMonitor
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, Status
from execlave_server.datadog.monitors.monitor_query import MINUTE_US
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.datadog.search.query import And, Field, FieldKind, Or, Pattern, Phrase, Query, Term
from execlave_server.datadog.search.searchable_log import searchable_log
from execlave_server.store.protocol import Parameters, Row, integer

BATCHES_PER_PAGE = 200
FIRINGS_MAX = 1_000  # of one monitor, kept whole; further ones are counted
COLUMNS = 60  # of a sparkline
LOOK_BACK_US_MAX = 90 * 24 * 60 * MINUTE_US  # as far as retention usually goes; minutes of work
_EVENT = Field(FieldKind.ATTRIBUTE, "execlave.event")

Report = Callable[[int, int], None]


class Firing(Struct):
    """One group in Alert or Warn: from when, until when (None: still), the status, and its worst value."""

    group: Group
    from_us: int
    until_us: int | None
    status: Status
    worst: float | None


@dataclass
class Backtest:
    """What became of one monitor. `lines` has the worst value of each group in each sixtieth of the span."""

    definition: MonitorDefinition
    untested: str | None = None
    """Why it could not be tested, or None."""
    logs: int = 0
    firings: list[Firing] = field(default_factory=list)
    more_firings: int = 0
    lines: dict[Group, list[float | None]] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Backtested:
    """Every monitor over the traces received from `from_us` to `to_us`."""

    from_us: int
    to_us: int
    logs: int
    monitors: Sequence[Backtest]


class _Past(NamedTuple):
    from_us: int
    to_us: int
    service: str
    ddtags: str


class _Batch(Struct, frozen=True):
    id: int
    trace_count: int
    received_at_us: int


@dataclass
class _Trial:
    """One monitor on its way through the past."""

    monitor: LogMonitor
    result: Backtest
    next_us: int
    upwards: bool
    open: dict[Group, Firing] = field(default_factory=dict)

    def evaluate(self, from_us: int, to_us: int) -> None:
        at_us = self.next_us
        self.next_us += self.monitor.evaluation.every_us
        for change in self.monitor.evaluate(at_us):
            self._note(change, at_us)
        column = min((at_us - from_us) * COLUMNS // max(to_us - from_us, 1), COLUMNS - 1)
        for group, state in self.monitor.evaluation.groups.items():
            if state.value is None:
                continue
            line = self.result.lines.setdefault(group, [None] * COLUMNS)
            line[column] = self._worse(line[column], state.value)
            if group in self.open:
                self.open[group].worst = self._worse(self.open[group].worst, state.value)

    def _note(self, change: Change, at_us: int) -> None:
        if change.before is change.after:
            return
        if ended := self.open.pop(change.group, None):
            ended.until_us = at_us
        if change.after not in {Status.ALERT, Status.WARN}:
            return
        firing = Firing(change.group, at_us, None, change.after, change.value)
        self.open[change.group] = firing
        if len(self.result.firings) < FIRINGS_MAX:
            self.result.firings.append(firing)
        else:
            self.result.more_firings += 1

    def _worse(self, one: float | None, other: float) -> float:
        if one is None:
            return other
        return max(one, other) if self.upwards else min(one, other)


async def backtest_monitors(
    services: Services,
    organization: int,
    definitions: Sequence[MonitorDefinition],
    *,
    span_us: int,
    service: str,
    ddtags: str,
    report: Report | None = None,
) -> Backtested:
    """Evaluate monitors at each full minute of the span before now, over logs with this service and these tags.

    `report` is told how many microseconds of how many are done. Raises what `LogMonitor` raises.
    """
    to_us = services.clock.now_us() // MINUTE_US * MINUTE_US
    from_us = to_us - min(span_us, LOOK_BACK_US_MAX)
    results = [Backtest(each) for each in definitions]
    trials = list(_trials(results, from_us))
    past = _Past(from_us, to_us, service, ddtags)
    start_us = from_us - max((trial.monitor.query.window_us for trial in trials), default=0)
    read = 0
    after = (start_us - 1, 0)
    while trials:
        page: Parameters = {
            "organization": organization,
            "after_us": after[0],
            "after_id": after[1],
            "to_us": to_us,
            "rows": BATCHES_PER_PAGE,
        }
        batches = await services.store.find(_Batch, "batches_between", page)
        for batch in batches:
            wanted = {"batches": msgspec.json.encode([batch.id]).decode()}
            rows = await services.store.rows("batch_logs", wanted)
            await asyncio.to_thread(_feed, trials, rows, batch.received_at_us, past)
            read += len(rows) if batch.received_at_us >= from_us else 0
            if report:
                report(batch.received_at_us - start_us, to_us - start_us)
        if len(batches) < BATCHES_PER_PAGE:
            break
        after = (batches[-1].received_at_us, batches[-1].id)
    await asyncio.to_thread(_evaluate_until, trials, to_us, past)
    return Backtested(from_us, to_us, read, results)


def _trials(results: Sequence[Backtest], from_us: int) -> Iterator[_Trial]:
    for result in results:
        monitor = LogMonitor(result.definition)
        result.group_by = monitor.query.group_by
        if _needs_heartbeat(parse_query(monitor.query.search)):
            result.untested = "heartbeats are made when they are sent and are not stored"
            continue
        upwards = monitor.query.comparator.upwards is not False
        yield _Trial(monitor, result, from_us, upwards)


def _feed(trials: Sequence[_Trial], rows: Sequence[Row], received_us: int, past: _Past) -> None:
    """The logs of a batch, after every evaluation that came before it."""
    _evaluate_until(trials, received_us, past)
    received_ms = received_us // 1_000
    for row in rows:
        occurred_ms, middle = integer(row[2]), row[3]
        in_time = is_taken(occurred_ms, received_ms)
        log = searchable_log(
            middle,  # type: ignore[arg-type]  # the column holds bytes
            occurred_ms if in_time else received_ms,
            service=past.service,
            ddtags=past.ddtags,
            tail=b"" if in_time else restamped_members(occurred_ms, received_ms),
        )
        for trial in trials:
            trial.result.logs += trial.monitor.add(log)


def _evaluate_until(trials: Sequence[_Trial], until_us: int, past: _Past) -> None:
    for trial in trials:
        while trial.next_us <= min(until_us, past.to_us):
            trial.evaluate(past.from_us, past.to_us)


def _needs_heartbeat(query: Query) -> bool:
    """Whether only heartbeats can match."""
    match query:
        case And(items):
            return any(_needs_heartbeat(item) for item in items)
        case Or(items):
            return all(_needs_heartbeat(item) for item in items)
        case Term(place, Pattern() as value) if place == _EVENT:
            return value.literal == HEARTBEAT
        case Term(place, Phrase(text)) if place == _EVENT:
            return text == HEARTBEAT
        case _:
            return False
