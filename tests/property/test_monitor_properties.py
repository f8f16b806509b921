"""A monitor that keeps its windows says at each minute what a scan of every log would say."""

import math

from hypothesis import given
from hypothesis import strategies as st

from execlave_server.datadog.monitors.evaluate_monitor import MonitorEvaluation, status_of
from execlave_server.datadog.monitors.monitor_definition import Status, Thresholds
from execlave_server.datadog.monitors.monitor_query import MINUTE_US
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query
from execlave_server.datadog.monitors.read_monitors import simple_monitor

WINDOW = 3
LOGS = st.lists(st.tuples(st.integers(0, 40 * MINUTE_US), st.sampled_from("abc"), st.integers(0, 4)), max_size=80)


@given(logs=LOGS, aggregation=st.sampled_from(["count", "sum"]), sign=st.sampled_from([">", "<", ">="]))
def test_each_minute_is_what_a_scan_finds(logs, aggregation, sign):
    """Whatever logs come, states are those of a scan, a count without logs being zero and a sum keeping its state."""
    measure = "" if aggregation == "count" else ', "@n"'
    text = f'logs("*").rollup("{aggregation}"{measure}).by("@agent_id").last("{WINDOW}m") {sign} 2'
    query = parse_monitor_query(text)
    monitor = MonitorEvaluation(simple_monitor(text), query)
    waiting, expected = sorted(logs), {}
    for minute in range(1, 50):
        at_us = minute * MINUTE_US
        while waiting and waiting[0][0] < at_us:
            when, name, number = waiting.pop(0)
            monitor.add((name,), when, number)
            expected.setdefault(name, Status.NO_DATA)
        monitor.evaluate(at_us)

        for name, before in expected.items():
            inside = [
                number for when, who, number in logs if who == name and 0 <= at_us - 1 - when < WINDOW * MINUTE_US
            ]
            value = len(inside) if aggregation == "count" else math.fsum(inside)
            if inside or aggregation == "count":
                expected[name] = status_of(value, before, query, Thresholds(2.0))
        assert {group[0]: state.status for group, state in monitor.groups.items()} == expected
