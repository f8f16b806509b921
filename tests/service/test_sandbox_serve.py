"""The sandbox as a whole: its index, its wrong turns, its start and its end, on a real server over loopback."""

import asyncio
import time

import aiohttp
import pytest

from execlave_server.clock import SystemClock
from execlave_server.sandbox.application import ENDPOINTS, create_app
from execlave_server.sandbox.limits import WIRE_BYTES_MAX
from execlave_server.sandbox.serve import run_sandbox, serve_sandbox
from execlave_server.sandbox.state import STATE

STOP_S_MAX = 1.5  # promised: about a second


@pytest.fixture
async def client():
    """A client of a running sandbox that takes the key `k`."""
    async with (
        serve_sandbox("127.0.0.1", 0, ["k"], SystemClock()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"DD-API-KEY": "k"}) as session,
    ):
        yield session


async def test_the_index_names_every_endpoint(client):
    """GET / is text that names every path the sandbox answers, each with its method and its purpose."""
    async with client.get("/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        lines = [line.split(maxsplit=2) for line in (await answer.text()).splitlines()[2:]]

    app = create_app([], SystemClock())
    routes = {(route.method, route.resource.canonical) for route in app.router.routes()}
    app[STATE].close()
    assert {(method, path) for method, path, _ in lines} == routes
    assert len(lines) == len(ENDPOINTS)


@pytest.mark.parametrize(
    ("method", "path", "status", "answer_is"),
    [
        (
            "POST",
            "/api/v2/log",
            400,
            {"errors": [{"status": "400", "title": "Bad Request", "detail": "HTTP path is invalid"}]},
        ),
        (
            "GET",
            "/api/v2/logs",
            405,
            {
                "errors": [
                    {
                        "status": "405",
                        "title": "Method Not Allowed",
                        "detail": "/api/v2/logs does not take GET: use POST",
                    }
                ]
            },
        ),
        (
            "GET",
            "/sandbox/nothing",
            404,
            {"error": {"code": "NOT_FOUND", "message": "nothing is at /sandbox/nothing: GET / lists what there is"}},
        ),
        (
            "PATCH",
            "/sandbox/logs",
            405,
            {"error": {"code": "METHOD_NOT_ALLOWED", "message": "/sandbox/logs does not take PATCH: use DELETE, GET"}},
        ),
    ],
)
async def test_wrong_turns_are_answered_in_the_shape_of_their_side(client, method, path, status, answer_is):
    """A wrong path or method is told in Datadog's envelope, or under /sandbox in the sandbox's own."""
    async with client.request(method, path) as answer:
        assert (answer.status, await answer.json()) == (status, answer_is)
        assert ("Allow" in answer.headers) == (status == 405)


async def test_an_oversized_plan_is_refused(client):
    """The sandbox's own endpoints bound a body too, with an error of their own shape."""
    async with client.post("/sandbox/faults", data=iter_bytes(WIRE_BYTES_MAX + 1)) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def iter_bytes(count: int):
    """Spaces, in a few pieces, without a length known beforehand."""
    for start in range(0, count, 1_000_000):
        yield b" " * min(1_000_000, count - start)


async def test_reports_the_bound_port_and_serves_until_cancelled():
    """With port 0 the real port is reported once; cancelling ends the serving, and the port is free again."""
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(run_sandbox("127.0.0.1", 0, ["k"], SystemClock(), ready.set_result))
    port = await ready
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/api/v1/validate", headers={"DD-API-KEY": "k"}) as answer,
    ):
        assert answer.status == 200

    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_says_when_the_port_is_taken():
    """A port in use is an OSError for the caller, and `ready` is not called."""
    async with serve_sandbox("127.0.0.1", 0, [], SystemClock()) as port:
        with pytest.raises(OSError, match="address already in use"):
            await run_sandbox("127.0.0.1", port, [], SystemClock(), pytest.fail)


@pytest.mark.parametrize("rule", [{"action": "hang"}, {"delay_ms": 600_000, "status": 500}])
async def test_waiting_requests_do_not_hold_up_the_end(rule):
    """With hung and delayed requests open, the sandbox stops within about a second."""
    async with aiohttp.ClientSession() as session:
        async with serve_sandbox("127.0.0.1", 0, ["k"], SystemClock()) as port:
            url = f"http://127.0.0.1:{port}"
            async with session.post(f"{url}/sandbox/faults", json={"rules": [{**rule, "times": None}]}) as answer:
                assert answer.status == 200
            waiting = [asyncio.create_task(session.post(f"{url}/api/v2/logs", data=b"{}")) for _ in range(5)]
            await until_stat(session, url, "faults_applied", len(waiting))
            stopping = time.monotonic()
        assert time.monotonic() - stopping < STOP_S_MAX
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_slow_senders_do_not_hold_up_the_end():
    """With a body that never ends still coming in, the sandbox stops within about a second."""
    async with serve_sandbox("127.0.0.1", 0, ["k"], SystemClock()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /api/v2/logs HTTP/1.1\r\nHost: x\r\nDD-API-KEY: k\r\nContent-Length: 99\r\n\r\n{")
        async with aiohttp.ClientSession() as session:
            await until_stat(session, f"http://127.0.0.1:{port}", "requests", 1)
        stopping = time.monotonic()
    writer.close()

    assert time.monotonic() - stopping < STOP_S_MAX


async def until_stat(session: aiohttp.ClientSession, url: str, name: str, count: int) -> None:
    """Ask until one of the sandbox's counts is there; fail when it does not come."""
    stats: dict[str, int] = {}
    async with asyncio.timeout(10):
        while stats.get(name) != count:
            async with session.get(f"{url}/sandbox/stats") as answer:
                stats = await answer.json()
