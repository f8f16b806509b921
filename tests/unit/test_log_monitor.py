"""Monitors over logs as Datadog holds them: what belongs to whom, and what people are told."""

import pytest

from execlave_server.datadog.as_code.spec_queries import AUTONOMOUS, BURST, COST, OF_THE_SPECIFICATION
from execlave_server.datadog.monitors.log_monitor import LogMonitor
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, MonitorOptions, Status, Thresholds
from execlave_server.datadog.monitors.monitor_query import MINUTE_US
from execlave_server.datadog.monitors.parse_monitor_query import MonitorQueryError, parse_monitor_query
from execlave_server.datadog.preprocess import preprocess
from execlave_server.datadog.search.match_log import SearchableLog
from execlave_server.datadog.search.searchable_log import searchable

START_MS = 1_700_000_040_000


def monitor(query: str, message: str = "") -> LogMonitor:
    """A monitor of a query, at work."""
    options = MonitorOptions(Thresholds(parse_monitor_query(query).threshold))
    return LogMonitor(MonitorDefinition("m", "log alert", query, message, options))


def log(second: int = 0, **fields) -> SearchableLog:
    """A log of ours, after Datadog's preprocessing."""
    sent = {
        "ddsource": "execlave",
        "service": "agents",
        "ddtags": "env:production,team:a",
        "hostname": "execlave",
        "message": "send_email policy_blocked",
        "timestamp": START_MS + second * 1_000,
        "trace_id": "9f4e2c1a-7b3d-4e8f-a1c2-3d4e5f6a7b8c",
        "agent_id": "a1",
        "status": "policy_blocked",
        "span_type": "tool",
        "autonomy_level": "autonomous",
        "cost_usd": 2,
        "execlave": {
            "status": "policy_blocked",
            "trace_url": "https://e.example/t?a=1&b=2",
            "policy_types": ["x", "y"],
        },
        **fields,
    }
    return searchable(preprocess(sent, START_MS))


def end(minutes: int = 1) -> int:
    """So many minutes after the first log."""
    return START_MS * 1_000 + minutes * MINUTE_US


@pytest.mark.parametrize("query", [BURST, AUTONOMOUS], ids=lambda query: query.name)
def test_as_printed_they_never_fire(query):
    """As printed, the first and the third find none of a burst of blocks: status is severity, span_type is a tag."""
    printed, corrected = monitor(query.monitor(query.printed)), monitor(query.monitor(query.corrected))
    for second in range(20):
        assert not printed.add(log(second))
        assert corrected.add(log(second))

    assert [change.after for change in corrected.evaluate(end())] == [Status.ALERT]
    printed.evaluate(end())
    assert printed.evaluation.overall is not Status.ALERT


def test_the_second_works_as_printed():
    """The specification's second search needs no correction."""
    runaway = monitor(COST.monitor(COST.printed))
    for second in range(3):
        runaway.add(log(second))

    [change] = runaway.evaluate(end())
    assert (change.group, change.value, change.after) == (("a1",), 6.0, Status.ALERT)


@pytest.mark.parametrize("query", OF_THE_SPECIFICATION, ids=lambda query: query.name)
def test_both_forms_are_ones_that_datadog_takes(query):
    """No validation tells the printed form from the corrected one: both parse."""
    monitor(query.monitor(query.printed))
    monitor(query.monitor(query.corrected))


def test_the_tag_of_the_pipeline_is_not_enough_for_the_third():
    """With the pipeline's tag `span_type:tool` matches, but `status:policy_blocked` still does not."""
    with_tag = log(ddtags="span_type:tool")

    assert monitor('logs("span_type:tool").rollup("count").last("5m") > 0').add(with_tag)
    assert not monitor(AUTONOMOUS.monitor(AUTONOMOUS.printed)).add(with_tag)


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("@agent_id", {("a1",)}),
        ("@execlave.policy_types", {("x",), ("y",)}),
        ("env,service", {("production", "agents")}),
        ("status,source", {("info", "execlave")}),
        ("@user_id", set()),
        ("nothing", set()),
    ],
)
def test_groups(by, groups):
    """Attributes, tags and reserved attributes; of an array each value; none where the log has none."""
    counting = monitor(f'logs("*").rollup("count").by("{by}").last("5m") > 0')
    added = counting.add(log())

    assert counting.evaluation.groups.keys() == groups
    assert added is bool(groups)


def test_what_is_no_number_is_not_summed():
    """Text, booleans and nothing at all leave a sum alone."""
    runaway = monitor(COST.monitor(COST.corrected))

    assert [runaway.add(log(cost_usd=cost)) for cost in ("2", True, None, 2.5)] == [False, False, False, True]


def test_distinct_values_are_counted():
    """Cardinality of an attribute."""
    distinct = monitor('logs("*").rollup("cardinality", "@user_id").last("5m") > 1')
    for user in ("u1", "u2", "u1", 3):
        distinct.add(log(user_id=user))

    assert distinct.evaluate(end())[0].value == 3


def test_the_message_names_agent_value_and_link():
    """What people get, with a link that works."""
    told = monitor(
        BURST.monitor(BURST.corrected),
        "{{@agent_id.name}}: {{value}} in {{log.tags.env}}, {{log.attributes.[execlave.policy_types]}}, "
        "{{{log.attributes.[execlave.trace_url]}}}",
    )
    for second in range(11):
        told.add(log(second))
    [change] = told.evaluate(end())

    assert told.message(change) == "a1: 11 in production, x, y, https://e.example/t?a=1&b=2"


def test_the_title_says_what_became_of_whom():
    """The transition in Datadog's word, the group, and the monitor's name."""
    told = monitor(BURST.monitor(BURST.corrected))
    for second in range(11):
        told.add(log(second))
    [change] = told.evaluate(end())

    assert told.title(change) == "[Triggered on {@agent_id:a1}] m"


def test_a_message_that_cannot_be_rendered_still_goes_out():
    """An alert is worth more than its text: the template as it is, and why."""
    told = monitor(BURST.monitor(BURST.corrected), "{{#is_alert}}{{value}}")
    for second in range(11):
        told.add(log(second))
    [change] = told.evaluate(end())

    assert told.message(change).startswith("{{#is_alert}}{{value}}\n\n(not rendered: {{#is_alert}} is not closed")


def test_a_search_that_cannot_be_read_is_pointed_at():
    """The position is that in the whole query."""
    query = 'logs("source:execlave @status:").rollup("count").last("5m") > 0'
    with pytest.raises(MonitorQueryError, match="cannot be read") as refused:
        monitor(query)

    assert query[refused.value.position :].startswith(':").rollup')
