"""The sandbox's monitors over time: states by group, missing data, notifications. Time is the test's."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sandbox_client import KEY, Client, HeldClock

from execlave_server.sandbox.serve import serve_sandbox

HEADERS = {"DD-API-KEY": KEY, "DD-APPLICATION-KEY": "any"}
SEARCH = 'logs("source:execlave @status:policy_blocked").index("*")'
BURST = SEARCH + '.rollup("count").by("@agent_id").last("5m") > 2'


@pytest.fixture
def clock() -> HeldClock:
    """The clock below the sandbox's, at a full minute."""
    return HeldClock()


@pytest.fixture
async def client(clock: HeldClock) -> AsyncIterator[Client]:
    """A client of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], clock) as port, aiohttp.ClientSession() as session:
        yield Client(session, port)


@pytest.fixture
async def webhook() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a local webhook, and what was posted to it."""
    posted: list[dict[str, Any]] = []

    async def receive(request: web.Request) -> web.Response:
        posted.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/alerts", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site.port}/alerts", posted
    await runner.cleanup()


async def create(client: Client, query: str = BURST, **more: Any) -> int:
    """Create a monitor; its id."""
    body = {"type": "log alert", "name": "burst of {{@agent_id.name}}", "query": query, "message": "m", **more}
    status, made = await client.ask("POST", "/api/v1/monitor", json=body, headers=HEADERS)
    assert status == 200, made
    return made["id"]


async def submit(client: Client, count: int, agent: str = "a1", **more: Any) -> None:
    """Send blocked logs of one agent."""
    now = (await client.ask("GET", "/sandbox/clock"))[1]["now_us"] // 1_000
    log = {"ddsource": "execlave", "status": "policy_blocked", "agent_id": agent, "timestamp": now, "message": "m"}
    assert (await client.send(json.dumps([log | more] * count).encode()))[0] == 202


async def pass_time(client: Client, seconds: float) -> None:
    """Let the sandbox's time pass."""
    status, answer = await client.ask("POST", "/sandbox/clock", json={"advance_s": seconds})
    assert status == 200, answer


async def states(client: Client, monitor_id: int) -> dict[str, str]:
    """The state of each group."""
    path = f"/api/v1/monitor/{monitor_id}?group_states=all"
    found = (await client.ask("GET", path, headers=HEADERS))[1]
    return {name: group["status"] for name, group in found["state"]["groups"].items()}


async def history(client: Client) -> list[dict[str, Any]]:
    """What changed, oldest first."""
    return (await client.ask("GET", "/sandbox/history"))[1]["events"]


async def test_each_group_has_its_own_state_and_recovers(client):
    """The group above the threshold alerts, the other is well; when the window has passed it recovers by itself."""
    monitor_id = await create(client)
    await submit(client, 3, "a1")
    await submit(client, 2, "a2")

    await pass_time(client, 60)
    assert await states(client, monitor_id) == {"@agent_id:a1": "Alert", "@agent_id:a2": "OK"}
    await pass_time(client, 360)
    assert await states(client, monitor_id) == {"@agent_id:a1": "OK", "@agent_id:a2": "OK"}

    told = [(event["transition"], event["group"]) for event in await history(client) if event["transition"]]
    assert told == [("Triggered", "@agent_id:a1"), ("Recovered", "@agent_id:a1")]


async def test_it_is_evaluated_at_each_full_minute_of_the_clock(client, clock):
    """Evaluation follows the sandbox's clock: a minute that passes on it is a minute, and none passes by itself."""
    await create(client)
    await submit(client, 3)
    assert await history(client) == []

    await pass_time(client, 59)
    assert await history(client) == []
    await pass_time(client, 1)

    (event, *_) = await history(client)
    assert (event["after"], event["at_us"]) == ("Alert", clock.us + 60_000_000)


async def test_logs_from_before_the_monitor_count_when_they_are_in_its_window(client):
    """A new monitor looks back over its window, not further."""
    await submit(client, 3, "older")
    await pass_time(client, 400)
    await submit(client, 3, "newer")
    monitor_id = await create(client)

    await pass_time(client, 60)

    assert await states(client, monitor_id) == {"@agent_id:newer": "Alert"}


@pytest.mark.parametrize(
    ("rollup", "missing", "after"),
    [
        ('.rollup("count")', "default", "OK"),
        ('.rollup("count")', "show_no_data", "No Data"),
        ('.rollup("sum", "@cost_usd")', "default", "Alert"),
        ('.rollup("sum", "@cost_usd")', "resolve", "OK"),
        ('.rollup("sum", "@cost_usd")', "show_and_notify_no_data", "No Data"),
    ],
)
async def test_missing_data_is_what_the_option_says(client, rollup, missing, after):
    """Without logs a count is 0 and another aggregate keeps its state, unless `on_missing_data` says otherwise."""
    query = SEARCH + rollup + '.by("@agent_id").last("5m") > 2'
    monitor_id = await create(client, query, options={"on_missing_data": missing})
    await submit(client, 3, cost_usd=1.0)

    await pass_time(client, 60)
    assert await states(client, monitor_id) == {"@agent_id:a1": "Alert"}
    await pass_time(client, 600)

    assert await states(client, monitor_id) == {"@agent_id:a1": after}
    told = {event["transition"] for event in await history(client)}
    assert ("No Data" in told) is (missing == "show_and_notify_no_data")


async def test_warns_before_it_alerts(client):
    """Between warning and critical the state is Warn, past critical Alert."""
    monitor_id = await create(client, options={"thresholds": {"critical": 2, "warning": 1}})
    await submit(client, 2)
    await pass_time(client, 60)
    assert await states(client, monitor_id) == {"@agent_id:a1": "Warn"}

    await submit(client, 1)
    await pass_time(client, 60)

    assert await states(client, monitor_id) == {"@agent_id:a1": "Alert"}


async def test_tells_again_while_it_lasts(client):
    """With a renotify interval the alert is told again, with the escalation message."""
    query = BURST.replace('"5m"', '"1h"')
    await create(client, query, options={"renotify_interval": 10, "escalation_message": "still"})
    await submit(client, 3)

    await pass_time(client, 60 + 1_260)

    told = [event for event in await history(client) if event["transition"]]
    assert [event["transition"] for event in told] == ["Triggered", "Re-Triggered", "Re-Triggered"]
    assert "still" in told[1]["body"]
    assert "still" not in told[0]["body"]


async def test_posts_the_rendered_message_to_the_webhook(client, webhook):
    """A local webhook gets title, text with everything filled in, whom it is for, and a link to the logs."""
    url, posted = webhook
    assert (await client.ask("PUT", "/sandbox/settings", json={"webhook_url": url}))[0] == 200
    message = (
        "{{#is_alert}}{{@agent_id.name}}: {{value}} > {{threshold}} {{log.attributes.execlave.trace_url}}{{/is_alert}}"
        "{{#is_recovery}}over{{/is_recovery}} @slack-sec"
    )
    monitor_id = await create(client, message=message)
    await submit(client, 3, execlave={"trace_url": "http://127.0.0.1:4000/t/1"})

    await pass_time(client, 60)
    await client.ask("POST", "/sandbox/evaluate")

    (alert,) = posted
    assert alert["title"] == "[Triggered on {@agent_id:a1}] burst of a1"
    assert alert["body"] == "a1: 3 > 2 http://127.0.0.1:4000/t/1 @slack-sec"
    assert (alert["alert_id"], alert["handles"]) == (monitor_id, ["@slack-sec"])
    async with client.session.get(alert["link"]) as page:
        assert page.status == 200
        assert "3 logs match" in " ".join((await page.text()).split())
    assert (await history(client))[0]["posted"] == "posted, answered 200"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/alerts",
        "http://10.0.0.1/alerts",
        "https://127.0.0.1/alerts",
        "http://127.0.0.1.example.com/",
        "http://user@127.0.0.1/",
        "file:///etc/passwd",
        "http://0.0.0.0/",
        "nothing",
    ],
)
async def test_tells_nobody_beyond_this_machine(client, url):
    """Only a webhook at a loopback address is taken."""
    status, answer = await client.ask("PUT", "/sandbox/settings", json={"webhook_url": url})

    assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert (await client.ask("GET", "/sandbox/settings"))[1]["webhook_url"] is None


async def test_a_webhook_that_does_not_answer_is_noted(client):
    """The history says that a notification was not posted, and evaluation goes on."""
    await client.ask("PUT", "/sandbox/settings", json={"webhook_url": "http://127.0.0.1:1/"})
    await create(client)
    await submit(client, 3)
    await pass_time(client, 1)

    changes = (await client.ask("POST", "/sandbox/evaluate"))[1]["changes"]

    assert changes[0]["after"] == "Alert"
    assert (await history(client))[0]["posted"].startswith("not posted: ")


async def test_one_notification_for_all_groups_when_notify_by_says_so(client):
    """`notify_by: ["*"]` tells once of all groups that alert together; each state still shows."""
    await create(client, options={"notify_by": ["*"]})
    await submit(client, 3, "a1")
    await submit(client, 3, "a2")

    await pass_time(client, 60)

    events = await history(client)
    assert [event["after"] for event in events] == ["Alert", "Alert"]
    assert [event["transition"] for event in events] == ["Triggered", None]


async def test_a_changed_monitor_begins_anew_and_keeps_its_history(client):
    """After an update the new query holds; what happened before is still to be read."""
    monitor_id = await create(client)
    await submit(client, 3)
    await pass_time(client, 60)
    change = {"query": BURST.replace("> 2", "> 5"), "options": {"thresholds": {"critical": 5}}}

    status, changed = await client.ask("PUT", f"/api/v1/monitor/{monitor_id}", json=change, headers=HEADERS)
    await pass_time(client, 60)

    assert (status, changed["options"]["thresholds"]) == (200, {"critical": 5.0})
    assert await states(client, monitor_id) == {"@agent_id:a1": "OK"}
    assert [event["after"] for event in await history(client)] == ["Alert", "OK"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/monitor/7"),
        ("PUT", "/api/v1/monitor/7"),
        ("DELETE", "/api/v1/monitor/x"),
        ("GET", "/api/v1/monitor/can_delete?monitor_ids=7"),
        ("GET", "/api/v1/monitor/can_delete"),
    ],
)
async def test_an_unknown_monitor_is_refused_in_the_recorded_words(client, method, path):
    """404 and `Monitor not found`."""
    assert await client.ask(method, path, json={}, headers=HEADERS) == (404, {"errors": ["Monitor not found"]})


async def test_answers_in_the_recorded_shape(client):
    """What Datadog adds to a monitor is there, with its recorded defaults."""
    status, made = await client.ask(
        "POST",
        "/api/v1/monitor",
        json={"type": "log alert", "name": "n", "message": "m", "query": BURST},
        headers=HEADERS,
    )

    assert status == 200
    assert made["options"] == {
        "notify_audit": False,
        "silenced": {},
        "include_tags": True,
        "new_host_delay": 300,
        "notify_no_data": False,
        "groupby_simple_monitor": False,
    }
    assert (made["overall_state"], made["overall_state_modified"], made["multi"]) == ("No Data", None, True)
    assert (made["deleted"], made["created"]) == (None, "2026-02-02T02:40:00+00:00")
    assert set(made["creator"]) == {"id", "handle", "name", "email"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "log alert"},
        {"type": "metric alert", "query": BURST},
        {"type": "log alert", "query": BURST, "options": {"thresholds": {"critical": "x"}}},
        {"type": "log alert", "query": BURST, "options": 7},
        {"type": "log alert", "query": BURST, "name": 7},
        {"type": "log alert", "query": 7},
        {"type": "log alert", "query": "logs("},
    ],
)
async def test_a_bad_body_is_an_error_of_its_sender(client, body):
    """Whatever is wrong with a monitor is a 400 with one sentence."""
    status, answer = await client.ask("POST", "/api/v1/monitor/validate", json=body, headers=HEADERS)

    assert (status, len(answer["errors"])) == (400, 1)


async def test_forgetting_the_logs_leaves_the_monitors(client):
    """After the logs are forgotten their numbers begin anew, and a monitor counts the new ones."""
    monitor_id = await create(client)
    await submit(client, 9, "before")
    await pass_time(client, 60)
    await client.ask("DELETE", "/sandbox/logs")
    await submit(client, 3, "after")

    await pass_time(client, 60)

    assert (await states(client, monitor_id))["@agent_id:after"] == "Alert"


async def test_evaluating_now_takes_no_minute_from_it(client):
    """A monitor that was evaluated on request is evaluated at the next full minute all the same."""
    monitor_id = await create(client)
    await submit(client, 2)
    await pass_time(client, 30)
    await client.ask("POST", "/sandbox/evaluate")
    await submit(client, 1)

    await pass_time(client, 30)

    assert await states(client, monitor_id) == {"@agent_id:a1": "Alert"}


async def test_time_that_passes_by_itself_is_noticed(client, clock):
    """Without any request the sandbox evaluates when a minute of its clock has begun."""
    await create(client)
    await submit(client, 3)
    clock.us += 60_000_000

    async def fired() -> bool:
        return [event["after"] for event in await history(client)] == ["Alert"]

    async with asyncio.timeout(30):
        while not await fired():
            await asyncio.sleep(0.05)
