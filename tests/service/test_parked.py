"""Logs that a destination refuses for good: seen and requeued, over HTTP and on the command line."""

from collections.abc import Iterator

import pytest
from harness import Platform, start_platform, wait_for


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An installation of its own: its sandbox refuses things."""
    with start_platform(tmp_path_factory.mktemp("parked")) as started:
        yield started


def park_one(platform: Platform, trace_id: str) -> list[dict]:
    """Send a trace that the sandbox refuses with 400; the parked logs once it is among them."""
    platform.sandbox.fail({"path": "/api/v2/logs", "status": 400, "times": 1, "body": "no such luck"})
    platform.server.agent.ingest({"traceId": trace_id, "status": "success", "agentId": "bot"})

    def look() -> list[dict] | None:
        parked = platform.server.admin.get("/api/v1/deliveries/parked").data
        return parked if any(each["log"]["trace_id"] == trace_id for each in parked) else None

    return wait_for(look, "a parked log")


def test_a_refused_log_is_shown_and_requeued_over_http(platform: Platform) -> None:
    """A parked log shows why, what Datadog answered and what was sent; requeued, it is delivered."""
    parked = park_one(platform, "http")

    requeued = platform.server.admin.post("/api/v1/deliveries/requeue", {"ids": [parked[0]["id"]]})

    assert (parked[0]["reason"], parked[0]["status"], parked[0]["answer"]) == ("refused", 400, "no such luck")
    assert requeued.data == {"requeued": 1}
    assert len(platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == "http", 1)) == 1
    assert platform.server.admin.get("/api/v1/deliveries/parked").data == []


def test_a_refused_log_is_shown_and_requeued_by_command(platform: Platform) -> None:
    """`deliveries parked` lists it, `deliveries requeue` sends it, `deliveries status` adds up."""
    park_one(platform, "command")

    listed = platform.installation.run_json("deliveries", "parked", "--json")
    before = platform.installation.run_json("deliveries", "status", "--json")[0]
    requeued = platform.installation.run("deliveries", "requeue", str(listed[0]["id"]))

    assert [each["log"]["trace_id"] for each in listed] == ["command"]
    assert before["parked"] == 1
    assert before["committed"] == before["delivered"] + before["waiting"] + before["parked"]
    assert requeued.returncode == 0
    assert len(platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == "command", 1)) == 1


def test_an_unknown_parked_log_is_not_found(platform: Platform) -> None:
    """Requeueing what is not parked here is a 404 that names it."""
    refused = platform.server.admin.post("/api/v1/deliveries/requeue", {"ids": [123_456]})

    assert (refused.status, refused.code) == (404, "NOT_FOUND")
    assert "123456" in refused.json["error"]["message"]


def test_the_past_is_queued_by_command(platform: Platform) -> None:
    """`deliveries replay` sends a time span once more, `deliveries backfill` finds nothing that is missing."""
    platform.server.agent.ingest({"traceId": "past", "status": "success", "agentId": "bot"})
    platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == "past", 1)
    platform.server.wait_until_delivered()
    span = ("--destination", platform.installation.run_json("deliveries", "status", "--json")[0]["id"])

    filled = platform.installation.run("deliveries", "backfill", *span, "--from", "2020-01-01")
    replayed = platform.installation.run("deliveries", "replay", *span, "--from", "2020-01-01T00:00:00Z")

    assert filled.stdout == "Queued 0 batches.\n"
    assert replayed.returncode == 0
    assert len(platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == "past", 2)) == 2
