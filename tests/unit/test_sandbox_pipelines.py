"""What each processor makes of a log."""

from typing import Any

import msgspec
import pytest

from execlave_server.sandbox.arithmetic import compile_expression
from execlave_server.sandbox.attribute_paths import read_path, remove_path, write_path
from execlave_server.sandbox.prepare_log import Arrival, prepare_log
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.processors import Pipeline
from execlave_server.sandbox.run_pipelines import compile_pipeline, run_pipelines

ARRIVED_US = 1_770_000_000_000_000


def run(log: dict[str, Any], *processors: dict[str, Any], query: str = "*") -> PreparedLog:
    """A log after a pipeline of these processors."""
    body = {
        "id": "p",
        "name": "p",
        "filter": {"query": query},
        "processors": [{"is_enabled": True, **processor} for processor in processors],
    }
    prepared = prepare_log(msgspec.json.encode(log), 1, Arrival(ARRIVED_US))
    run_pipelines([compile_pipeline(msgspec.convert(body, Pipeline))], prepared, ARRIVED_US)
    return prepared


def remapper(**more: Any) -> dict[str, Any]:
    """An attribute remapper from a to b."""
    return {"type": "attribute-remapper", "sources": ["a"], "target": "b", **more}


@pytest.mark.parametrize(
    ("log", "change", "expected"),
    [
        ({"a": 1}, {}, {"b": 1}),
        ({"a": 1}, {"preserve_source": True}, {"a": 1, "b": 1}),
        ({"a": 1, "b": 2}, {}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"override_on_conflict": True}, {"b": 1}),
        ({"c": 3}, {"sources": ["a", "c"]}, {"b": 3}),
        ({"x": {"a": 1}}, {"sources": ["x.a"], "target": "y.z"}, {"y": {"z": 1}}),
        ({"a": "7"}, {"target_format": "integer"}, {"b": 7}),
        ({"a": 7}, {"target_format": "string"}, {"b": "7"}),
        ({"a": "seven"}, {"target_format": "double"}, {"b": "seven"}),
        ({"d": 1}, {}, {"d": 1}),
    ],
)
def test_remaps_attributes(log, change, expected):
    """The first source that is there moves or is copied; an existing target stays unless it may be overridden."""
    assert run(log, remapper(**change)).attributes == expected


def test_remaps_to_and_from_tags():
    """A value becomes a tag as Datadog stores tags, and a tag's value an attribute."""
    to_tag = run({"a": "Tool Call"}, remapper(target_type="tag", target="kind"))
    from_tag = run({"ddtags": "team:x"}, remapper(source_type="tag", sources=["team"], target="owner"))

    assert "kind:tool_call" in to_tag.tags
    assert from_tag.attributes == {"owner": "x"}
    assert "team:x" not in from_tag.tags


def test_the_first_status_remapper_counts():
    """Later ones change nothing, even when the first gave info for a word it does not know."""
    remappers = [{"type": "status-remapper", "sources": [source]} for source in ("absent", "one", "two")]

    assert run({"one": "zzz", "two": "error"}, *remappers).status == "info"
    assert run({"two": "error"}, *remappers).status == "error"


def test_sets_the_reserved_fields():
    """Date, message, service, trace id and span id from attributes; the ids leave them."""
    log = run(
        {"when": "2026-01-01T00:00:00Z", "text": "hello", "app": "billing", "t": "1f", "s": "2f", "service": "old"},
        {"type": "date-remapper", "sources": ["when"]},
        {"type": "message-remapper", "sources": ["text"]},
        {"type": "service-remapper", "sources": ["app"]},
        {"type": "trace-id-remapper", "sources": ["t"]},
        {"type": "span-id-remapper", "sources": ["s"]},
    )

    assert (log.timestamp_ms, log.message, log.service) == (1_767_225_600_000, "hello", "billing")
    assert (log.trace_id, log.span_id) == ("1f", "2f")
    assert {"t", "s"}.isdisjoint(log.attributes)
    assert "service:billing" in log.tags
    assert "service:old" not in log.tags


def test_a_message_remapper_on_message_changes_nothing():
    """The message was hoisted before, so `message` as a source leaves it."""
    assert run({"message": "m"}, {"type": "message-remapper", "sources": ["message"]}).message == "m"


@pytest.mark.parametrize(
    ("expression", "log", "expected"),
    [
        ("duration_ms * 1000000", {"duration_ms": 812}, 812_000_000),
        ("a.b + c - 1", {"a": {"b": 1}, "c": 2.5}, 2.5),
        ("(a + b) / 3", {"a": 1, "b": 1}, 0.666666667),
        ("2 * -a", {"a": 2}, -4),
        ("a-b - 1", {"a-b": 5}, 4),
        ("@a", {"a": "7"}, 7),
        ("a / b", {"a": 1, "b": 0}, None),
        ("a + missing", {"a": 1}, None),
        ("a + b", {"a": 1, "b": "x"}, None),
    ],
)
def test_computes(expression, log, expected):
    """Numbers and attributes by the usual order, nine decimals; nothing where one is missing or no number."""
    processor = {"type": "arithmetic-processor", "expression": expression, "target": "result"}

    assert run(log, processor).attributes.get("result") == expected


def test_a_missing_number_may_count_as_zero():
    """`is_replace_missing` says so."""
    processor = {
        "type": "arithmetic-processor",
        "expression": "a + b",
        "target": "result",
        "is_replace_missing": True,
    }

    assert run({"a": 1}, processor).attributes["result"] == 1


@pytest.mark.parametrize("text", ["", "1 +", "a b", "a ** b", "(a", "a; b", "1.2.3", "x" * 1_001])
def test_an_expression_that_is_none_is_refused(text):
    """What cannot be read is a ValueError that names it."""
    with pytest.raises(ValueError, match="expression"):
        compile_expression(text)


def test_builds_strings():
    """Attributes stand in the text; arrays by commas, objects as JSON; a missing one leaves it unwritten."""
    log = {"a": {"b": 1}, "list": [1, "x"]}
    template = {"type": "string-builder-processor", "template": "%{a.b}: %{list} %{a}", "target": "t"}
    missing = {"type": "string-builder-processor", "template": "[%{gone}]", "target": "t"}

    assert run(log, template).attributes["t"] == '1: 1,x {"b":1}'
    assert "t" not in run(log, missing).attributes
    assert run(log, missing | {"is_replace_missing": True}).attributes["t"] == "[]"


def test_a_log_that_no_pipeline_matches_says_so():
    """`datadog.pipelines:false` stands on it, and on no other."""
    assert "datadog.pipelines:false" in run({"message": "m"}, query="source:other").tags
    assert "datadog.pipelines:false" not in run({"message": "m"}).tags


def test_a_processor_is_off_unless_enabled():
    """`is_enabled` defaults to false."""
    assert run({"a": 1}, remapper(is_enabled=False)).attributes == {"a": 1}


def test_paths_are_dotted_or_nested():
    """A dotted key and nested objects are one path, to read, write and remove; emptied objects go."""
    attributes: dict[str, Any] = {"a.b": 1, "c": {"d.e": 2, "f": {"g": 3}}}

    assert [read_path(attributes, path) for path in ("a.b", "c.d.e", "c.f.g", "c.x")] == [1, 2, 3, None]
    assert remove_path(attributes, "c.f.g") == 3
    assert remove_path(attributes, "c.nothing") is None
    write_path(attributes, "a.b", 4)
    write_path(attributes, "n.m", 5)
    assert attributes == {"a.b": 4, "c": {"d.e": 2}, "n": {"m": 5}}
