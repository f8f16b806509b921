"""What the published SDK reports beside traces: bypasses, resolutions, credentials, releases, tools, calls, usage."""

import json
import uuid
from typing import Any

import pytest
from execlave import ExeclaveAuthError
from harness import Platform, wait_for

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
def agent_id() -> str:
    """The external id of an agent of this test's own."""
    return f"agent-{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["v1", None], ids=["/api/v1", "/api"])
def exe(request, platform: Platform):
    """A client of the SDK, once for each of the two prefixes it may use."""
    with platform.sdk(api_version=request.param) as client:
        yield client


def audited(platform: Platform, kind: str, word: str) -> list[dict[str, Any]]:
    """The details of the audit entries of a kind that hold a word."""
    rows = platform.installation.rows("select details from audit_entries where kind = ? order by seq", kind)
    return [json.loads(details) for (details,) in rows if word in details]


def logged(platform: Platform, agent_id: str) -> dict[str, Any]:
    """The one log of an agent."""
    (log,) = platform.sandbox.wait_for_logs(lambda log: log.get("agent_id") == agent_id, 1)
    return log


def test_an_outage_and_its_bypass_window(platform, exe, agent_id):
    """Calls allowed while the server was out of reach come back as one window, once, and stand on the audit chain."""
    server, exe.base_url = exe.base_url, NOBODY_LISTENS
    bypassed = [exe.enforce_policy(agent_id, f"may I? {number}") for number in range(2)]
    exe.base_url = server
    governed = exe.enforce_policy(agent_id, "and now?")
    exe._bypass_reporter.drain(10)
    found = wait_for(lambda: audited(platform, "enforcement.bypassed", agent_id), "an audit entry")

    assert [answer["source"] for answer in bypassed] == ["fail_open_network_error"] * 2
    assert "source" not in governed
    assert not exe._bypass_reporter.has_pending  # acknowledged
    assert [(window["agent"], window["calls"], window["reason"]) for window in found] == [
        (agent_id, 2, "network_error")
    ]


def test_a_trace_is_resolved_later(platform, exe, agent_id):
    """`resolve_trace` appends; the trace's own outcome stays what it was."""
    trace_id = f"tr/{agent_id}"
    exe.start_trace(trace_id=trace_id, agent_id=agent_id).finish(
        "effect_unconfirmed", effect_evidence={"basis": "acknowledgement", "acknowledgement_id": "ack-1"}
    )
    exe.resolve_trace(trace_id, "success", "read_back", effect_ref="order/7", observed_at="2026-01-01T00:00:00Z")
    exe.flush()
    read = platform.server.agent.get(f"/api/v1/traces/tr%2F{agent_id}/resolutions").data

    assert [(each["resolvedStatus"], each["basis"], each["effectRef"]) for each in read] == [
        ("success", "read_back", "order/7")
    ]
    assert logged(platform, agent_id)["status"] == "effect_unconfirmed"


def test_a_strict_agent_is_asked_for_evidence(platform, exe, agent_id):
    """A success without evidence comes back as rejected under the code the SDK documents; with evidence it is sent."""
    agent = exe.register_agent(agent_id, "Bot")
    platform.server.admin.patch(f"/api/v1/agents/{agent.id}", {"outcomeStrictness": "strict"})
    exe.start_trace(agent_id=agent_id).finish("success")
    refused = exe.flush()
    exe.start_trace(agent_id=agent_id).finish("success", effect_evidence={"basis": "callback", "effect_ref": "order/7"})
    sent = exe.flush()

    assert [each["code"] for each in refused["rejected"]] == ["OUTCOME_EVIDENCE_REQUIRED"]
    assert (sent["sent"], sent["rejected"]) == (1, [])


def test_stamped_traces_are_verified(platform, agent_id):
    """With `stamp_identity` the SDK fetches a credential and stamps; the log says verified and holds no credential."""
    with platform.sdk(stamp_identity=True) as exe:
        exe.register_agent(agent_id, "Bot")
        exe.start_trace(agent_id=agent_id).finish()
        assert exe.flush()["sent"] == 1
        credential = exe.get_agent_credential(agent_id)
    log = logged(platform, agent_id)

    assert credential["credential"].startswith("exe_agt_")
    assert log["execlave"]["credential"] == "verified"
    assert "exe_agt_" not in json.dumps(log)
    assert credential["credential"] not in platform.server.log


def test_an_agent_that_may_not_act_still_traces(platform, agent_id):
    """A refused credential costs no trace: it arrives without a mark."""
    with platform.sdk(stamp_identity=True) as exe:
        agent = exe.register_agent(agent_id, "Bot")
        trace = exe.start_trace(agent_id=agent_id)
        platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {})
        trace.finish()
        assert exe.flush()["sent"] == 1

    assert "credential" not in logged(platform, agent_id)["execlave"]


def test_releases_and_tools_are_reported(exe, agent_id):
    """`report_agent_metadata` makes a version, `report_tool_baseline` pins tools, both by an id the SDK resolves."""
    exe.register_agent(agent_id, "Bot")
    version = exe.report_agent_metadata(agent_id, "v2", git_commit="abc", notes="calmer", activate=True)["data"]
    tool = exe.tool_descriptor("mail", "send", {"name": "send"}, "Sends")
    first = exe.report_tool_baseline(agent_id, [tool])["data"]
    second = exe.report_tool_baseline(agent_id, [tool], reason="baseline_update")["data"]

    assert (version["versionLabel"], version["versionNumber"], version["isActive"]) == ("v2", 1, True)
    assert version["metadata"] == {"gitCommit": "abc"}
    assert (first["baselineNumber"], second["baselineNumber"]) == (1, 2)
    assert second["descriptors"][0]["descriptorHash"] == tool["descriptorHash"]


def test_agents_call_each_other_by_grant(platform, exe, agent_id):
    """Without a grant the SDK raises; with one it returns it. Discovery finds the other agent by what it declared."""
    callee = f"{agent_id}-callee"
    exe.register_agent(agent_id, "Caller")
    exe.register_agent(callee, "Callee", allowed_actions=[f"do {agent_id}"])
    with pytest.raises(ExeclaveAuthError):
        exe.authorize_agent_call(agent_id, callee, "invoke")
    body = {"calleeAgentId": callee, "allowedActions": ["invoke"]}
    assert platform.server.admin.post(f"/api/v1/agents/{agent_id}/grants", body).status == 201
    granted = exe.authorize_agent_call(agent_id, callee, "invoke")
    found = exe.discover_agents(f"do {agent_id}")

    assert granted["data"]["authorized"] is True
    assert granted["data"]["grant"]["allowedActions"] == ["invoke"]
    assert [(agent["agentId"], agent["name"]) for agent in found] == [(callee, "Callee")]
    assert len(exe.discover_agents()) >= 2


def test_usage_has_no_limit(exe, agent_id):
    """`check_usage` returns counts below their maximum."""
    exe.register_agent(agent_id, "Bot")
    usage = exe.check_usage()

    assert usage["plan"] == "self-hosted"
    assert 1 <= usage["agents"]["current"] < usage["agents"]["max"]
    assert usage["traces"]["current"] < usage["traces"]["max"]
