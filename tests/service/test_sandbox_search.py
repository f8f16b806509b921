"""What the sandbox makes of a log, and how it is found again: preprocessing, search, aggregates, keys."""

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
def clock() -> HeldClock:
    """The sandbox's clock."""
    return HeldClock()


@pytest.fixture
async def client(clock: HeldClock) -> AsyncIterator[Client]:
    """A client of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], clock) as port, aiohttp.ClientSession() as session:
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


async def test_shows_a_log_as_datadog_does(client, clock):
    """Reserved fields are hoisted, originals stay, the trace id is hidden, tags are as Datadog stores them."""
    log = {
        "ddsource": "execlave",
        "service": "agents-prod",
        "ddtags": "env:Production,Team Platform,9lives",
        "hostname": "execlave",
        "message": "send_email policy_blocked",
        "timestamp": clock.us // 1_000 - 500,
        "trace_id": "9f4e2c1a-7b3d-4e8f-a1c2-3d4e5f6a7b8c",
        "span_id": "ab",
        "status": "flagged_for_review",
        "execlave": {"status": "flagged_for_review"},
    }
    await submit(client, log)

    (shown,) = await search(client)

    assert shown == {
        "timestamp": "2026-02-02T02:39:59.500Z",
        "status": "emergency",
        "host": "execlave",
        "service": "agents-prod",
        "message": "send_email policy_blocked",
        "tags": [
            "env:production",
            "team_platform",
            "lives",
            "source:execlave",
            "service:agents-prod",
            "datadog.submission_auth:api_key",
            "datadog.index:main",
            "datadog.pipelines:false",
        ],
        "attributes": {
            "service": "agents-prod",
            "hostname": "execlave",
            "timestamp": log["timestamp"],
            "status": "flagged_for_review",
            "execlave": {"status": "flagged_for_review"},
        },
    }
    assert await messages(client, "trace_id:9f4e2c1a-7b3d-4e8f-a1c2-3d4e5f6a7b8c") == [log["message"]]
    assert await messages(client, "@trace_id:*") == []


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        ("success", "ok"),
        ("error", "error"),
        ("timeout", "debug"),
        ("policy_blocked", "info"),
        ("limit_exceeded", "info"),
        ("flagged_for_review", "emergency"),
    ],
)
async def test_severity_of_the_specifications_values(client, status, severity):
    """`status:` finds the severity and never the value; `@status:` finds the value."""
    await submit(client, {"message": "m", "status": status})

    assert await messages(client, f"status:{severity}") == ["m"]
    assert await messages(client, f"@status:{status}") == ["m"]
    assert (await messages(client, f"status:{status}") == ["m"]) is (status == severity)


async def test_a_log_without_a_date_has_that_of_its_arrival(client):
    """No date, or one that cannot be read, is the arrival's; ISO 8601, milliseconds and RFC 3164 are read."""
    await submit(
        client,
        {"message": "none"},
        {"message": "bad", "timestamp": "yesterday"},
        {"message": "iso", "date": "2026-02-02T02:00:00+01:00"},
        {"message": "syslog", "syslog": {"timestamp": "Feb  2 02:10:00"}},
    )

    shown = {log["message"]: log["timestamp"] for log in await search(client)}
    assert shown == {
        "none": "2026-02-02T02:40:00.000Z",
        "bad": "2026-02-02T02:40:00.000Z",
        "iso": "2026-02-02T01:00:00.000Z",
        "syslog": "2026-02-02T02:10:00.000Z",
    }


async def test_tags_of_the_query_string_are_added(client):
    """`?ddtags=` gives tags to every log of the request."""
    await submit(client, {"message": "m", "ddtags": "a:b"}, path="/api/v2/logs?ddtags=Team:X,a:b")

    (shown,) = await search(client)
    assert shown["tags"][:2] == ["a:b", "team:x"]


async def test_pages_join_up_while_logs_arrive(client, clock):
    """A cursor goes on where the page ended, in both orders, whatever has arrived since."""
    for sort, first_ones, rest in (
        ("-timestamp", ["4", "3"], ["2", "1", "0"]),
        ("timestamp", ["0", "1"], ["2", "3", "4"]),
    ):
        await client.ask("DELETE", "/sandbox/logs")
        await submit(client, *({"message": str(n), "timestamp": clock.us // 1_000 - 5_000 + n} for n in range(5)))
        body = {"filter": {"query": "*"}, "sort": sort, "page": {"limit": 2}}
        page = await ask(client, "POST", "/api/v2/logs/events/search", body)
        assert [log["attributes"]["message"] for log in page["data"]] == first_ones
        if sort == "-timestamp":
            await submit(client, {"message": "newer"})
        async with client.session.get(page["links"]["next"], headers=HEADERS) as answer:
            second = await answer.json()
        third = await ask(
            client,
            "POST",
            "/api/v2/logs/events/search",
            body | {"page": {"limit": 2, "cursor": second["meta"]["page"]["after"]}},
        )

        found = [log["attributes"]["message"] for log in second["data"] + third["data"]]
        assert found == rest
        assert "links" not in third


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"filter": {"query": "a AND ("}}, "Invalid query: "),
        ({"filter": {"from": "yesterday"}}, "Invalid `from`: 'yesterday'"),
        ({"page": {"limit": 1_001}}, "$.page.limit"),
        ({"page": {"cursor": "?"}}, "Invalid cursor"),
        ({"sort": "service"}, "$.sort"),
    ],
)
async def test_a_bad_search_is_refused_with_its_reason(client, body, said):
    """400 in the API's envelope, naming what is wrong; a query with the character."""
    status, answer = await client.ask("POST", "/api/v2/logs/events/search", json=body, headers=HEADERS)

    assert status == 400
    assert said in answer["errors"][0]


async def test_other_indexes_are_empty(client):
    """There is one index, `main`."""
    await submit(client, {"message": "m"})
    body = {"filter": {"query": "*", "indexes": ["other"]}}

    assert (await ask(client, "POST", "/api/v2/logs/events/search", body))["data"] == []
    body["filter"]["indexes"] = ["main", "other"]
    assert len((await ask(client, "POST", "/api/v2/logs/events/search", body))["data"]) == 1


async def test_a_log_is_found_when_its_indexing_delay_is_over(client, clock):
    """With a delay a log that was accepted is not searchable yet."""
    await ask(client, "PUT", "/sandbox/settings", {"indexing_delay_ms": 300})
    await submit(client, {"message": "m"})
    assert await messages(client) == []

    clock.us += 300_000

    assert await messages(client) == ["m"]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "API key required"),
        ({"DD-API-KEY": KEY}, "Application key required"),
        ({"DD-API-KEY": "wrong", "DD-APPLICATION-KEY": "any"}, "Forbidden"),
    ],
)
async def test_the_api_host_wants_both_keys(client, headers, said):
    """Searching needs an application key beside the API key; the intake does not."""
    for method, path in (("POST", "/api/v2/logs/events/search"), ("GET", "/api/v1/monitor"), ("GET", PIPELINES)):
        assert await client.ask(method, path, headers=headers) == (403, {"errors": [said]})


async def test_application_keys_are_checked_once_some_are_named(client):
    """Any is taken until some are named; then no other."""
    await client.ask("PUT", "/sandbox/keys", json={"keys": [KEY], "application_keys": ["app"]})

    assert (await client.ask("GET", PIPELINES, headers=HEADERS))[0] == 403
    assert (await client.ask("GET", PIPELINES, headers=HEADERS | {"DD-APPLICATION-KEY": "app"}))[0] == 200


async def test_aggregates_by_facets(client):
    """Groups are limited and ordered, the ones without a value named, totals added, figures without data left out."""
    logs = [
        {"agent_id": "a", "cost_usd": 1.5, "ddtags": "env:x"},
        {"agent_id": "a", "cost_usd": 2.5, "ddtags": "env:y"},
        {"agent_id": "b", "cost_usd": 9, "ddtags": "env:x"},
        {"cost_usd": 1},
        {"agent_id": "c"},
    ]
    await submit(client, *logs)
    group = {"facet": "@agent_id", "limit": 2, "missing": "none", "total": "all"}
    compute = [{"aggregation": "sum", "metric": "@cost_usd"}, {"aggregation": "count"}]
    body = {"compute": compute, "filter": {"query": "*"}, "group_by": [group]}

    buckets = (await ask(client, "POST", "/api/v2/logs/analytics/aggregate", body))["data"]["buckets"]
    by_tag = await ask(
        client, "POST", "/api/v2/logs/analytics/aggregate", {"compute": compute[1:], "group_by": [{"facet": "env"}]}
    )

    assert buckets == [
        {"by": {"@agent_id": "b"}, "computes": {"c0": 9.0, "c1": 1}},
        {"by": {"@agent_id": "a"}, "computes": {"c0": 4.0, "c1": 2}},
        {"by": {"@agent_id": "all"}, "computes": {"c0": 14.0, "c1": 5}},
    ]
    assert by_tag["data"]["buckets"] == [
        {"by": {"env": "x"}, "computes": {"c0": 2}},
        {"by": {"env": "y"}, "computes": {"c0": 1}},
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"compute": [{"aggregation": "sum"}]},
        {"compute": [{"aggregation": "mode", "metric": "@a"}]},
        {"compute": [{"aggregation": "count", "type": "timeseries", "interval": "soon"}]},
        {"compute": [{"aggregation": "count", "type": "timeseries", "interval": "1ms"}]},
        {"group_by": [{"facet": "@a", "limit": 10_001}]},
        {"group_by": [{"facet": "@a"}] * 5},
        {"filter": {"query": "("}},
        [],
    ],
)
async def test_a_bad_aggregation_is_refused(client, body):
    """400 in the API's envelope."""
    status, answer = await client.ask("POST", "/api/v2/logs/analytics/aggregate", json=body, headers=HEADERS)

    assert (status, len(answer["errors"])) == (400, 1)
