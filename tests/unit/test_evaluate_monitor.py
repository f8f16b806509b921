"""When a monitor fires, for whom, and when it says that all is well again."""

import pytest

from execlave_server.datadog.monitors.evaluate_monitor import GROUPS_MAX, Change, MonitorEvaluation, Why
from execlave_server.datadog.monitors.monitor_definition import (
    MonitorDefinition,
    MonitorOptions,
    OnMissingData,
    Status,
    Thresholds,
    require_valid,
)
from execlave_server.datadog.monitors.monitor_query import MINUTE_US
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query
from execlave_server.errors import ValidationFailedError

START_US = 1_700_000_040_000_000  # a full minute
COUNT = 'logs("a").index("*").rollup("count").by("@agent_id").last("5m") > 2'
SUM = 'logs("a").index("*").rollup("sum", "@cost_usd").by("@agent_id").last("1h") > 5'
SILENT = 'logs("a").index("*").rollup("count").last("5m") < 1'


def started(text: str, critical: float | None = None, **options) -> MonitorEvaluation:
    """A monitor at work."""
    query = parse_monitor_query(text)
    warnings = {
        name: options.pop(name) for name in ("warning", "critical_recovery", "warning_recovery") if name in options
    }
    thresholds = Thresholds(query.threshold if critical is None else critical, **warnings)
    definition = MonitorDefinition("m", "log alert", text, "", MonitorOptions(thresholds, **options))
    require_valid(definition, query)
    return MonitorEvaluation(definition, query)


def at(minute: float) -> int:
    """So many minutes after the start."""
    return START_US + round(minute * MINUTE_US)


def told(changes: list[Change]) -> list[tuple[str, Why | None]]:
    """Who is told what."""
    return [(",".join(change.group), change.notify) for change in changes]


def test_it_fires_for_the_group_that_crosses_and_recovers():
    """Three logs of one agent fire a `> 2`, two of another do not; when they leave the window it recovers."""
    monitor = started(COUNT)
    for minute in (0.1, 1.1, 2.1):
        monitor.add(("a",), at(minute), 1)
    monitor.add(("b",), at(0.2), 1)
    monitor.add(("b",), at(1.2), 1)

    assert told(monitor.evaluate(at(2))) == [("a", None), ("b", None)]  # the third of `a` is yet to come
    [change] = monitor.evaluate(at(3))
    assert (change.group, change.before, change.after, change.value) == (("a",), Status.OK, Status.ALERT, 3)
    assert monitor.evaluate(at(4)) == []
    assert monitor.overall is Status.ALERT
    assert monitor.evaluate(at(5)) == []
    assert told(monitor.evaluate(at(6))) == [("a", Why.RECOVERY)]
    assert monitor.overall is Status.OK


def test_a_full_minute_looks_at_exactly_the_last_minutes():
    """A log at the very beginning of the window counts, one a microsecond earlier does not, one at its end neither."""
    monitor = started('logs("a").rollup("count").last("5m") > 0')
    monitor.add((), at(5) - 1, 1)

    assert monitor.evaluate(at(5))[0].value == 1
    assert monitor.evaluate(at(9)) == []
    assert told(monitor.evaluate(at(10))) == [("", Why.RECOVERY)]
    monitor.add((), at(11), 1)
    assert monitor.evaluate(at(11)) == []
    assert told(monitor.evaluate(at(12))) == [("", Why.ALERT)]


def test_a_log_that_comes_late_counts_where_it_belongs():
    """Order of arrival does not matter; what is older than the window does not count."""
    monitor = started(COUNT)
    monitor.add(("a",), at(4.5), 1)
    monitor.evaluate(at(5))
    monitor.add(("a",), at(1.5), 1)
    monitor.add(("a",), at(0.5), 1)
    monitor.add(("a",), at(-1), 1)

    assert monitor.evaluate(at(5))[0].value == 3
    assert told(monitor.evaluate(at(6))) == [("a", Why.RECOVERY)]


def test_a_warning_comes_before_the_alert_and_after_it():
    """Warn between the thresholds; from Alert back to Warn, and then OK."""
    monitor = started(SUM, warning=3)
    costs = {1: 2, 2: 2, 3: 2}
    seen = {}
    for minute in (1, 2, 3, 61, 62, 63):
        if minute in costs:
            monitor.add(("a",), at(minute - 1), costs[minute])
        seen[minute] = [change.notify for change in monitor.evaluate(at(minute))]

    assert seen == {1: [None], 2: [Why.WARNING], 3: [Why.ALERT], 61: [Why.WARNING], 62: [Why.RECOVERY], 63: []}


def test_a_recovery_threshold_holds_the_alert():
    """Below the alert but above its recovery threshold nothing changes."""
    monitor = started('logs("a").rollup("count").last("2m") > 3', critical_recovery=1)
    for second in range(4):
        monitor.add((), at(0) + second, 1)
    monitor.evaluate(at(1))
    for second in range(2):
        monitor.add((), at(2) + second, 1)
    monitor.add((), at(4), 1)

    assert monitor.evaluate(at(3)) == []  # two: not above 3, but above 1
    assert monitor.overall is Status.ALERT
    assert told(monitor.evaluate(at(5))) == [("", Why.RECOVERY)]


def test_a_warning_recovery_threshold_holds_the_warning():
    """The same for a warning."""
    monitor = started('logs("a").rollup("count").last("1m") > 9', warning=3, warning_recovery=1)
    for minute, count in ((0, 4), (1, 2), (2, 1)):
        for second in range(count):
            monitor.add((), at(minute) + second, 1)

    assert [told(monitor.evaluate(at(minute))) for minute in (1, 2, 3)] == [
        [("", Why.WARNING)],
        [],
        [("", Why.RECOVERY)],
    ]


def test_silence_fires_a_monitor_that_counts():
    """A count without logs is zero, also before the first log came: `< 1` fires."""
    monitor = started(SILENT)

    assert told(monitor.evaluate(at(0))) == [("", Why.ALERT)]
    monitor.add((), at(0.5), 1)
    assert told(monitor.evaluate(at(1))) == [("", Why.RECOVERY)]


def test_an_aggregate_without_data_keeps_its_state():
    """Without logs a sum stays as it was, until the group is dropped after a day."""
    monitor = started(SUM)
    monitor.add(("a",), at(0), 9)
    monitor.evaluate(at(1))

    assert monitor.evaluate(at(120)) == []
    assert monitor.overall is Status.ALERT
    assert monitor.evaluate(at(24 * 60 + 1)) == []
    assert monitor.groups == {}


@pytest.mark.parametrize(
    ("missing", "after", "notify"),
    [
        (OnMissingData.RESOLVE, Status.OK, Why.RECOVERY),
        (OnMissingData.SHOW_NO_DATA, Status.NO_DATA, None),
        (OnMissingData.SHOW_AND_NOTIFY_NO_DATA, Status.NO_DATA, Why.NO_DATA),
    ],
)
def test_missing_data_does_what_the_option_says(missing, after, notify):
    """Resolve, show, or show and tell."""
    monitor = started(SUM, on_missing_data=missing)
    monitor.add(("a",), at(0), 9)
    monitor.evaluate(at(1))

    [change] = monitor.evaluate(at(61))

    assert (change.after, change.notify) == (after, notify)


def test_the_older_pair_of_options_waits_for_its_timeframe():
    """`notify_no_data` with `no_data_timeframe`: No Data after so many minutes without logs, and back again."""
    monitor = started(COUNT, notify_no_data=True, no_data_timeframe=30)
    monitor.add(("a",), at(0), 1)
    monitor.evaluate(at(1))

    assert monitor.evaluate(at(29)) == []
    assert told(monitor.evaluate(at(30))) == [("a", Why.NO_DATA)]
    monitor.add(("a",), at(30.5), 1)
    assert told(monitor.evaluate(at(31))) == [("a", Why.RECOVERY)]


def test_a_new_group_waits_for_its_delay():
    """`new_group_delay` skips the evaluations of a group that has just appeared."""
    monitor = started(COUNT, new_group_delay=120)
    for second in range(5):
        monitor.add(("a",), at(0) + second, 1)

    assert monitor.evaluate(at(1)) == []
    assert told(monitor.evaluate(at(2))) == [("a", Why.ALERT)]


def test_an_evaluation_delay_looks_further_back():
    """With a delay of five minutes at 7:00 the window of five minutes is 6:50 to 6:55."""
    monitor = started(COUNT, evaluation_delay=300)
    for second in range(3):
        monitor.add(("a",), at(3) + second, 1)

    monitor.evaluate(at(6))
    assert monitor.overall is not Status.ALERT
    assert told(monitor.evaluate(at(9))) == [("a", Why.ALERT)]


def test_it_tells_again():
    """Each `renotify_interval`, as often as `renotify_occurrences` allows, and not after the recovery."""
    monitor = started(SILENT, renotify_interval=10, renotify_occurrences=2)
    seen = [told(monitor.evaluate(at(minute))) for minute in range(0, 40, 5)]

    assert [each[0][1] if each else None for each in seen] == [
        *(Why.ALERT, None, Why.RENOTIFY, None, Why.RENOTIFY, None, None, None),
    ]


def test_a_window_of_a_day_is_evaluated_every_ten_minutes():
    """As Datadog does from 24 hours on."""
    assert started('logs("a").rollup("count").last("24h") > 1').every_us == 10 * MINUTE_US
    assert started('logs("a").rollup("count").last("23h") > 1').every_us == MINUTE_US


def test_groups_beyond_the_thousandth_are_counted_and_left():
    """Memory is bounded whatever is grouped by."""
    monitor = started(COUNT)
    for number in range(GROUPS_MAX + 5):
        monitor.add((str(number),), at(0), 1)

    assert (len(monitor.groups), monitor.left_out) == (GROUPS_MAX, 5)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (COUNT, {"critical": 3}, "does not match that used in the query"),
        (COUNT, {"warning": 2}, "must be below critical"),
        (SILENT, {"warning": 0}, "must be above critical"),
        (COUNT, {"warning_recovery": 1}, "needs a warning threshold"),
        (COUNT, {"critical_recovery": 2.5}, "must be below critical"),
        (COUNT, {"on_missing_data": OnMissingData.RESOLVE, "notify_no_data": True}, "excludes"),
        (COUNT, {"group_retention_duration": "73h"}, "from 1h to 72h"),
        (COUNT, {"notify_by": ("@user_id",)}, "does not group by"),
    ],
)
def test_what_datadog_refuses_is_refused(text, options, said):
    """Thresholds against the query and each other, options that exclude each other."""
    with pytest.raises(ValidationFailedError, match=said):
        started(text, **options)
