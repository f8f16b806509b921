"""The sandbox's keys, logs and stats as a tester meets them: a real server on loopback, spoken to over HTTP."""

import gzip
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from sandbox_client import KEY, Client, HeldClock

from execlave_server.sandbox.serve import serve_sandbox


@pytest.fixture
def clock() -> HeldClock:
    """The sandbox's clock."""
    return HeldClock()


@pytest.fixture
async def client(clock: HeldClock) -> AsyncIterator[Client]:
    """A client of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], clock) as port, aiohttp.ClientSession() as session:
        yield Client(session, port)


async def test_validation_answers_as_recorded(client):
    """A check of a key is 200, or 403 in words that tell a missing key from a wrong one."""
    good, missing, wrong = [
        await client.ask("GET", "/api/v1/validate", headers=headers)
        for headers in ({"DD-API-KEY": KEY}, {}, {"DD-API-KEY": "wrong"})
    ]

    assert good == (200, {"valid": True})
    assert missing == (403, {"errors": ["API key required"]})
    assert wrong == (403, {"errors": ["Forbidden"]})
    assert await client.ask("GET", "/api/v2/validate") == missing


async def test_a_revoked_key_is_refused_at_once(client):
    """Replacing the keys revokes the old ones and lets the new ones in, at the intake and at the check."""
    assert await client.ask("PUT", "/sandbox/keys", json={"keys": ["new", "newer"]}) == (200, {"keys": 2})

    assert (await client.send(b"{}"))[0] == 403
    assert (await client.send(b"{}", **{"DD-API-KEY": "new"}))[0] == 202
    assert (await client.ask("GET", "/api/v1/validate", headers={"DD-API-KEY": KEY}))[0] == 403
    stats = await client.stats()
    assert stats["distinct_keys"] == 2
    assert KEY not in json.dumps(stats)


@pytest.mark.parametrize("keys", [[""], ["with space"], [7], ["k" * 257], "k", ["k"] * 1_001])
async def test_refuses_keys_no_header_could_carry(client, keys):
    """A bad list of keys is a 400 that names the place and not the key, and the old keys stay."""
    status, answer = await client.ask("PUT", "/sandbox/keys", json={"keys": keys})

    assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "$.keys" in answer["error"]["message"]
    assert (await client.send(b"{}"))[0] == 202


async def test_pages_through_logs_as_they_were_sent(client):
    """Pages join up by `next`, and a log's bytes are those that came, spaces and all."""
    await client.send(b'[{"a" : 1},{"b":2.50}]')
    await client.send(b'{"c":3}')

    async with client.session.get(f"http://127.0.0.1:{client.port}/sandbox/logs?limit=2") as answer:
        assert await answer.text() == (
            '{"data":[{"sequence":1,"request":1,"log":{"a" : 1}},{"sequence":2,"request":1,"log":{"b":2.50}}],'
            '"meta":{"next":2,"total":3}}'
        )
    assert await client.ask("GET", "/sandbox/logs?after=2") == (
        200,
        {"data": [{"sequence": 3, "request": 2, "log": {"c": 3}}], "meta": {"next": 3, "total": 3}},
    )
    assert await client.ask("GET", "/sandbox/logs?after=3") == (200, {"data": [], "meta": {"next": 3, "total": 3}})


async def test_a_page_is_a_thousand_logs_unless_asked(client):
    """Without a limit a page holds 1,000 logs; up to 10,000 are given on request."""
    for _ in range(11):
        await client.send(b"[" + b"{}," * 999 + b"{}]")

    assert len(await client.logs()) == 1_000
    assert len(await client.logs("?limit=10000")) == 10_000
    assert len(await client.logs("?after=10000&limit=10000")) == 1_000


@pytest.mark.parametrize(
    ("query", "range_of"),
    [
        ("limit=0", "`limit` must be a whole number from 1 to 10000"),
        ("limit=10001", "`limit` must be a whole number from 1 to 10000"),
        ("limit=1e3", "`limit` must be a whole number from 1 to 10000"),
        ("limit=" + "9" * 5_000, "`limit` must be a whole number from 1 to 10000"),
        ("after=-1", "`after` must be a whole number from 0 to 9223372036854775807"),
        ("after=", "`after` must be a whole number from 0 to 9223372036854775807"),
        ("after=1_0", "`after` must be a whole number from 0 to 9223372036854775807"),
    ],
)
async def test_refuses_bad_numbers(client, query, range_of):
    """A number out of range, or none at all, is a 400 that gives the range."""
    expected = {"error": {"code": "VALIDATION_ERROR", "message": range_of}}

    assert await client.ask("GET", f"/sandbox/logs?{query}") == (400, expected)


async def test_counts_what_happened(client, clock):
    """The stats count requests by fate, bytes of accepted ones, and when the first and the last came."""
    first_us = clock.us
    await client.send(b'[{"a":1},{"b":2}]')
    clock.us += 5
    await client.send(gzip.compress(b'{"c":3}'), "gzip")
    await client.send(b"{")
    await client.send(b"{}", **{"DD-API-KEY": "wrong"})
    await client.ask("GET", "/api/v1/validate")

    assert await client.stats() == {
        "requests": 4,
        "accepted_requests": 2,
        "logs": 3,
        "bytes": 24,
        "wire_bytes": 17 + len(gzip.compress(b'{"c":3}')),
        "by_status": {"202": 2, "400": 1, "403": 1},
        "by_encoding": {"identity": 1, "gzip": 1},
        "dropped_too_old": 0,
        "truncated": 0,
        "faults_applied": 0,
        "first_arrival_us": first_us,
        "last_arrival_us": first_us + 5,
        "distinct_keys": 2,
    }


async def test_forgets_logs_and_stats(client):
    """After a DELETE the sandbox counts from nothing again, and keys and faults are as before."""
    before = await client.stats()
    await client.send(b'[{"a":1},{"b":2}]')
    await client.ask("POST", "/sandbox/faults", json={"rules": [{"path": "/api/v1/validate", "status": 500}]})

    assert await client.ask("DELETE", "/sandbox/logs") == (200, {"forgotten": 2})
    assert await client.stats() == before
    assert len((await client.ask("GET", "/sandbox/faults"))[1]["rules"]) == 1

    await client.send(b'{"c":3}')

    assert (await client.ask("GET", "/sandbox/logs"))[1]["data"] == [{"sequence": 1, "request": 1, "log": {"c": 3}}]
