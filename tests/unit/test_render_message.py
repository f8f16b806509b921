"""A monitor's message, as people get it."""

import pytest

from execlave_server.datadog.monitors.evaluate_monitor import Change, Why
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, MonitorOptions, Status, Thresholds
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query
from execlave_server.datadog.monitors.render_message import (
    MessageFacts,
    MessageTemplateError,
    message_paths,
    render_message,
)

QUERY = 'logs("a").rollup("sum", "@cost_usd").by("@agent_id,@usr.id,env").last("1h") > 5'
LOG = {
    "message": "send_email policy_blocked",
    "status": "warn",
    "attributes": {
        "execlave": {"trace_url": "https://e.example/traces/1?org=a&span=b"},
        "error.message": "no <answer>",
    },
    "tags": {"env": "production"},
}


def rendered(template: str, after: Status = Status.ALERT, before: Status = Status.OK, notify: Why = Why.ALERT) -> str:
    """A message for a group of three."""
    options = MonitorOptions(Thresholds(5.0, warning=3.0))
    definition = MonitorDefinition("m", "log alert", QUERY, template, options, priority=2)
    change = Change(0, ("support-bot", "u1", "production"), before, after, 6.25, notify)
    facts = MessageFacts(definition, parse_monitor_query(QUERY), change, LOG, "2026-11-01T10:00:00Z")
    return render_message(template, facts)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{value}} {{comparator}} {{threshold}}", "6.25 &gt; 5"),
        ("{{warn_threshold}} {{last_triggered_at}}", "3 2026-11-01T10:00:00Z"),
        ("{{@agent_id.name}} {{ @agent_id.name }}", "support-bot support-bot"),
        ("{{[@usr.id].name}} {{env.name}}", "u1 production"),
        ("{{log.message}} {{log.status}} {{log.tags.env}}", "send_email policy_blocked warn production"),
        ("{{log.attributes.execlave.trace_url}}", "https://e.example/traces/1?org=a&amp;span=b"),
        ("{{{log.attributes.[execlave.trace_url]}}}", "https://e.example/traces/1?org=a&span=b"),
        ("{{log.attributes.[error.message]}}", "no &lt;answer&gt;"),
        ("[{{log.attributes.nothing}}][{{unknown}}][{{@other.name}}]", "[][][]"),
        ("{{!a note}}text", "text"),
    ],
)
def test_variables(template, text):
    """Values, groups and the log; what is not there is empty; two braces escape, three do not."""
    assert rendered(template) == text


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ((Status.ALERT, Status.OK, Why.ALERT), {"is_alert"}),
        ((Status.WARN, Status.OK, Why.WARNING), {"is_warning"}),
        ((Status.WARN, Status.ALERT, Why.WARNING), {"is_warning", "is_alert_to_warning"}),
        ((Status.ALERT, Status.WARN, Why.ALERT), {"is_alert", "is_warning_to_alert"}),
        ((Status.OK, Status.ALERT, Why.RECOVERY), {"is_recovery", "is_alert_recovery"}),
        ((Status.OK, Status.WARN, Why.RECOVERY), {"is_recovery", "is_warning_recovery"}),
        ((Status.NO_DATA, Status.OK, Why.NO_DATA), {"is_no_data"}),
        ((Status.OK, Status.NO_DATA, Why.RECOVERY), {"is_recovery", "is_no_data_recovery"}),
        ((Status.ALERT, Status.ALERT, Why.RENOTIFY), {"is_alert", "is_renotify"}),
    ],
)
def test_conditions_of_state(state, shown):
    """Each transition shows its own blocks, and the negations of all others."""
    names = (
        *("is_alert", "is_warning", "is_no_data", "is_recovery", "is_alert_recovery", "is_warning_recovery"),
        *("is_no_data_recovery", "is_alert_to_warning", "is_warning_to_alert", "is_renotify"),
    )
    plain = "".join(f"{{{{#{name}}}}}{name} {{{{/{name}}}}}" for name in names)
    negated = "".join(f"{{{{^{name}}}}}{name} {{{{/{name}}}}}" for name in names)

    assert set(rendered(plain, *state).split()) == shown
    assert set(rendered(negated, *state).split()) == set(names) - shown


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{{#is_match "env.name" "prod" "stag"}}yes{{else}}no{{/is_match}}', "yes"),
        ('{{^is_match "env.name" "stag"}}yes{{/is_match}}', "yes"),
        ('{{#is_match "env.name" ""}}there{{/is_match}}', "there"),
        ('{{#is_match "other.name" ""}}there{{else}}empty{{/is_match}}', "empty"),
        ('{{#is_exact_match "env.name" "prod"}}yes{{else}}no{{/is_exact_match}}', "no"),
        ('{{#is_exact_match "value" "6.250"}}yes{{/is_exact_match}}', "yes"),
        ("{{#is_priority 'P2'}}yes{{/is_priority}}", "yes"),
        ('{{#is_alert}}a{{#is_match "env.name" "dev"}}b{{/is_match}}c{{/is_alert}}', "ac"),
    ],
)
def test_conditions_of_content(template, text):
    """Matches of a part, of the whole, of a number; blocks within blocks; else."""
    assert rendered(template) == text


@pytest.mark.parametrize(
    ("template", "position", "said"),
    [
        ("{{#is_alert}}a", 0, "is not closed"),
        ("a{{/is_alert}}", 1, "closes no block"),
        ("{{#is_alert}}{{#is_warning}}{{/is_alert}}", 28, "closes no block"),
        ("ab{{else}}", 2, "stands in no block"),
        ("{{#is_alarm}}{{/is_alarm}}", 0, "no condition is_alarm"),
        ('{{#is_match "env"}}{{/is_match}}', 0, "takes a variable and texts"),
    ],
)
def test_a_message_that_does_not_close_is_refused(template, position, said):
    """With the place where it goes wrong."""
    with pytest.raises(MessageTemplateError, match=said) as refused:
        rendered(template)

    assert refused.value.position == position


def test_the_variables_of_a_message_are_listed():
    """So that a test can hold them against what a log carries."""
    assert list(
        message_paths("{{#is_alert}}{{@agent_id.name}} {{{log.attributes.[a.b]}}}{{else}}{{!x}}{{/is_alert}}")
    ) == [
        "@agent_id.name",
        "log.attributes.[a.b]",
    ]
