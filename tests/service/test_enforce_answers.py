"""Policies in an answer of enforce: who is judged by them, and which of them the answer names."""

import re
import uuid
from typing import Any

import pytest
from harness import Platform


@pytest.fixture
def tool() -> str:
    """A tool that no other test speaks of, so that a policy for everyone touches nobody else."""
    return f"tool_{uuid.uuid4().int % 10**6}_of_a_test"


def add(platform: Platform, policy_type: str, rule: dict[str, Any], mode: str = "block", **more: Any) -> str:
    """A policy; its id."""
    body = {"name": f"{policy_type} {uuid.uuid4().hex}", "policyType": policy_type, "enforcementMode": mode}
    return platform.server.admin.post("/api/v1/policies", body | {"ruleDefinition": rule} | more).data["id"]


def test_an_unregistered_agent_is_judged_by_the_policies_for_everyone(platform, tool):
    """What nobody registered is held to what holds for all, and its block is recorded under the name it uses."""
    name = f"stranger-{uuid.uuid4().hex}"
    before = platform.server.agent.enforce(name, tools=[tool])
    policy = add(platform, "access_control", {"denied_tools": [tool]})
    after = platform.server.agent.enforce(name, tools=[tool])
    elsewhere = platform.server.agent.enforce(name, tools=["another"])

    assert [answer.status for answer in (before, after, elsewhere)] == [200, 403, 200]
    assert [found["policyId"] for found in after.json["violations"]] == [policy]
    (log,) = platform.sandbox.wait_for_logs(lambda log: log.get("agent_id") == name, 1)
    assert (log["status"], log["span_name"], log["execlave"]["unregistered"]) == ("policy_blocked", tool, True)


def test_the_answer_names_those_who_decided_in_order(platform, tool):
    """Of blocks, warnings and watchers only the blocks, by policy id; all of them stand in the decision's record."""
    rule = {"denied_tools": [tool]}
    blocks = [add(platform, "access_control", rule) for _ in range(3)]
    others = [add(platform, "access_control", rule, mode) for mode in ("warn", "monitor")]
    answer = platform.server.agent.enforce(f"bot-{uuid.uuid4().hex}", tools=[tool])

    assert [found["policyId"] for found in answer.json["violations"]] == sorted(blocks)
    ((kept,),) = platform.installation.rows("select policies from decisions where id = ?", answer.json["decisionId"])
    assert all(policy in kept for policy in (*blocks, *others))


@pytest.mark.parametrize("body", [{"agentId": "a", "input": "may I?"}, b"{"], ids=["judged", "unreadable"])
def test_each_answer_says_how_long_it_took(platform, body):
    """`Server-Timing` names the enforcement and its milliseconds."""
    answer = platform.server.agent.post("/api/v1/policies/enforce", body)

    headers = {name.lower(): text for name, text in answer.headers.items()}
    assert re.fullmatch(r"enforce;dur=\d+\.\d{3}", headers["server-timing"])
