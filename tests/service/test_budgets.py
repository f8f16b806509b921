"""Budget rules over HTTP: made, read, changed, reached; what is reserved outlives the server and lapses."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Platform, wait_for

from execlave_server.app.upkeep import LAPSE_EVERY_S

RULES = "/api/v1/cost-budget-rules"
PRINTED = {
    "scope": "agent",
    "scopeId": None,
    "window": "1d",
    "capUsd": 2.5,
    "action": "block",
    "warningThresholdPct": 80,
    "burnRateAlertEnabled": True,
}


@pytest.fixture
def agent_id(platform: Platform) -> str:
    """A registered agent of this test's own."""
    registered = platform.server.agent.post("/api/v1/agents", {"agentId": f"a-{uuid.uuid4().hex[:12]}", "name": "A"})
    return registered.data["agentId"]


@pytest.fixture
def new_rule(platform: Platform) -> Iterator[Any]:
    """Makes rules, and takes them away again."""
    made: list[str] = []

    def make(**terms: Any) -> dict[str, Any]:
        rule = platform.server.admin.post(RULES, {**PRINTED, **terms}).data
        made.append(rule["id"])
        return rule

    yield make
    for rule_id in made:
        platform.server.admin.ask("DELETE", f"{RULES}/{rule_id}")


def enforce(platform: Platform, agent_id: str, cost: float, **metadata: Any) -> tuple[int, Any]:
    """Ask to act at a cost."""
    body = {"agentId": agent_id, "input": "may I?", "estimatedCost": cost, "metadata": metadata}
    answer = platform.server.agent.post("/api/v1/policies/enforce", body)
    return answer.status, answer.json


class TestRules:
    def test_a_rule_is_made_read_changed_and_deleted(self, platform, agent_id):
        """In the platform's words, each change a new version."""
        admin = platform.server.admin
        made = admin.post(RULES, {**PRINTED, "scopeId": agent_id})
        path = f"{RULES}/{made.data['id']}"
        listed = admin.get(RULES)
        changed = admin.ask("PUT", path, {**PRINTED, "scopeId": agent_id, "capUsd": 5}).data
        deleted = admin.ask("DELETE", path)

        assert made.status == 201
        assert {**PRINTED, "scopeId": agent_id, "version": 1}.items() <= made.data.items()
        assert made.data["usage"]["remainingUsd"] == 2.5
        assert made.data in listed.data
        assert listed.json["meta"]["total"] == len(listed.data)
        assert (changed["version"], changed["capUsd"], changed["createdAt"]) == (2, 5, made.data["createdAt"])
        assert deleted.data == {"id": made.data["id"], "deleted": True}
        assert [admin.get(path).status, admin.ask("PUT", path, PRINTED).status, admin.ask("DELETE", path).status] == [
            404
        ] * 3

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"scope": "team"}, "scope"),
            ({"window": "2d"}, "window"),
            ({"capUsd": -1}, "capUsd"),
            ({"capUsd": 1e12}, "capUsd"),
            ({"action": "shout"}, "action"),
            ({"warningThresholdPct": 0}, "warningThresholdPct"),
            ({"warningThresholdPct": 101}, "warningThresholdPct"),
            ({"scope": "org", "scopeId": "x"}, "scopeId"),
            ({"scopeId": ""}, "scopeId"),
            ({"scopeId": "x" * 257}, "scopeId"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    def test_a_bad_rule_is_refused_by_its_field(self, platform, change, field):
        """400 with the field's name."""
        answer = platform.server.admin.post(RULES, {**PRINTED, **change})

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
        assert list(answer.json["error"]["fields"]) == [field]

    @pytest.mark.parametrize("missing", ["scope", "window", "capUsd", "action"])
    def test_what_a_rule_must_say_is_named(self, platform, missing):
        """The other members have defaults."""
        answer = platform.server.admin.post(RULES, {name: PRINTED[name] for name in PRINTED if name != missing})

        assert (answer.status, list(answer.json["error"]["fields"])) == (400, [missing])

    def test_usage_is_of_one_payer(self, platform, new_rule, agent_id):
        """A rule about each agent asks whose; one about this agent is about nobody else."""
        each, mine = new_rule(), new_rule(scopeId=agent_id)
        admin = platform.server.admin
        enforce(platform, agent_id, 1)

        unnamed = admin.get(f"{RULES}/{each['id']}/usage")
        named = admin.get(f"{RULES}/{each['id']}/usage?scopeId={agent_id}").data
        other = admin.get(f"{RULES}/{mine['id']}/usage?scopeId=nobody")

        assert each["usage"] is None
        assert (unnamed.status, list(unnamed.json["error"]["fields"])) == (400, ["scopeId"])
        assert (named["spentUsd"], named["reservedUsd"], named["remainingUsd"]) == (0, 1, 1.5)
        assert named["windowEndsAt"].endswith("T00:00:00.000Z")
        assert other.status == 400


class TestSpending:
    def test_the_cap_holds(self, platform, new_rule, agent_id):
        """Reserved to the cap, refused beyond it as a limit, and free again by what the trace did not cost."""
        rule = new_rule(scopeId=agent_id)
        allowed = [enforce(platform, agent_id, cost)[0] for cost in (1, 1.5)]
        status, refused = enforce(platform, agent_id, 0.01)
        trace = {"traceId": uuid.uuid4().hex, "agentId": agent_id, "status": "success", "costUsd": 0.25}
        for _ in range(2):
            platform.server.agent.post("/api/v1/traces/ingest", {"traces": [trace]})
        usage = platform.server.admin.get(f"{RULES}/{rule['id']}/usage").data

        assert (allowed, status, refused["allowed"]) == ([200, 200], 403, False)
        (violation,) = refused["violations"]
        assert {
            "policyId": rule["id"],
            "policyType": "budget_cap",
            "enforcementMode": "block",
            "decisionId": refused["decisionId"],
        }.items() <= violation.items()
        assert (usage["spentUsd"], usage["reservedUsd"], usage["remainingUsd"]) == (0.25, 1.5, 0.75)
        assert enforce(platform, agent_id, 0.75)[0] == 200
        (log,) = platform.sandbox.wait_for_logs(lambda log: log["trace_id"] == refused["traceId"], 1)
        assert (log["status"], log["execlave"]["policy_types"]) == ("limit_exceeded", ["budget_cap"])

    def test_a_used_up_budget_pauses_the_agent(self, platform, new_rule, agent_id):
        """The registry says so, and why, as soon as the refusal is answered."""
        new_rule(scopeId=agent_id, action="pause_agent")
        status, refused = enforce(platform, agent_id, 3)
        agent = platform.server.agent.get(f"/api/v1/agents/{agent_id}").data
        _, again = enforce(platform, agent_id, 0)

        assert (status, refused["violations"][0]["policyType"]) == (403, "budget_cap")
        assert agent["status"] == "paused"
        assert again["violations"][0]["policyType"] == "agent_status"

    def test_what_is_reserved_outlives_the_server_and_lapses(self, platform, new_rule, agent_id):
        """After SIGKILL the money is still held; what lapsed meanwhile is free soon after the start."""
        rule = new_rule(scopeId=agent_id)
        kept, lapsing = (enforce(platform, agent_id, cost)[1]["decisionId"] for cost in (1, 0.5))
        path = f"{RULES}/{rule['id']}/usage"
        platform.server.kill_child("server-process")
        platform.installation.rows("update reservations set lapses_at_us = 1 where id = ?", lapsing)

        def usage() -> float:
            return platform.server.admin.get(path).data["reservedUsd"]

        wait_for(lambda: usage() == 1, "the lapse", within_s=3 * LAPSE_EVERY_S)
        platform.installation.rows("update reservations set lapses_at_us = 1 where id = ?", kept)
        wait_for(lambda: usage() == 0, "the other lapse", within_s=3 * LAPSE_EVERY_S)
