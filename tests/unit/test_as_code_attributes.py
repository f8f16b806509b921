"""Nothing shipped asks for an attribute or a value that no log carries; what they carry is asked of what makes them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from execlave_server.actions.send_again import Past
from execlave_server.audit.event_logs import STREAMED, EventFields, EventMiddle
from execlave_server.datadog.as_code.monitors import SHIPPED
from execlave_server.datadog.as_code.pipeline import PIPELINE, AttributeRemapper, CategoryProcessor, StatusRemapper
from execlave_server.datadog.as_code.resources import Kind, bodies
from execlave_server.datadog.as_code.spec_queries import OF_THE_SPECIFICATION
from execlave_server.datadog.event_times import restamped_members
from execlave_server.datadog.heartbeat import EVENT as HEARTBEAT
from execlave_server.datadog.heartbeat import HeartbeatFields, HeartbeatMiddle
from execlave_server.datadog.logs import ExeclaveFields, LogMiddle
from execlave_server.datadog.monitors.log_monitor import LogMonitor
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query
from execlave_server.datadog.monitors.render_message import message_paths
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.datadog.search.query import And, Field, FieldKind, Not, Or, Pattern, Query, Term
from execlave_server.export import frame
from execlave_server.model.agents import AgentStatus, AutonomyLevel
from execlave_server.model.policies import PolicyType
from execlave_server.model.traces import TraceStatus

ROW = ("b", 0, 1, b"", 7, b"\x00" * 32, "trace", "span")


def sent_members() -> set[str]:
    """What sending adds to `execlave`, out of the very functions that add it."""
    framing = frame.Frame.__new__(frame.Frame)
    framing._organization_id, framing._link_base = "org", "https://e.example/traces/"
    lease = type("Sent", (), {})()
    tails = [framing._link(ROW), frame._anchor(ROW), restamped_members(1, 2)]
    for lease.origin in Past:
        tails.append(frame._origin_members(lease))
    return {name for tail in tails for name in json.loads(b"{" + tail[1:] + b"}")}


def names_of(struct: type[msgspec.Struct]) -> set[str]:
    """The names that a struct is encoded with."""
    return {each.encode_name for each in msgspec.structs.fields(struct)}


def known_attributes() -> set[str]:
    """Every attribute of every log: traces, governance events, heartbeats, and what sending adds."""
    outer = names_of(LogMiddle) | names_of(EventMiddle) | names_of(HeartbeatMiddle)
    inner = names_of(ExeclaveFields) | names_of(EventFields) | names_of(HeartbeatFields) | sent_members()
    return (outer - {"execlave", "message", "trace_id"}) | {f"execlave.{name}" for name in inner}


KNOWN = known_attributes()
TAGS_OF_PIPELINE = {
    each.target for each in PIPELINE.processors if isinstance(each, AttributeRemapper) and each.target_type == "tag"
}


def strings(value: Any) -> Iterator[str]:
    """Every text in a body."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("kind", list(Kind))
def test_every_attribute_named_is_one_that_logs_carry(kind):
    """Searches, measures, groups, columns, tags of metrics, variables of messages: whatever stands behind an `@`."""
    named = {name for body in bodies(kind) for text in strings(body) for name in re.findall(r"@([\w.]*\w)", text)}

    assert {name.removesuffix(".name") for name in named} - KNOWN == set()
    assert named


def test_the_sources_of_the_pipeline_are_carried_or_made():
    """A processor reads what logs carry, or what an earlier processor wrote."""
    there = set(KNOWN)
    for each in PIPELINE.processors:
        if isinstance(each, AttributeRemapper | StatusRemapper):
            assert set(each.sources) <= there, each.name
        if isinstance(each, AttributeRemapper | CategoryProcessor):
            there.add(each.target)


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda each: each.key)
def test_messages_name_what_there_is(shipped):
    """Variables of groups that the query groups by, attributes that logs carry, and no unknown name."""
    query = parse_monitor_query(shipped.definition.query)
    for path in message_paths(shipped.definition.message):
        if found := re.fullmatch(r"log\.attributes\.\[?([\w.]+)\]?", path):
            assert found[1] in KNOWN
        elif found := re.fullmatch(r"\[?(@[\w.]+?)\]?\.name", path):
            assert found[1] in query.group_by
        else:
            assert path in {"value", "threshold", "log.message"}


VALUES = {
    "execlave.event": {*(str(kind) for kind in STREAMED), HEARTBEAT},
    "execlave.status": set(TraceStatus),
    "execlave.policy_types": set(PolicyType),
    "execlave.unregistered": {"true"},
    "execlave.late": {"true"},
    "execlave.replay": {"true"},
    "status": set(TraceStatus),
    "agent_status": set(AgentStatus),
    "autonomy_level": set(AutonomyLevel),
    "span_type": {"tool"},
}


def terms(query: Query) -> Iterator[Term]:
    """Every term of a search."""
    match query:
        case And(items) | Or(items):
            for item in items:
                yield from terms(item)
        case Not(item):
            yield from terms(item)
        case Term():
            yield query


def searches() -> Iterator[str]:
    """Every search of everything shipped, and the specification's corrected ones."""
    for kind in Kind:
        for body in bodies(kind):
            for text in strings(body):
                if text.startswith("logs("):
                    yield parse_monitor_query(text).search
                elif text.startswith(("source:", "@execlave.status:", "@execlave.event:")):
                    yield text
    yield from (query.corrected for query in OF_THE_SPECIFICATION)


@pytest.mark.parametrize("search", sorted(set(searches())))
def test_every_value_searched_for_is_one_that_logs_have(search):
    """A status, event, policy type or state that is misspelt would never match, and Datadog would not say so."""
    for term in terms(parse_query(search)):
        assert term.field.kind is not FieldKind.TAG, "tags are the customer's own"
        if term.field.kind is not FieldKind.ATTRIBUTE:
            assert term.field == Field(FieldKind.RESERVED, "source")
        elif isinstance(term.value, Pattern):
            assert term.value.literal in VALUES[term.field.name]


def test_the_tags_of_the_pipeline():
    """`env` and `span_type` become tags."""
    assert {"env", "span_type"} == TAGS_OF_PIPELINE


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda each: each.key)
def test_shipped_searches_leave_out_what_is_late_or_replayed(shipped):
    """A drained outage and a replay page nobody; a heartbeat is never either. None asks for the reserved status."""
    search = LogMonitor(shipped.definition).query.search

    about_stream = "heartbeat" in search
    assert ("-@execlave.late:true -@execlave.replay:true" in search) is not about_stream
    assert "@status" not in search
