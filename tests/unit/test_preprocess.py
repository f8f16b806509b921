"""What Datadog makes of a log before any pipeline, after the tables of its documentation."""

import json

import pytest

from execlave_server.datadog.logs import log_middle
from execlave_server.datadog.preprocess import Severity, preprocess, remap_status
from execlave_server.datadog.search.match_log import SearchableLog
from execlave_server.datadog.search.searchable_log import searchable_log
from execlave_server.model.traces import TraceItem, TraceStatus

ARRIVED_MS = 1_765_449_600_000

REMAPPED = [
    *((number, severity) for number, severity in enumerate(list(Severity)[:8])),
    *((str(number), severity) for number, severity in enumerate(list(Severity)[:8])),
    ("emergency", "emergency"),
    ("Fatal", "emergency"),
    ("failure", "emergency"),
    ("alert", "alert"),
    ("CRITICAL", "critical"),
    ("completed", "critical"),
    ("error", "error"),
    ("ERR", "error"),
    ("exception", "info"),
    ("warning", "warn"),
    ("notice", "notice"),
    ("information", "info"),
    ("debug", "debug"),
    ("trace", "debug"),
    ("verbose", "debug"),
    ("ok", "ok"),
    ("out", "ok"),
    ("success", "ok"),
    ("SEVERE", "ok"),
    ("policy_blocked", "info"),
    ("", "info"),
    (" error", "info"),
    ("8", "info"),
    (404, "info"),
    (-1, "info"),
    (3.0, "info"),
    (True, "info"),
    (None, "info"),
    (["error"], "info"),
]
OF_TRACES = {
    TraceStatus.SUCCESS: "ok",
    TraceStatus.ERROR: "error",
    TraceStatus.TIMEOUT: "debug",
    TraceStatus.POLICY_BLOCKED: "info",
    TraceStatus.LIMIT_EXCEEDED: "info",
    TraceStatus.FLAGGED_FOR_REVIEW: "emergency",
    TraceStatus.EFFECT_UNCONFIRMED: "info",
}


@pytest.mark.parametrize(("status", "severity"), REMAPPED, ids=[repr(status) for status, _ in REMAPPED])
def test_a_status_becomes_a_severity(status: object, severity: str):
    """By its first letters in the documented order, or as a syslog number; anything else is info."""
    assert remap_status(status) == severity


@pytest.mark.parametrize("status", TraceStatus)
def test_what_our_statuses_become(status: TraceStatus):
    """Flagged traces show as emergencies, timeouts as debug: why shipped searches go by @status."""
    assert remap_status(status.value) == OF_TRACES[status]


class TestReserved:
    def test_the_first_key_that_is_there_wins(self):
        """Each reserved attribute has an ordered list of keys; null is not there."""
        log = preprocess({"level": "warn", "severity": "error", "hostname": "b", "host": None, "msg": "m"}, ARRIVED_MS)

        assert (log.status, log.host, log.message) == ("error", "b", "m")

    def test_an_unknown_status_ends_the_search(self):
        """A status that means nothing is info, though another key says error."""
        assert preprocess({"status": "policy_blocked", "level": "error"}, ARRIVED_MS).status == "info"

    def test_a_dotted_and_a_nested_key_are_the_same(self):
        """`syslog.severity` may be one key or two."""
        for given in ({"syslog.severity": 3}, {"syslog": {"severity": 3}}):
            assert preprocess(given, ARRIVED_MS).status == "error"

    def test_status_host_and_time_stay_attributes(self):
        """What is remapped stays as it was sent, so that @status still finds it."""
        sent = {"status": "success", "hostname": "h", "service": "s", "timestamp": 5}

        assert preprocess(sent, ARRIVED_MS).attributes == sent

    def test_ids_message_source_and_tags_are_no_attributes_any_more(self):
        """The message is hoisted, the ids of trace and span are hidden, source and tags are what they are."""
        sent = {"message": "m", "trace_id": "t", "span_id": "s", "ddsource": "x", "ddtags": "a:b", "kept": 1}
        log = preprocess(sent, ARRIVED_MS)

        assert (log.message, log.trace_id, log.span_id, log.source) == ("m", "t", "s", "x")
        assert log.attributes == {"kept": 1}
        assert sent["trace_id"] == "t"

    def test_a_nested_id_is_hidden_too_and_what_was_sent_stays(self):
        """`dd.trace_id` comes before `trace_id`, which then stays."""
        sent = {"dd": {"trace_id": "1", "env": "e"}, "trace_id": "2"}
        log = preprocess(sent, ARRIVED_MS)

        assert log.trace_id == "1"
        assert log.attributes == {"dd": {"env": "e"}, "trace_id": "2"}
        assert sent == {"dd": {"trace_id": "1", "env": "e"}, "trace_id": "2"}

    @pytest.mark.parametrize(
        ("sent", "timestamp_ms"),
        [
            ({"timestamp": 1_700_000_000_123}, 1_700_000_000_123),
            ({"date": "2026-03-01T12:00:00Z"}, 1_772_366_400_000),
            ({"@timestamp": "2026-03-01T12:00:00Z", "timestamp": 5}, 1_772_366_400_000),
            ({"timestamp": "yesterday"}, ARRIVED_MS),
            ({"timestamp": 10**30}, ARRIVED_MS),
            ({}, ARRIVED_MS),
        ],
    )
    def test_the_time_is_the_logs_own_or_that_of_arrival(self, sent, timestamp_ms):
        """Epoch milliseconds and ISO 8601 are read; what is neither counts as missing."""
        assert preprocess(sent, ARRIVED_MS).timestamp_ms == timestamp_ms

    def test_a_message_that_is_an_object_is_taken_apart(self):
        """Its keys become attributes, what the log says beside it stays, and its message is the message."""
        inner = json.dumps({"message": "inner", "level": "error", "a": 1})
        log = preprocess({"message": inner, "a": 2}, ARRIVED_MS)

        assert (log.message, log.status, log.attributes) == ("inner", "error", {"level": "error", "a": 2})

    @pytest.mark.parametrize("message", ["{not json", "[1]", '{"a":1}', "{" * 5_000])
    def test_a_message_that_has_none_stays(self, message):
        """What is no object, or has no message in it, is the message."""
        assert preprocess({"message": message}, ARRIVED_MS).message == message

    def test_tags_are_normalised_and_the_platform_adds_two(self):
        """Lower-cased, illegal characters one underscore, nothing twice, then source and service."""
        log = preprocess(
            {"ddtags": "Env:Prod, team:A B,,1x,env:prod", "ddsource": "execlave", "service": "s"}, ARRIVED_MS
        )

        assert log.tags == ["env:prod", "team:a_b", "x", "source:execlave", "service:s"]

    def test_more_tags_than_datadog_keeps_are_left_out(self):
        """A hundred of those sent are kept."""
        tags = ",".join(f"t{number}" for number in range(150))

        assert len(preprocess({"ddtags": tags}, ARRIVED_MS).tags) == 100

    @pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, [None], {"a": 1}, "", "x"])
    def test_a_value_of_any_kind_is_taken(self, value):
        """Nothing that JSON can say where a reserved attribute is expected is a fault."""
        keys = ["message", "status", "host", "service", "ddsource", "ddtags", "trace_id", "timestamp", "dd", "syslog"]

        log = preprocess(dict.fromkeys(keys, value), ARRIVED_MS)

        assert isinstance(log.message, str)
        assert isinstance(log.timestamp_ms, int)


def test_a_stored_trace_is_searched_as_its_destination_would_have_it():
    """The middle of the log, the destination's service and tags, the trace's own time."""
    item = TraceItem("t-1", TraceStatus.TIMEOUT, agent_id="bot", prompt_tokens=3)
    middle = log_middle(item, organization_id="org", span_id="s-1", delivery_key="k", agent=None, cost=None)

    log = searchable_log(middle, ARRIVED_MS, service="agents", ddtags="Team:A", tail=b',"late":true')

    assert log == SearchableLog(
        message="bot timeout",
        status="debug",
        host="execlave",
        service="agents",
        source="execlave",
        trace_id="t-1",
        timestamp_ms=ARRIVED_MS,
        tags=["team:a", "source:execlave", "service:agents"],
        attributes=log.attributes,
    )
    assert log.attributes["status"] == "timeout"
    assert log.attributes["execlave"]["late"] is True
    assert "trace_id" not in log.attributes
