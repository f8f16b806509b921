import pytest

from execlave_server.datadog.monitors.monitor_query import Aggregation
from execlave_server.sandbox.aggregate import Compute, GroupBy, Measure, Plan, aggregate, fold, read_row
from execlave_server.sandbox.prepared_log import PreparedLog


def log(timestamp_ms: int = 0, tags: tuple[str, ...] = (), **attributes: object) -> PreparedLog:
    """A prepared log with these attributes."""
    return PreparedLog(1, timestamp_ms, "m", "info", None, None, None, None, None, list(tags), attributes)


def buckets(plan: Plan, *logs: PreparedLog) -> list[dict[str, object]]:
    """The answer over these logs."""
    return aggregate(plan, [read_row(plan, each) for each in logs])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Aggregation.SUM, 10.0),
        (Aggregation.MIN, 1.0),
        (Aggregation.MAX, 4.0),
        (Aggregation.AVG, 2.5),
        (Aggregation.MEDIAN, 2.5),
        (Aggregation.PC75, 3.25),
        (Aggregation.PC99, 3.97),
        (Aggregation.CARDINALITY, 4),
        (Aggregation.COUNT, 5),
    ],
)
def test_folds_the_numbers_that_are_there(function, expected):
    """Each function over 1, 2, 3, 4 and a log without the number."""
    plan = Plan([Compute(Measure(function, None if function is Aggregation.COUNT else "@n"))], [])

    (bucket,) = buckets(plan, *(log(n=n) for n in (3, 1, 4, 2)), log())

    assert bucket == {"by": {}, "computes": {"c0": pytest.approx(expected)}}


def test_a_figure_without_data_is_left_out():
    """A count of nothing is 0; a sum of nothing is no number."""
    plan = Plan([Compute(Measure(Aggregation.COUNT, None)), Compute(Measure(Aggregation.SUM, "@n"))], [])

    assert buckets(plan) == [{"by": {}, "computes": {"c0": 0}}]
    assert fold(Measure(Aggregation.AVG, "@n"), [None]) is None


def test_a_series_has_a_point_for_each_interval_with_data():
    """Points carry the start of their interval, in order."""
    plan = Plan([Compute(Measure(Aggregation.COUNT, None), interval_ms=60_000)], [])

    (bucket,) = buckets(plan, log(119_999), log(0), log(1), log(240_000))

    assert bucket["computes"] == {
        "c0": [
            {"time": "1970-01-01T00:00:00.000Z", "value": 2},
            {"time": "1970-01-01T00:01:00.000Z", "value": 1},
            {"time": "1970-01-01T00:04:00.000Z", "value": 1},
        ]
    }


def test_groups_nest_with_a_limit_of_their_own():
    """The limit of an inner facet holds within each value of the outer one; an array's log is in several groups."""
    count = Measure(Aggregation.COUNT, None)
    groups = [
        GroupBy("@a", limit=2, order_by=None, descending=False),
        GroupBy("team", limit=1, order_by=count, descending=True),
    ]
    plan = Plan([Compute(count)], groups)

    found = buckets(
        plan,
        log(a="x", tags=("team:one",)),
        log(a="x", tags=("team:two",)),
        log(a=["x", "y"], tags=("team:two",)),
        log(a="z", tags=("team:one",)),
    )

    assert [(each["by"], each["computes"]["c0"]) for each in found] == [
        ({"@a": "x", "team": "two"}, 2),
        ({"@a": "y", "team": "two"}, 1),
    ]


def test_a_histogram_groups_numbers_by_equal_widths():
    """A number falls into the group that starts at or below it; one out of range into none."""
    group = GroupBy("@n", limit=10, order_by=None, descending=False, histogram=(10.0, 0.0, 30.0))
    plan = Plan([Compute(Measure(Aggregation.COUNT, None))], [group])

    found = buckets(plan, *(log(n=n) for n in (0, 9.9, 10, 31, -1, "text")))

    assert [(each["by"]["@n"], each["computes"]["c0"]) for each in found] == [("0", 2), ("10", 1)]
