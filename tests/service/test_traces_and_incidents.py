"""Traces and incidents over HTTP: what a person reads, and what the server opens by itself."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from harness import Answer, Caller, Platform, start_platform, wait_for

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An installation with an agent and a policy that blocks a tool."""
    with start_platform(tmp_path_factory.mktemp("incidents")) as started:
        started.server.agent.post("/api/v1/agents", {"agentId": "bot", "name": "Bot", "type": "chatbot"})
        policy = {
            "name": "No wiping",
            "policyType": "access_control",
            "enforcementMode": "block",
            "ruleDefinition": {"denied_tools": ["wipe_*"]},
        }
        assert started.server.admin.post("/api/v1/policies", policy).status == 201
        yield started


def signed_in(platform: Platform, role: str) -> Caller:
    """Somebody of a role."""
    email = f"{role}@example.com"
    platform.installation.run_json("user", "add", email, "--role", role, stdin=PASSWORD)
    answer = platform.server.anyone.post("/api/v1/auth/login", {"email": email, "password": PASSWORD})
    return platform.server.anyone.with_key(answer.data["token"])


def blocked(platform: Platform) -> str:
    """The id of a trace that a policy stopped."""
    answer = platform.server.agent.enforce("bot", tools=["wipe_disk"])
    assert answer.status == 403
    found = platform.server.admin.get("/api/v1/traces?status=policy_blocked").data
    return found[0]["traceId"]


def incident_of(platform: Platform, trace_id: str) -> dict:
    """The incident that the server opened on a trace."""
    return wait_for(
        lambda: next(iter(platform.server.admin.get(f"/api/v1/traces/{trace_id}").data["incidents"]), None),
        "an incident",
    )


def test_the_list_is_filtered_by_the_query(platform: Platform) -> None:
    """Filters are query parameters; the cursor goes on; a filter that cannot be meant is named."""
    for number in range(5):
        platform.server.agent.ingest(
            {"traceId": f"list {number}", "status": "error", "agentId": "lister", "errorMessage": "card declined"}
        )
    first = platform.server.admin.get("/api/v1/traces?agent=lister&query=*:card&limit=3")
    second = platform.server.admin.get(f"/api/v1/traces?agent=lister&limit=3&before={first.json['meta']['next']}")

    assert [each["traceId"] for each in first.data + second.data] == [f"list {number}" for number in (4, 3, 2, 1, 0)]
    for query, field in [("status=fine", "status"), ("from=yesterday", "from"), ("type=" + "x" * 300, "type")]:
        refused = platform.server.admin.get(f"/api/v1/traces?{query}")
        assert (refused.status, list(refused.json["error"]["fields"])) == (400, [field])
    unread = platform.server.admin.get("/api/v1/traces?query=@status:(error")
    assert (unread.status, unread.json["error"]["code"]) == (400, "SEARCH_SYNTAX")


def test_a_timeline_has_everything_about_a_trace(platform: Platform) -> None:
    """Spans, decision, evidence as it verifies now, deliveries; content only where it is asked for, and on record."""
    trace_id = blocked(platform)
    shown = platform.server.admin.get(f"/api/v1/traces/{trace_id}").data
    with_content = platform.server.admin.get(f"/api/v1/traces/{trace_id}?content=true").data
    reads = platform.server.admin.get("/api/v1/audit?kind=trace.content_read").data

    [span], [decision] = shown["spans"], shown["decisions"]
    assert (shown["status"], span["status"], span["facts"]["span_name"]) == (
        "policy_blocked",
        "policy_blocked",
        "wipe_disk",
    )
    assert (decision["outcome"], decision["violations"][0]["policyName"]) == ("blocked", "No wiping")
    assert shown["evidence"]["verified"] is True
    assert shown["deliveries"][0]["deliveries"][0]["name"] == "Datadog"
    assert "content" not in span
    assert with_content["spans"][0]["content"]["metadata"]["decisionId"] == decision["decisionId"]
    assert [entry["subject"] for entry in reads] == [f"trace:{trace_id}"]


def test_roles(platform: Platform) -> None:
    """A viewer reads without content and changes nothing; an analyst sees content; an approver acts."""
    trace_id = blocked(platform)
    incident = incident_of(platform, trace_id)["id"]
    viewer, analyst, approver = (signed_in(platform, role) for role in ("viewer", "analyst", "approver"))
    asked = {"reason": "why"}

    def statuses(caller: Caller) -> list[int]:
        return [
            caller.get(f"/api/v1/traces/{trace_id}").status,
            caller.get(f"/api/v1/traces/{trace_id}?content=true").status,
            caller.get(f"/api/v1/incidents/{incident}").status,
            caller.get(f"/api/v1/incidents/{incident}/evidence").status,
            caller.post(f"/api/v1/incidents/{incident}/comment", {"text": "x"}).status,
            caller.post(f"/api/v1/incidents/{incident}/resolve", asked).status,
            caller.post(f"/api/v1/incidents/{incident}/reopen", asked).status,
        ]

    assert statuses(viewer) == [200, 403, 200, 403, 403, 403, 403]
    assert statuses(analyst) == [200, 200, 200, 200, 403, 403, 403]
    assert statuses(approver) == [200] * 7


def test_an_incident_is_contained(platform: Platform) -> None:
    """From the block to the pause: the server opens the incident, a person contains it, the agent is stopped."""
    incident = incident_of(platform, blocked(platform))["id"]
    admin = platform.server.admin
    contained = admin.post(f"/api/v1/incidents/{incident}/contain", {"reason": "It wipes disks."})
    stopped = platform.server.agent.enforce("bot")
    file = admin.get(f"/api/v1/incidents/{incident}").data
    admin.patch("/api/v1/agents/bot/resume", {})

    assert contained.status == 200
    assert stopped.status == 403
    assert stopped.json["violations"][0]["policyId"] == "agent_status"
    assert [step["kind"] for step in file["timeline"]][-1] == "contained"
    assert file["policyName"] == "No wiping"


def test_foreign_and_unknown_answer_alike(platform: Platform) -> None:
    """Traces and incidents of another organization are as unknown as what never was."""
    trace_id = blocked(platform)
    incident = incident_of(platform, trace_id)["id"]
    other = platform.installation.run_json("org", "create", "Other")["id"]
    key = platform.installation.run_json("key", "create", "--org", other, "--role", "admin")["apiKey"]
    stranger = platform.server.anyone.with_key(key)

    def shape(answer: Answer, name: str) -> tuple[int, str]:
        return answer.status, json.dumps(answer.json).replace(name, "NAME")

    for path, name in [(f"/api/v1/traces/{trace_id}", trace_id), (f"/api/v1/incidents/{incident}", incident)]:
        unknown = "nobody" * 3
        theirs = shape(stranger.get(path), name)
        assert theirs == shape(stranger.get(path.replace(name, quote(unknown))), unknown)
        assert theirs[0] == 404
    assert stranger.get("/api/v1/traces").data == []
    assert stranger.get("/api/v1/incidents").data == []
