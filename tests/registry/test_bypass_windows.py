"""What the SDK did while it had no decision, reported afterwards: kept once, put on the audit chain, told back."""

import asyncio
import uuid
from typing import Any

PATH = "/sdk/bypass-windows"


def window(**changes: Any) -> dict[str, Any]:
    """A window as the SDK sends it."""
    return {
        "windowId": str(uuid.uuid4()),
        "agentId": "support-bot",
        "reason": "server_error",
        "source": "fail_open_server_error",
        "firstAt": "2026-09-21T10:00:00.000Z",
        "lastAt": "2026-09-21T10:00:30.500Z",
        "count": 12,
        "message": "HTTP 503",
        "status": 503,
        "consecutiveFailures": 3,
        **changes,
    }


def report(*windows: Any, **more: Any) -> dict[str, Any]:
    """A report of windows."""
    sdk = {"name": "execlave-sdk", "language": "python", "version": "1.9.1"}
    return {"sdk": sdk, "sentAt": "2026-09-21T10:01:00.000Z", "windows": list(windows), **more}


async def test_each_window_is_kept_once_and_on_the_chain(node):
    """Sent again it is a duplicate; the chain has one entry for it, with who, when, how often and why."""
    one, two = window(), window(agentId="other", message=None, status=None, consecutiveFailures=None)
    del two["message"]
    first = await node.ask("POST", PATH, report(one))
    second = await node.ask("POST", PATH, report(one, two, two))
    entries = await node.entries("enforcement.bypassed")

    assert (first.status, first.json) == (200, {"accepted": 1, "duplicates": 0})
    assert (second.status, second.json) == (200, {"accepted": 1, "duplicates": 2})
    assert entries[0][1] == {
        "agent": "support-bot",
        "calls": 12,
        "from_us": 1789984800000000,
        "reason": "server_error",
        "until_us": 1789984830500000,
        "window": one["windowId"],
    }
    assert entries[0][0].actor.startswith("key:")
    assert entries[0][0].subject == f"bypass:{one['windowId']}"
    assert [details["window"] for _, details in entries] == [one["windowId"], two["windowId"]]


async def test_what_the_buffer_lost_is_kept_too(node):
    """A report may hold nothing but the loss; it is kept once by its dropId."""
    dropped = {"dropId": str(uuid.uuid4()), "windows": 3, "bypasses": 70, "since": "2026-09-21T09:00:00.000Z"}
    without_since = {"dropId": str(uuid.uuid4()), "windows": 1, "bypasses": 1}
    answers = [await node.ask("POST", PATH, report(dropped=each)) for each in (dropped, dropped, without_since)]
    entries = await node.entries("enforcement.bypassed")

    assert [answer.json for answer in answers] == [
        {"accepted": 1, "duplicates": 0},
        {"accepted": 0, "duplicates": 1},
        {"accepted": 1, "duplicates": 0},
    ]
    assert [(details["reason"], details["calls"]) for _, details in entries] == [
        ("reports_dropped", 70),
        ("reports_dropped", 1),
    ]


async def test_a_bad_window_does_not_cost_its_neighbours(node):
    """The SDK discards a report that is answered 400: one bad window is named, the others are kept."""
    good, bad = window(), window(count=0)
    answer = await node.ask("POST", PATH, report(bad, good, 7))

    assert answer.status == 200
    assert (answer.json["accepted"], answer.json["duplicates"]) == (1, 0)
    assert [each["id"] for each in answer.json["refused"]] == [bad["windowId"], ""]
    assert len(await node.entries("enforcement.bypassed")) == 1


async def test_the_limits_of_the_contract(node):
    """What the contract allows is kept, at the very limit, in UTF-16 units; what it does not is refused by itself."""
    kept = [
        window(agentId="x" * 256),
        window(source="x" * 64),
        window(message="\U0001f600" * 250),
        window(count=1_000_000_000),
        window(consecutiveFailures=1_000_000),
        window(message="NUL \x00 inside"),
        window(unknownMember={"a": 1}),
        *(window(reason=reason) for reason in ("circuit_breaker_open", "network_error", "plan_limit_exceeded")),
    ]
    refused = [
        window(agentId="x" * 257),
        window(agentId=""),
        window(source="x" * 65),
        window(message="\U0001f600" * 250 + "a"),
        window(count=1_000_000_001),
        window(consecutiveFailures=1_000_001),
        window(reason="boredom"),
        window(windowId="not a uuid"),
        window(firstAt="yesterday"),
        window(lastAt="9999-12-31T23:59:59-14:00"),
        window(status="down"),
    ]
    answer = await node.ask("POST", PATH, report(*kept, *refused))

    assert answer.status == 200
    assert answer.json["accepted"] == len(kept)
    assert [each["id"] for each in answer.json["refused"]] == [each["windowId"] for each in refused]


async def test_what_can_never_be_kept_is_a_400(node):
    """400 tells the SDK not to send it again."""
    for body in (
        {},
        {"windows": []},
        report(window(reason="boredom")),
        report(*[window() for _ in range(101)]),
        report(dropped={"dropId": "no uuid", "windows": 1, "bypasses": 1}),
    ):
        answer = await node.ask("POST", PATH, body)

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR"), body


async def test_an_empty_report_is_acknowledged(node):
    """Nothing to tell is nothing wrong."""
    assert (await node.ask("POST", PATH, report())).json == {"accepted": 0, "duplicates": 0}


async def test_the_same_report_at_the_same_moment_is_kept_once(node):
    """Retries that cross each other make one row and one entry a window."""
    body = report(*[window() for _ in range(5)])
    answers = await asyncio.gather(*(node.ask("POST", PATH, body) for _ in range(8)))

    assert [answer.status for answer in answers] == [200] * 8
    assert sum(answer.json["accepted"] for answer in answers) == 5
    assert len(await node.entries("enforcement.bypassed")) == 5


async def test_ids_are_each_organizations_own(node):
    """Another organization's window of the same id is no duplicate of this one's."""
    other = await node.other_organization()
    body = report(window())
    answers = [await node.ask("POST", PATH, body, key=key) for key in (node.agent_key, other)]

    assert [answer.json["accepted"] for answer in answers] == [1, 1]
