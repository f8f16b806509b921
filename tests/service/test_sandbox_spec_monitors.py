"""The specification's three monitors on bursts that went through the real product, in the sandbox."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import DATADOG_KEY, Caller, Platform, start_platform, wait_for

from execlave_server.datadog.as_code.spec_queries import AUTONOMOUS, BURST, COST, SpecQuery

BLOCKS = 12  # more than the ten that the burst's monitor bears
HEADERS = {"DD-API-KEY": DATADOG_KEY, "DD-APPLICATION-KEY": "any"}


@pytest.fixture(scope="module")
def fired(tmp_path_factory) -> Iterator[tuple[Caller, dict[str, dict[str, Any]]]]:
    """The sandbox after bursts of one autonomous agent, with each printed and corrected query as a monitor."""
    with start_platform(tmp_path_factory.mktemp("spec"), public_url="https://execlave.example") as platform:
        send_bursts(platform)
        datadog = Caller(platform.sandbox.url, HEADERS)
        wait_for(lambda: count(datadog, "source:execlave @agent_id:*") == BLOCKS + 3, "the logs in the search")
        made = {
            f"{query.name}, {form}": create(datadog, query, search)
            for query in (BURST, COST, AUTONOMOUS)
            for form, search in (("printed", query.printed), ("corrected", query.corrected))
        }
        assert datadog.post("/sandbox/evaluate").status == 200
        found = {
            name: datadog.get(f"/api/v1/monitor/{monitor_id}?group_states=all").json
            for name, monitor_id in made.items()
        }
        yield datadog, found


def send_bursts(platform: Platform) -> None:
    """Twelve blocked tool calls, and three traces of two dollars each, of two agents."""
    with platform.sdk() as exe:
        exe.register_agent("runaway", "Runaway", autonomy_level="autonomous")
        exe.register_agent("spender", "Spender", autonomy_level="advise")
    blocked = [
        {"traceId": f"b{number}", "agentId": "runaway", "status": "policy_blocked", "spanType": "tool"}
        for number in range(BLOCKS)
    ]
    spent = [
        {"traceId": f"s{number}", "agentId": "spender", "status": "success", "spanType": "llm", "costUsd": 2.0}
        for number in range(3)
    ]
    now_ms = int(time.time() * 1_000)
    items = [{**item, "timestamp": now_ms} for item in blocked + spent]
    assert platform.server.agent.ingest(*items).status == 202
    platform.server.wait_until_delivered()


def create(datadog: Caller, query: SpecQuery, search: str) -> int:
    """Create the monitor; its id."""
    body = {
        "type": "log alert",
        "name": query.name,
        "query": query.monitor(search),
        "message": "{{#is_alert}}{{@agent_id.name}} at {{value}}, {{log.attributes.execlave.trace_url}}{{/is_alert}}",
    }
    return datadog.post("/api/v1/monitor", body).json["id"]


def count(datadog: Caller, query: str) -> int:
    """How many logs a search finds."""
    body = {"filter": {"query": query, "from": "now-1h", "to": "now"}, "compute": [{"aggregation": "count"}]}
    return datadog.post("/api/v2/logs/analytics/aggregate", body).json["data"]["buckets"][0]["computes"]["c0"]


@pytest.mark.parametrize("query", [BURST, AUTONOMOUS], ids=lambda query: query.name)
def test_as_printed_it_matches_nothing_and_corrected_it_fires(fired, query):
    """`status:` is the severity: the printed search finds no log and stays well, `@status:` alerts."""
    datadog, found = fired

    assert count(datadog, query.printed) == 0
    assert count(datadog, f"({query.corrected}) @agent_id:runaway") == BLOCKS
    assert found[f"{query.name}, printed"]["overall_state"] != "Alert"
    assert found[f"{query.name}, corrected"]["overall_state"] == "Alert"


def test_the_cost_monitor_fires_as_printed(fired):
    """The second query is right as it stands: the sum of @cost_usd by agent passes its line."""
    _, found = fired

    groups = found[f"{COST.name}, printed"]["state"]["groups"]
    assert {name: group["status"] for name, group in groups.items()}["@agent_id:spender"] == "Alert"


def test_the_notification_names_the_agent_and_links_back(fired):
    """The alert carries the agent, the value and the link back to the trace."""
    datadog, _ = fired

    told = [event for event in datadog.get("/sandbox/history").json["events"] if event["transition"] == "Triggered"]
    burst = next(event for event in told if event["group"] == "@agent_id:runaway" and event["value"] == BLOCKS)
    assert burst["body"].startswith(f"runaway at {BLOCKS}, https://execlave.example/")
    assert burst["title"] == f"[Triggered on {{@agent_id:runaway}}] {BURST.name}"


def test_with_the_pipeline_the_span_type_is_a_tag(fired):
    """A remapper to a tag makes `span_type:tool` match, for the logs that come after it."""
    datadog, _ = fired
    log = {"ddsource": "execlave", "message": "m", "span_type": "tool", "agent_id": "later"}
    remapper = {
        "type": "attribute-remapper",
        "is_enabled": True,
        "sources": ["span_type"],
        "source_type": "attribute",
        "target": "span_type",
        "target_type": "tag",
        "preserve_source": True,
        "override_on_conflict": False,
    }
    body = {"name": "p", "is_enabled": True, "filter": {"query": "source:execlave"}, "processors": [remapper]}

    assert datadog.post("/api/v1/logs/config/pipelines", body).status == 200
    assert datadog.post("/api/v2/logs", [log]).status == 202

    assert (count(datadog, "span_type:tool"), count(datadog, "@span_type:tool")) == (1, BLOCKS + 1)
