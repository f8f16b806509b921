"""Windows kept by the minute hold exactly what a scan of all logs would find."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.datadog.monitors.monitor_query import Aggregation
from execlave_server.datadog.monitors.sliding_window import QUANTILE_ERROR, open_window

LOGS = st.lists(st.tuples(st.integers(100, 130), st.floats(-1e6, 1e6)), max_size=60)
SLIDES = st.lists(st.integers(0, 12), min_size=1, max_size=20)
EXACT = {
    Aggregation.COUNT: lambda values: float(len(values)),
    Aggregation.CARDINALITY: lambda values: float(len(set(values))),
    Aggregation.SUM: math.fsum,
    Aggregation.AVG: lambda values: math.fsum(values) / len(values),
    Aggregation.MIN: min,
    Aggregation.MAX: max,
}


@pytest.mark.parametrize("aggregation", EXACT)
@given(logs=LOGS, slides=SLIDES, minutes=st.integers(1, 10))
def test_a_window_is_what_a_scan_finds(aggregation, logs, slides, minutes):
    """Whatever order logs come in, and however far the window slides, its value is that of the logs within it."""
    window, kept, first, last = open_window(aggregation), [], 0, 99
    waiting = list(logs)
    for step in slides:
        for minute, value in waiting[: step + 1]:
            window.add(minute, value)
            if minute >= first:
                kept.append((minute, value))
        waiting = waiting[step + 1 :]
        last += step
        first = last - minutes + 1
        window.slide(first, last)
        kept = [each for each in kept if each[0] >= first]

        inside = [value for minute, value in kept if minute <= last]
        found = window.value()
        assert (found is None) is (not inside)
        assert found is None or found == pytest.approx(EXACT[aggregation](inside), rel=1e-9, abs=1e-6)
        assert window.is_empty is (not kept)


@given(values=st.lists(st.floats(0.001, 1e9), min_size=1, max_size=200))
def test_a_quantile_is_off_by_a_hundredth_at_most(values):
    """Quantiles are counted in buckets: near the true one, whatever the numbers."""
    window = open_window(Aggregation.PC90)
    for value in values:
        window.add(1, value)
    window.slide(1, 1)

    exact = sorted(values)[math.floor(0.9 * (len(values) - 1))]
    assert window.value() == pytest.approx(exact, rel=QUANTILE_ERROR * 1.01)


def test_the_median_of_signed_numbers():
    """Negative numbers and zero have buckets too."""
    values = [-50.0, -2.0, 0.0, 3.0, 40.0, -7.0, 0.0]
    window = open_window(Aggregation.MEDIAN)
    for value in values:
        window.add(1, value)
    window.slide(1, 1)

    assert window.value() == statistics.median(values)
