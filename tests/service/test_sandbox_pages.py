"""The sandbox's pages as a browser without JavaScript gets them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from sandbox_client import KEY, Client, HeldClock

from execlave_server.sandbox.pages.differences import DIFFERENCES
from execlave_server.sandbox.serve import serve_sandbox

HEADERS = {"DD-API-KEY": KEY, "DD-APPLICATION-KEY": "any"}
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], HeldClock()) as port, aiohttp.ClientSession() as session:
        yield Client(session, port)


async def page(client: Client, path: str, status: int = 200) -> str:
    """A page's text, its blanks made one."""
    found, text = await client.ask("GET", path)
    assert found == status, text
    return " ".join(text.split())


async def submit(client: Client, *logs: dict[str, Any]) -> None:
    """Send logs."""
    assert (await client.send(json.dumps(logs).encode()))[0] == 202


async def create(client: Client, **more: Any) -> int:
    """Create a monitor that alerts over any log; its id."""
    query = 'logs("*").index("*").rollup("count").by("@agent_id").last("5m") > 0'
    body = {"type": "log alert", "name": "n", "message": "m", "query": query, **more}
    return (await client.ask("POST", "/api/v1/monitor", json=body, headers=HEADERS))[1]["id"]


async def test_every_page_says_what_it_is_and_runs_no_script(client):
    """Each page calls itself a local stand-in, lists every known difference, and forbids scripts and frames."""
    monitor_id = await create(client)
    for path in ("/logs", "/monitors", f"/monitors/{monitor_id}", "/about"):
        async with client.session.get(f"http://127.0.0.1:{client.port}{path}") as answer:
            text = await answer.text()
            assert answer.status == 200
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; ")
        assert "A local stand-in." in text
        assert text.count("<li>") >= len(DIFFERENCES)
        assert "<script" not in text
        assert "style=" not in text


async def test_a_browser_is_led_to_the_logs(client):
    """GET / is the explorer for who takes HTML, and text for programs."""
    async with client.session.get(f"http://127.0.0.1:{client.port}/", headers={"Accept": "text/html"}) as answer:
        assert answer.url.path == "/logs"
    assert (await client.ask("GET", "/"))[1].startswith("A local stand-in for Datadog")


async def test_explores_logs(client):
    """A search shows the logs that match, and facets with their counts that narrow it down."""
    await submit(
        client,
        {"message": "one", "status": "policy_blocked", "agent_id": "a1", "ddtags": "env:test"},
        {"message": "two", "status": "success", "agent_id": "a1"},
        {"message": "three", "status": "success", "agent_id": "a2"},
    )

    text = await page(client, "/logs?query=@agent_id:a1")

    assert "2 logs match of 3" in " ".join(text.replace('<span class="note">', "").split())
    assert ">one</a>" in text
    assert ">three</a>" not in text
    assert '<span class="value">policy_blocked</span> <span class="count">1</span>' in text
    assert "query=%40agent_id%3Aa1+%40status%3Apolicy_blocked" in text


async def test_shows_one_log_with_a_link_to_its_trace(client):
    """The side panel has tags, the tree of attributes and the link back; a link that is none is not one."""
    await submit(
        client,
        {"message": "m", "ddtags": "env:test", "execlave": {"trace_url": "https://execlave.example/t/1"}},
        {"message": "m", "execlave": {"trace_url": "javascript:alert(1)"}},
    )

    good, bad = await page(client, "/logs?log=1"), await page(client, "/logs?log=2")

    assert '<a class="button" href="https://execlave.example/t/1" rel="noreferrer">Open the trace</a>' in good
    assert '<span class="key">trace_url</span>' in good
    assert "env:test</a>" in good
    assert "Open the trace" not in bad
    assert 'href="javascript' not in bad
    for absent in ("3", "0", "x", "9" * 40):
        assert 'id="log"' not in await page(client, f"/logs?log={absent}")


async def test_shows_where_a_search_is_wrong(client):
    """A search that cannot be read is a 400 with the reason and a mark under the character."""
    async with client.session.get(f"http://127.0.0.1:{client.port}/logs?query=a+%40b:(c") as answer:
        text = await answer.text()

    assert answer.status == 400
    assert "The search cannot be read: at character 6" in text
    assert "<pre>a @b:(c\n     ^</pre>" in text


async def test_pages_on_to_older_logs(client):
    """Fifty logs are on a page, and a link leads to the rest."""
    await submit(client, *({"message": f"n{number}"} for number in range(60)))

    first = await page(client, "/logs")
    link = first.partition('<a class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = await page(client, link)

    assert (first.count('class="message"'), second.count('class="message"')) == (50, 10)
    assert "Older logs" not in second


async def test_shows_monitors_with_their_history(client):
    """The list has the state, the monitor's page its groups, the drawing, and what was told."""
    monitor_id = await create(client, name="burst", message="Agent {{@agent_id.name}} @slack-sec")
    await submit(client, {"message": "m", "agent_id": "a1"})
    await client.ask("POST", "/sandbox/clock", json={"advance_s": 60})

    listed, shown = await page(client, "/monitors"), await page(client, f"/monitors/{monitor_id}")

    assert f'<span class="state alert">Alert</span></td> <td><a href="/monitors/{monitor_id}">burst</a>' in listed
    assert "<td>@agent_id:a1</td>" in shown
    assert "[Triggered on {@agent_id:a1}] burst" in shown
    assert "Agent a1 @slack-sec" in shown
    assert "<polyline" in shown
    assert "There is no such monitor" in await page(client, "/monitors/7", 404)


async def test_nothing_that_was_sent_becomes_markup(client):
    """Text of logs, searches and monitors is shown as text wherever it stands."""
    log = {"message": HOSTILE, "status": HOSTILE, "agent_id": HOSTILE, "service": HOSTILE, "ddtags": HOSTILE}
    await submit(client, log | {HOSTILE: {HOSTILE: HOSTILE}})
    monitor_id = await create(client, name=HOSTILE, message=HOSTILE)
    await client.ask("POST", "/sandbox/clock", json={"advance_s": 60})

    for path in (
        "/logs?log=1",
        f"/logs?query={HOSTILE[:8]}&from={HOSTILE[:8]}",
        "/monitors",
        f"/monitors/{monitor_id}",
    ):
        _, text = await client.ask("GET", path)
        assert "<script" not in text
        assert "&lt;script" in text


@pytest.mark.parametrize("depth", [30, 400, 990, 5_000])
async def test_deep_logs_do_no_harm(client, depth):
    """A log nested deeply is refused or found and shown, whatever pipeline meets it, and others are found after it."""
    nested = b'{"message":"deep","a":' * depth + b"1" + b"}" * depth
    status, _ = await client.send(nested)
    await submit(client, {"message": "after"})

    assert status in {202, 400}
    assert ">after</a>" in await page(client, "/logs?query=after")
    if status == 202:
        assert ">deep</a>" in await page(client, "/logs?query=deep&log=1")
        assert ">deep</a>" in await page(client, "/logs?query=*:1 @a.a.a.a:*&log=1")


async def test_odd_logs_do_no_harm(client):
    """Numbers beyond any float, empty keys, nulls and odd reserved values are found and shown."""
    await client.send(
        b'[{"message":"huge","n":1e999,"m":123456789012345678901234567890},{"message":{"a":1},"status":[1]},'
        b'{"":1,"a":null,"message":null,"ddtags":7,"service":{},"host":[],"timestamp":1e300},{"message":"{broken"},'
        b'{"message":"{\\"message\\": \\"inner\\", \\"k\\": 1}"},{"timestamp":-1e18},{"timestamp":9e15}]'
    )

    text = await page(client, "/logs?query=&from=now-100w&to=now%2B100w")

    for shown in ("huge", "inner", "{broken"):
        assert f">{shown}</a>" in text
    for number in range(1, 8):
        await page(client, f"/logs?log={number}")
