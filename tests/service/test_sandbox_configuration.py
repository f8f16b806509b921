"""What pipelines, log metrics and security rules do in the sandbox, and what of them is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from sandbox_client import KEY, Client, HeldClock

from execlave_server.sandbox.serve import serve_sandbox

HEADERS = {"DD-API-KEY": KEY, "DD-APPLICATION-KEY": "any"}
PIPELINES = "/api/v1/logs/config/pipelines"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], HeldClock()) as port, aiohttp.ClientSession() as session:
        yield Client(session, port)


async def ask(client: Client, method: str, path: str, body: Any = None) -> Any:
    """A good answer's body."""
    status, answer = await client.ask(method, path, json=body, headers=HEADERS)
    assert status == 200, answer
    return answer


async def submit(client: Client, *logs: dict[str, Any], path: str = "/api/v2/logs") -> None:
    """Send logs to the intake."""
    assert (await client.ask("POST", path, data=json.dumps(logs).encode(), headers=HEADERS))[0] == 202


async def search(client: Client, query: str = "*", **more: Any) -> list[dict[str, Any]]:
    """The logs a search finds, as the API shows them."""
    body = {"filter": {"query": query, "from": "now-1d", "to": "now+1d"}, "sort": "timestamp", **more}
    return [found["attributes"] for found in (await ask(client, "POST", "/api/v2/logs/events/search", body))["data"]]


async def messages(client: Client, query: str = "*") -> list[str]:
    """Their messages."""
    return [found["message"] for found in await search(client, query)]


async def test_a_pipeline_works_on_the_logs_that_come_after_it(client):
    """Severity from a category, for new logs alone; off again when it is disabled, deleted or not yet enabled."""
    categories = [{"name": "warning", "filter": {"query": "@status:policy_blocked"}}]
    pipeline = {
        "name": "p",
        "is_enabled": True,
        "filter": {"query": "source:execlave"},
        "processors": [
            {"type": "category-processor", "is_enabled": True, "target": "execlave.severity", "categories": categories},
            {"type": "status-remapper", "is_enabled": True, "sources": ["execlave.severity"]},
        ],
    }
    log = {"ddsource": "execlave", "status": "policy_blocked"}
    await submit(client, log | {"message": "before"})
    made = await ask(client, "POST", PIPELINES, pipeline)
    await submit(client, log | {"message": "after"}, {"message": "other source", "status": "policy_blocked"})
    await ask(client, "PUT", f"{PIPELINES}/{made['id']}", pipeline | {"is_enabled": False})
    await submit(client, log | {"message": "disabled"})

    assert await messages(client, "status:warn") == ["after"]
    assert await messages(client, "@execlave.severity:warning -datadog.pipelines:false") == ["after"]
    assert await messages(client, "status:info datadog.pipelines:false") == ["before", "other source", "disabled"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "p", "filter": {"query": "("}}, "Invalid pipeline: "),
        ({"name": "p", "processors": [{"type": "grok-parser"}]}, "the sandbox does not run it"),
        ({"filter": {"query": "*"}}, "required field `name`"),
        (
            {
                "name": "p",
                "processors": [
                    {"type": "arithmetic-processor", "is_enabled": True, "expression": "1 +", "target": "a"}
                ],
            },
            "cannot read the expression",
        ),
    ],
)
async def test_a_bad_pipeline_is_refused_in_the_configuration_apis_envelope(client, body, said):
    """400, a code and a sentence."""
    status, answer = await client.ask("POST", PIPELINES, json=body, headers=HEADERS)

    assert (status, answer["error"]["code"]) == (400, "InvalidArgument")
    assert said in answer["error"]["message"]
    assert await ask(client, "GET", PIPELINES) == []


async def test_pipelines_run_in_their_order(client):
    """The first status remapper over all matching pipelines counts, so the order decides."""
    made = [
        await ask(
            client,
            "POST",
            PIPELINES,
            {
                "name": source,
                "is_enabled": True,
                "processors": [{"type": "status-remapper", "is_enabled": True, "sources": [source]}],
            },
        )
        for source in ("one", "two")
    ]
    ids = [each["id"] for each in made]
    await submit(client, {"message": "in order", "one": "warn", "two": "error"})
    assert await ask(client, "PUT", "/api/v1/logs/config/pipeline-order", {"pipeline_ids": ids[::-1]}) == {
        "pipeline_ids": ids[::-1]
    }
    await submit(client, {"message": "reversed", "one": "warn", "two": "error"})

    assert await messages(client, "status:warn") == ["in order"]
    assert await messages(client, "status:error") == ["reversed"]
    status, _ = await client.ask(
        "PUT", "/api/v1/logs/config/pipeline-order", json={"pipeline_ids": ids[:1]}, headers=HEADERS
    )
    assert status == 400


async def test_a_log_metric_counts_the_logs_that_come_after_it(client):
    """A distribution keeps count and sum by minute and tags, over new logs that match and carry the number."""
    await submit(client, {"message": "m", "agent_id": "a", "cost_usd": 100})
    attributes = {
        "compute": {"aggregation_type": "distribution", "path": "@cost_usd"},
        "filter": {"query": "@agent_id:*"},
        "group_by": [{"path": "@agent_id", "tag_name": "agent"}],
    }
    body = {"data": {"id": "spend", "type": "logs_metrics", "attributes": attributes}}
    assert await ask(client, "POST", "/api/v2/logs/config/metrics", body) == body
    await submit(client, *({"message": "m", "agent_id": "a", "cost_usd": cost} for cost in (1, 2.5, None)))

    report = await ask(client, "GET", "/sandbox/metrics/spend")

    (point,) = report["points"]
    assert (point["tags"], point["count"], point["sum"], point["min"], point["max"]) == (["agent:a"], 2, 3.5, 1.0, 2.5)
    assert (await client.ask("POST", "/api/v2/logs/config/metrics", json=body, headers=HEADERS))[0] == 409
    assert (await client.ask("GET", "/api/v2/logs/config/metrics/other", headers=HEADERS))[0] == 404


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"queries": [{"name": "q", "query": " "}]}, "Query filter cannot be empty"),
        ({"cases": [{"status": "high", "condition": "other > 1"}]}, "other"),
        ({"options": {"evaluationWindow": 901, "keepAlive": 0, "maxSignalDuration": 0}}, "evaluationWindow"),
        ({"options": {"evaluationWindow": 900, "keepAlive": 10, "maxSignalDuration": 5}}, "keepAlive"),
    ],
)
async def test_a_bad_security_rule_is_refused_with_every_fault(client, change, said):
    """Creation is 400 in the recorded words, validation 400 with details; a good one is 204 and nothing."""
    rule = {
        "name": "r",
        "isEnabled": True,
        "message": "m",
        "queries": [{"name": "q", "query": "source:execlave"}],
        "cases": [{"status": "high", "condition": "q > 1"}],
        "options": {"evaluationWindow": 900, "keepAlive": 0, "maxSignalDuration": 0},
    }
    path = "/api/v2/security_monitoring/rules"

    assert (await client.ask("POST", f"{path}/validation", json=rule, headers=HEADERS))[0] == 204
    status, answer = await client.ask("POST", path, json=rule | change, headers=HEADERS)
    assert (status, answer["errors"][0]) == (400, "Invalid rule configuration")
    assert any(said in error for error in answer["errors"])
    status, answer = await client.ask("POST", f"{path}/validation", json=rule | change, headers=HEADERS)
    assert (status, answer["error"]["code"]) == (400, "InvalidArgument")
