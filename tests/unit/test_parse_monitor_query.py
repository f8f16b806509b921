"""Monitor queries: what Datadog takes is taken apart, what it refuses is refused at the right place."""

import pytest

from execlave_server.datadog.monitors.monitor_query import MINUTE_US, Aggregation, Comparator, MonitorQuery
from execlave_server.datadog.monitors.parse_monitor_query import (
    MonitorQueryError,
    join_monitor_query,
    parse_monitor_query,
    search_position,
)

BLOCKS = 'logs("source:execlave @status:policy_blocked").index("*").rollup("count").by("@agent_id").last("15m") > 10'


def test_every_part_is_read():
    """A query gives its search, indexes, aggregation, groups, window and threshold."""
    assert parse_monitor_query(BLOCKS) == MonitorQuery(
        search="source:execlave @status:policy_blocked",
        indexes=("*",),
        aggregation=Aggregation.COUNT,
        measure=None,
        group_by=("@agent_id",),
        window_us=15 * MINUTE_US,
        comparator=Comparator.ABOVE,
        threshold=10.0,
    )


def test_a_measure_and_several_indexes_and_groups():
    """A measure belongs to an aggregation; groups come as one text or several."""
    text = 'logs("a").index("main","audit").rollup("sum", "@cost_usd").by("@agent_id,env").last("4h") >= 0.5'
    apart = 'logs("a").index("main", "audit").rollup("sum","@cost_usd").by("@agent_id","env").last("240m") >= 5e-1'

    read = parse_monitor_query(text)

    assert (read.indexes, read.measure) == (("main", "audit"), "@cost_usd")
    assert read.group_by == ("@agent_id", "env")
    assert parse_monitor_query(apart) == read


def test_quotes_within_the_search_are_escaped():
    """A phrase in the search has its quotes escaped; other escapes are the search's own."""
    read = parse_monitor_query(r'logs("\"no answer\" @a:x\:y").rollup("count").last("5m") < 1')

    assert read.search == r'"no answer" @a:x\:y'
    assert read.group_by == ()


@pytest.mark.parametrize("function", [each for each in Aggregation if each is not Aggregation.COUNT])
def test_each_aggregation_takes_a_measure(function):
    """Every aggregation but the count reads one measure."""
    read = parse_monitor_query(f'logs("a").rollup("{function}", "@duration_ms").last("1h") > 1')

    assert (read.aggregation, read.measure) == (function, "@duration_ms")


@pytest.mark.parametrize("sign", list(Comparator))
def test_each_comparator_is_read(sign):
    """All six comparators."""
    assert parse_monitor_query(f'logs("a").rollup("count").last("1m") {sign} -2.5').comparator is sign


@pytest.mark.parametrize("window", ["1m", "2880m", "1h", "48h"])
def test_the_windows_at_the_limits_are_taken(window):
    """One minute to two days."""
    parse_monitor_query(f'logs("a").rollup("count").last("{window}") > 1')


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("", "", "begins with logs"),
        ('avg("a").last("5m") > 1', "avg", "begins with logs"),
        ('logs(a).rollup("count").last("5m") > 1', "a)", "double quotes"),
        ('logs("a".rollup("count").last("5m") > 1', ".rollup", "not closed"),
        ('logs("a","b").rollup("count").last("5m") > 1', 'b"', "one search"),
        ('logs("a").sum("count").last("5m") > 1', "sum", "no .sum"),
        ('logs("a").by("@x").rollup("count").last("5m") > 1', "rollup", "must stand before .by"),
        ('logs("a").last("5m") > 1', "> 1", "aggregation is missing"),
        ('logs("a").rollup("mean", "@x").last("5m") > 1', "mean", "no aggregation 'mean'"),
        ('logs("a").rollup("count", "@x").last("5m") > 1', "@x", "takes no measure"),
        ('logs("a").rollup("sum").last("5m") > 1', "rollup", "takes one measure"),
        ('logs("a").rollup("sum", " ").last("5m") > 1', ' ")', "does not name a measure"),
        ('logs("a").rollup("count").by("@a,@b,@c,@d,@e").last("5m") > 1', "by", "at most 4"),
        ('logs("a").rollup("count").by("@a,@a").last("5m") > 1', '@a")', "twice"),
        ('logs("a").rollup("count").by("@a,").last("5m") > 1', '").last', "does not name"),
        ('logs("a").rollup("count") > 1', "> 1", "window is missing"),
        ('logs("a").rollup("count").last("5") > 1', '5")', "not understood"),
        ('logs("a").rollup("count").last("2d") > 1', "2d", "not understood"),
        ('logs("a").rollup("count").last("0m") > 1', "0m", "1 to 2880 minutes"),
        ('logs("a").rollup("count").last("2881m") > 1', "2881m", "1 to 2880 minutes"),
        ('logs("a").rollup("count").last("49h") > 1', "49h", "1 to 48 hours"),
        ('logs("a").rollup("count").last("5m")', "", "comparison is missing"),
        ('logs("a").rollup("count").last("5m") => 1', "=>", "invalid operator specified: =>"),
        ('logs("a").rollup("count").last("5m") > ten', "ten", "must be a number"),
        ('logs("a").rollup("count").last("5m") > 1 and more', " and more", "nothing may follow"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, at, said):
    """Each refusal names the character where it begins, and what would be right."""
    with pytest.raises(MonitorQueryError, match=said.replace("(", r"\(")) as refused:
        parse_monitor_query(text)

    assert refused.value.position == (text.index(at) if at else len(text))
    assert f"at character {refused.value.position + 1}" in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        BLOCKS,
        r'logs("\"a b\" \\x").index("main", "two").rollup("pc95", "@duration_ms").by("@a,b").last("90m") <= 0.125',
    ],
)
def test_a_query_is_written_as_it_is_read(text):
    """Joined again, a query reads the same."""
    assert join_monitor_query(parse_monitor_query(text)) == text


def test_the_search_is_found_in_the_query():
    """Each character of the search has its place in the query, so that an error within it can be pointed at."""
    text = r'logs("a:\"b\" \\\\ c").rollup("count").last("5m") > 1'
    search = parse_monitor_query(text).search

    assert search == r'a:"b" \\ c'
    assert [text[search_position(text, search.index(each))] for each in ("a", "b", "c")] == ["a", "b", "c"]
