"""The sandbox's intake as a sender meets it: a real server on loopback, spoken to over HTTP."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import zstandard
from sandbox_client import INTAKE, KEY, Client, HeldClock

from execlave_server.sandbox.serve import serve_sandbox


def refusal(status: int, title: str, detail: str) -> tuple[int, Any]:
    """An answer in the intake's error envelope."""
    return status, {"errors": [{"status": str(status), "title": title, "detail": detail}]}


@pytest.fixture
def clock() -> HeldClock:
    """The sandbox's clock."""
    return HeldClock()


@pytest.fixture
async def client(clock: HeldClock) -> AsyncIterator[Client]:
    """A client of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], clock) as port, aiohttp.ClientSession() as session:
        yield Client(session, port)


async def test_answers_an_accepted_request_as_recorded(client):
    """Accepted logs are answered 202, application/json, `{}`."""
    async with client.session.post(
        f"http://127.0.0.1:{client.port}{INTAKE}", data=b'{"message":"a"}', headers={"DD-API-KEY": KEY}
    ) as answer:
        assert (answer.status, answer.content_type, await answer.text()) == (202, "application/json", "{}")


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.compress),
        ("zstd1", zstandard.compress),
    ],
)
async def test_takes_every_encoding(client, encoding, compress):
    """Logs arrive whole under every encoding, and are counted by it, in bytes before and after."""
    body = b'[{"message":"one"},{"message":"two"}]'

    assert await client.send(compress(body), encoding) == (202, {})
    assert await client.logs() == [{"message": "one"}, {"message": "two"}]
    stats = await client.stats()
    assert stats["by_encoding"] == {encoding.removesuffix("1"): 1}
    assert (stats["bytes"], stats["wire_bytes"]) == (len(body), len(compress(body)))


@pytest.mark.parametrize("body", [b"{}", b"[]"])
async def test_accepts_a_body_without_logs(client, body):
    """`{}` and `[]`, which agents send to try a connection, are accepted and carry no log."""
    assert await client.send(body) == (202, {})
    assert await client.logs() == []


async def test_refuses_missing_and_unknown_keys_in_the_recorded_words(client):
    """A missing and an unknown key are 403s that differ in their detail, and nothing is kept."""
    missing = await client.ask("POST", INTAKE, data=b'{"message":"a"}')
    unknown = await client.send(b'{"message":"a"}', **{"DD-API-KEY": "wrong"})

    assert missing == refusal(403, "Forbidden", "API key is missing")
    assert unknown == refusal(403, "Forbidden", "API key is invalid")
    assert await client.logs() == []


@pytest.mark.parametrize(
    ("body", "encoding", "detail"),
    [
        (b"{", "identity", "the body is not JSON: "),
        (b'[{"message":"a"},3]', "identity", "Expected `object`, got `int` - at `$[1]`"),
        (b"plain", "gzip", "the body does not decompress: "),
        (b"{}", "br", "Content-Encoding br is not supported"),
    ],
)
async def test_says_what_is_wrong_with_a_bad_request(client, body, encoding, detail):
    """A body that cannot be read is a 400 in the intake's envelope, and none of its logs is kept."""
    status, answer = await client.send(body, encoding)

    assert (status, answer["errors"][0]["status"], answer["errors"][0]["title"]) == (400, "400", "Bad Request")
    assert detail in answer["errors"][0]["detail"]
    assert await client.logs() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/logplex-1"])
async def test_says_that_it_does_not_read_lines(client, kind):
    """The intake's line formats are refused by name rather than read as JSON."""
    detail = f"the sandbox does not read {kind}: send application/json"

    assert await client.send(b"{}", **{"Content-Type": kind}) == refusal(400, "Bad Request", detail)


async def test_refuses_more_than_five_megabytes_in_the_recorded_words(client):
    """5,000,000 bytes before compression are taken; one more is a 413, compressed or not."""
    log = b'{"message":""}'
    body = json.dumps({"message": "m" * (5_000_000 - len(log))}, separators=(",", ":")).encode()

    assert (await client.send(body))[0] == 202
    assert (await client.send(gzip.compress(body), "gzip"))[0] == 202
    too_large = refusal(413, "Request Entity Too Large", "Request too large")
    assert await client.send(body + b" ") == too_large
    assert await client.send(gzip.compress(body + b" "), "gzip") == too_large
    assert await client.send(body * 3) == too_large


async def test_refuses_more_than_a_thousand_entries(client):
    """An array of 1,001 entries is a 413, and none of them is kept."""
    assert (await client.send(b"[" + b"{}," * 1_000 + b"{}]"))[0] == 413
    assert await client.logs() == []


async def test_drops_old_logs_after_accepting_them(client, clock):
    """A log over 18 hours old is accepted like any other, and then is not there; only the stats tell."""
    now_ms = clock.us // 1_000
    logs = [{"timestamp": now_ms - age_ms} for age_ms in (18 * 3_600_000 + 1, 18 * 3_600_000, 0)]

    assert await client.send(json.dumps(logs).encode()) == (202, {})
    assert await client.logs() == logs[1:]
    assert (await client.stats())["dropped_too_old"] == 1

    clock.us += 3_600_000_000
    assert await client.send(json.dumps(logs).encode()) == (202, {})

    assert await client.logs() == [*logs[1:], logs[2]]
    assert (await client.stats())["dropped_too_old"] == 3


async def test_truncates_long_logs_after_accepting_them(client):
    """A log over 1,000,000 bytes is accepted, cut to the limit, marked and counted; its neighbours stay whole."""
    logs = [{"n": 1}, {"n": 2, "message": "m" * 1_100_000}, {"n": 3}]

    assert await client.send(json.dumps(logs).encode()) == (202, {})
    rows = (await client.ask("GET", "/sandbox/logs"))[1]["data"]
    assert [row.get("truncated", False) for row in rows] == [False, True, False]
    assert [row["log"]["n"] for row in rows] == [1, 2, 3]
    assert 990_000 < len(rows[1]["log"]["message"]) < 1_000_000
    assert (await client.stats())["truncated"] == 1
