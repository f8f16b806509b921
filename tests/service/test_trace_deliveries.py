"""A trace says where and when it was delivered."""

from collections.abc import Iterator

import pytest
from harness import DATADOG_KEY, Platform, assert_failed, start_platform, wait_for


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An installation with a destination that delivers and a draft that gets nothing."""
    with start_platform(tmp_path_factory.mktemp("traces")) as started:
        draft = {"name": "Draft", "site": "sandbox", "apiKey": DATADOG_KEY}
        assert started.server.admin.post("/api/v1/integrations", draft).status == 201
        yield started


def item(trace_id: str, span_id: str = "sp_1") -> dict:
    """A span of a trace."""
    return {"traceId": trace_id, "status": "success", "agentId": "bot", "metadata": {"spanId": span_id}}


def spans(platform: Platform, trace_id: str) -> dict[str, dict[str, dict]]:
    """The deliveries of a trace, by span and by the destination's name."""
    found = platform.server.admin.get(f"/api/v1/traces/{trace_id}/deliveries").data
    assert (found["traceId"], found["more"]) == (trace_id, False)
    return {span["spanId"]: {each["name"]: each for each in span["deliveries"]} for span in found["spans"]}


def wait_for_state(platform: Platform, trace_id: str, state: str, span_id: str = "sp_1") -> dict:
    """A span's delivery at the first destination, once it is in a state."""

    def look() -> dict | None:
        delivery = spans(platform, trace_id)[span_id]["Datadog"]
        return delivery if delivery["state"] == state else None

    return wait_for(look, f"{trace_id} {state}") or {}


def test_a_delivered_trace(platform: Platform) -> None:
    """Every span at every destination: delivered when and how fast, or never queued; newest span first."""
    platform.server.agent.ingest(item("delivered", "sp_1"), item("delivered", "sp_2"))
    platform.server.agent.ingest(item("delivered", "sp_3"))
    wait_for_state(platform, "delivered", "delivered", "sp_3")
    delivery = wait_for_state(platform, "delivered", "delivered")
    found = spans(platform, "delivered")

    assert list(found) == ["sp_3", "sp_2", "sp_1"]
    assert (delivery["attempts"], delivery["lastStatus"], delivery["origin"], delivery["parked"]) == (
        1,
        202,
        "live",
        None,
    )
    assert delivery["deliveredAt"] is not None
    assert delivery["latencyMs"] > 0
    assert {each["Draft"]["state"] for each in found.values()} == {"not_queued"}


def test_a_trace_that_waits(platform: Platform) -> None:
    """One that is not accepted yet says how often it was tried, the last answer, and when it is tried again."""
    platform.sandbox.fail({"path": "/api/v2/logs", "status": 503, "times": None, "body": "down for a walk"})
    platform.server.agent.ingest(item("waiting"))
    delivery = wait_for(lambda: _between_attempts(platform), "an attempt")
    platform.sandbox.fail()
    after = wait_for_state(platform, "waiting", "delivered")

    assert (delivery["state"], delivery["lastStatus"], delivery["lastAnswer"]) == ("waiting", 503, "down for a walk")
    assert delivery["deliveredAt"] is None
    assert after["attempts"] > delivery["attempts"] >= 1


def _between_attempts(platform: Platform) -> dict | None:
    delivery = spans(platform, "waiting")["sp_1"]["Datadog"]
    return delivery if delivery["attempts"] and delivery["nextAttemptAt"] else None


def test_a_parked_trace(platform: Platform) -> None:
    """One that was refused for good says why; its neighbour in the batch was delivered."""
    platform.sandbox.fail({"path": "/api/v2/logs", "status": 400, "times": 2, "body": "poison"})
    platform.server.agent.ingest(item("poison/with a slash", "sp_1"), item("neighbour", "sp_2"))
    path = "poison%2Fwith%20a%20slash"

    def look() -> dict | None:
        found = platform.server.admin.get(f"/api/v1/traces/{path}/deliveries").data["spans"][0]["deliveries"]
        return next((each for each in found if each["state"] == "parked"), None)

    delivery = wait_for(look, "a parked span") or {}
    neighbour = wait_for_state(platform, "neighbour", "delivered", "sp_2")
    (listed,) = platform.server.admin.get("/api/v1/deliveries/parked").data

    assert delivery["parked"] == {"id": listed["id"], "reason": "refused", "status": 400, "answer": "poison"}
    assert neighbour["parked"] is None


def test_by_command(platform: Platform) -> None:
    """`deliveries of` prints the same for people and for scripts."""
    platform.server.agent.ingest(item("by command"))
    platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == "by command", 1)
    platform.server.wait_until_delivered()
    for_people = platform.installation.run("deliveries", "of", "by command")
    for_scripts = platform.installation.run_json("deliveries", "of", "by command")

    assert for_people.returncode == 0
    assert "sp_1  Datadog      delivered   1         202" in for_people.stdout
    assert {each["state"] for each in for_scripts["spans"][0]["deliveries"]} == {"delivered", "not_queued"}
    assert_failed(platform.installation.run("deliveries", "of", "nowhere"), "NOT_FOUND", "nowhere")


def test_unknown_and_foreign_answer_alike(platform: Platform) -> None:
    """A trace of another organization is not told from one that does not exist; an agent's key may not ask."""
    platform.server.agent.ingest(item("theirs"))
    wait_for_state(platform, "theirs", "delivered")
    other = platform.installation.run_json("org", "create", "Other")["id"]
    key = platform.installation.run_json("key", "create", "--org", other, "--role", "admin")["apiKey"]
    foreign, unknown = (
        platform.server.anyone.with_key(key).get(f"/api/v1/traces/{trace_id}/deliveries")
        for trace_id in ("theirs", "nobodys")
    )
    too_long = platform.server.admin.get(f"/api/v1/traces/{'x' * 300}/deliveries")
    agent = platform.server.agent.get("/api/v1/traces/theirs/deliveries")

    assert (foreign.status, unknown.status, too_long.status, agent.status) == (404, 404, 404, 403)
    assert foreign.json["error"]["message"].replace("theirs", "nobodys") == unknown.json["error"]["message"]
