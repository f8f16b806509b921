"""What a planned fault does to a client, on a real server over loopback."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from execlave_server.clock import SystemClock
from execlave_server.sandbox.serve import serve_sandbox

KEY = "0123456789abcdef0123456789abcdef"
INTAKE = "/api/v2/logs"


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a running sandbox, with the valid key."""
    async with (
        serve_sandbox("127.0.0.1", 0, [KEY], SystemClock()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"DD-API-KEY": KEY}) as session,
    ):
        yield session


async def plan(client: aiohttp.ClientSession, *rules: dict[str, Any]) -> None:
    """Put these fault rules in force."""
    async with client.post("/sandbox/faults", json={"rules": rules}) as answer:
        assert answer.status == 200, await answer.text()


async def read(client: aiohttp.ClientSession, path: str) -> Any:
    """What one of the sandbox's own endpoints shows."""
    async with client.get(path) as answer:
        return await answer.json()


async def send(client: aiohttp.ClientSession, body: bytes = b'{"message":"a"}') -> int:
    """Post a log; returns the status."""
    async with client.post(INTAKE, data=body) as answer:
        return answer.status


async def open_request(client: aiohttp.ClientSession) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Post a log over a bare connection, which shows how it ends."""
    reader, writer = await asyncio.open_connection(client._base_url.host, client._base_url.port)
    body = b'{"message":"a"}'
    writer.write(
        f"POST {INTAKE} HTTP/1.1\r\nHost: x\r\nDD-API-KEY: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    return reader, writer


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what must come true; fail when it does not."""
    async with asyncio.timeout(10):
        while not await condition():
            pass


async def test_answers_as_planned(client):
    """A planned answer has the rule's status, headers and text, and what it answers is not kept."""
    await plan(client, {"status": 429, "headers": {"Retry-After": "7", "Content-Type": "text/html"}, "body": "<p>no"})

    async with client.post(INTAKE, data=b'{"message":"a"}') as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert answer.headers.getall("Content-Type") == ["text/html"]
        assert await answer.text() == "<p>no"
    assert (await read(client, "/sandbox/logs"))["data"] == []


@pytest.mark.parametrize(
    ("rule", "content_type", "text"),
    [
        ({"status": 503, "body": {"a": [1, None]}}, "application/json", '{"a":[1,null]}'),
        ({"status": 503, "body": []}, "application/json", "[]"),
        ({"status": 503, "body": ""}, "text/plain", ""),
        ({"status": 202}, "application/json", "{}"),
    ],
)
async def test_answers_text_json_or_the_default(client, rule, content_type, text):
    """A body that is text goes out as it is, any other as JSON; a status that is no error has `{}`."""
    await plan(client, rule)

    async with client.post(INTAKE, data=b"{}") as answer:
        assert (answer.status, answer.content_type, await answer.text()) == (rule["status"], content_type, text)


async def test_answers_an_error_in_the_intakes_envelope(client):
    """An error status without a body has the intake's envelope."""
    await plan(client, {"status": 413})

    async with client.post(INTAKE, data=b"{}") as answer:
        error = (await answer.json())["errors"][0]
    assert (error["status"], error["title"]) == ("413", "Request Entity Too Large")
    assert error["detail"]


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_leaves_the_connection_in_order(client, status):
    """A status HTTP gives no body to is answered without one, and the next answer is not mistaken for it."""
    await plan(client, {"status": status, "body": "not sent"})

    assert [await send(client), await send(client)] == [status, 202]


async def test_counts_down_and_shows_what_is_left(client):
    """A rule applies as often as it says, on its own path, and /sandbox/faults shows what is left of it."""
    await plan(client, {"status": 503, "times": 2}, {"path": "/api/v1/validate", "status": 500, "times": None})

    assert await send(client) == 503
    left = (await read(client, "/sandbox/faults"))["rules"]
    assert [(rule["path"], rule["times"], rule["status"]) for rule in left] == [
        (INTAKE, 1, 503),
        ("/api/v1/validate", None, 500),
    ]
    assert [await send(client), await send(client)] == [503, 202]
    for _ in range(3):
        async with client.get("/api/v1/validate") as answer:
            assert answer.status == 500
    stats = await read(client, "/sandbox/stats")
    assert stats["faults_applied"] == 5
    assert stats["by_status"] == {"202": 1, "503": 2}

    await plan(client)

    async with client.get("/api/v1/validate") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        (b'{"rules":[{"status":503,"statuz":1}]}', "VALIDATION_ERROR", "statuz"),
        (b'{"rules":[{"status":503},{"times":0}]}', "VALIDATION_ERROR", "$.rules[1].times"),
        (b'{"rules":[],"mode":1}', "VALIDATION_ERROR", "mode"),
        (b"{}", "VALIDATION_ERROR", "rules"),
        (json.dumps({"rules": [{"status": 503}] * 1_001}).encode(), "VALIDATION_ERROR", "$.rules"),
        (b'{"rules":', "BAD_REQUEST", "not JSON"),
        (b'{"rules":[{"path":"\xff"}]}', "BAD_REQUEST", "not JSON"),
        (b"[]", "VALIDATION_ERROR", "Expected `object`"),
        (b'{"rules":[{"status":503,"body":' + b"[" * 100_000, "BAD_REQUEST", "not JSON"),
    ],
)
async def test_refuses_a_plan_it_cannot_follow(client, body, code, name):
    """A bad plan is a 400 that names what is wrong, and the plan before it stays."""
    await plan(client, {"status": 418})

    async with client.post("/sandbox/faults", data=body) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert error["code"] == code
    assert name in error["message"]
    assert [rule["status"] for rule in (await read(client, "/sandbox/faults"))["rules"]] == [418]


async def test_a_slow_intake_takes_the_logs_after_the_wait(client):
    """A rule with only a delay waits, then handles the request as if nothing were."""
    await plan(client, {"delay_ms": 60})
    started = asyncio.get_running_loop().time()

    assert await send(client) == 202
    assert asyncio.get_running_loop().time() - started >= 0.06
    assert len((await read(client, "/sandbox/logs"))["data"]) == 1


async def test_a_planned_answer_can_come_late(client):
    """A rule with a delay and a status waits before it answers."""
    await plan(client, {"delay_ms": 60, "status": 504})
    started = asyncio.get_running_loop().time()

    assert await send(client) == 504
    assert asyncio.get_running_loop().time() - started >= 0.06


@pytest.mark.parametrize(("action", "kept"), [("reset", 0), ("accept_then_reset", 1)])
async def test_resets_the_connection(client, action, kept):
    """Both resets are a TCP reset without a byte of answer; only the one that accepts first keeps the log."""
    await plan(client, {"action": action})
    reader, writer = await open_request(client)

    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    stats = await read(client, "/sandbox/stats")
    assert (stats["requests"], stats["accepted_requests"], stats["logs"]) == (1, kept, kept)
    assert (stats["by_status"], stats["faults_applied"]) == ({}, 1)
    assert await send(client) == 202


async def test_resets_even_when_there_is_nothing_to_accept(client):
    """Where the intake would have refused the request, accept_then_reset resets all the same."""
    await plan(client, {"action": "accept_then_reset"})

    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await send(client, b"not JSON")
    assert (await read(client, "/sandbox/stats"))["accepted_requests"] == 0


async def test_a_hung_request_waits_until_its_client_goes(client):
    """A hung request is never answered while others are, and ends with its client's connection."""
    await plan(client, {"action": "hang"})
    before = len(asyncio.all_tasks())
    reader, writer = await open_request(client)

    async def is_hung() -> bool:
        return (await read(client, "/sandbox/stats"))["faults_applied"] == 1

    async def is_over() -> bool:
        await read(client, "/sandbox/stats")  # lets the server run
        return len(asyncio.all_tasks()) <= before

    await until(is_hung)
    assert await send(client) == 202
    assert len(asyncio.all_tasks()) > before
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)

    writer.close()

    await until(is_over)
    assert (await read(client, "/sandbox/stats"))["by_status"] == {"202": 1}


async def test_a_hung_upload_that_fills_the_buffers_is_noticed_to_go(client):
    """A hung request's body is read, so that a client which gives up in the middle of it is noticed."""
    await plan(client, {"action": "hang"})
    before = len(asyncio.all_tasks())
    connection = socket.create_connection((client._base_url.host, client._base_url.port))
    head = f"POST {INTAKE} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n".encode()
    await asyncio.to_thread(connection.sendall, head + b" " * 3_000_000)

    async def is_hung() -> bool:
        return (await read(client, "/sandbox/stats"))["faults_applied"] == 1

    async def is_over() -> bool:
        await read(client, "/sandbox/stats")  # lets the server run
        return len(asyncio.all_tasks()) <= before

    await until(is_hung)
    assert len(asyncio.all_tasks()) > before

    connection.close()

    await until(is_over)


async def test_a_rule_finds_its_text_in_a_compressed_body(client):
    """What a request says decides, however it is compressed; a body that cannot be read has no text."""
    await plan(client, {"status": 400, "times": None, "contains": "poison"})
    gzipped = {"Content-Encoding": "gzip"}

    async def answer(body: bytes) -> int:
        async with client.post(INTAKE, data=body, headers=gzipped) as response:
            return response.status

    assert await answer(gzip.compress(b'{"message":"poison"}')) == 400
    assert await answer(gzip.compress(b'{"message":"fine"}')) == 202
    assert await answer(b"poison") == 400  # the intake's own answer: it is not gzip
    assert (await read(client, "/sandbox/stats"))["faults_applied"] == 1
