"""What governs: agents, policies with a history, approvals in every state, budgets, the audit chain."""

import json
import re

from harness import Platform

from visitor import PASSWORD, Visitor

from . import Screen

ASKS = {
    "name": "Refunds need a person",
    "policyType": "action_approval",
    "enforcementMode": "require_approval",
    "ruleDefinition": {"tools": ["refund", "pay_supplier"]},
}
DENIES = {
    "name": "No table is dropped",
    "policyType": "access_control",
    "enforcementMode": "block",
    "ruleDefinition": {"denied_tools": ["drop_table"]},
}


def prepare(platform: Platform, names: dict[str, str]) -> None:
    """A registry of several tiers, two policies of which one has changed, five approvals, three budgets."""
    admin, agent = platform.server.admin, platform.server.agent
    tiers = {"claims-agent": "act_with_approval", "report-writer": "observe", "treasury-agent": "autonomous"}
    for agent_id, tier in tiers.items():
        name = agent_id.replace("-", " ").capitalize()
        body = {"agentId": agent_id, "name": name, "type": "custom", "environment": "production", "autonomyLevel": tier}
        made = agent.post("/api/v1/agents", body).data
        names[f"agent_{tier}"] = made["id"]
    admin.patch(f"/api/v1/agents/{names['agent_observe']}/pause", {"reason": "Its reports named customers."})
    policy = admin.post("/api/v1/policies", DENIES).data["id"]
    changed = {**DENIES, "ruleDefinition": {"denied_tools": ["drop_table", "truncate_*"]}}
    assert admin.ask("PUT", f"/api/v1/policies/{policy}", changed).status == 200
    assert admin.post("/api/v1/policies", ASKS).status == 201
    names["policy"] = policy
    waiting = []
    for order in range(5):
        action = {"tools": ["refund"], "estimatedCost": 1.5 * order, "environment": "production"}
        words = {"input": f"Refund order 47{order:02}: it arrived broken.", "metadata": {"user_id": "mia"}}
        asked = agent.enforce("claims-agent", **action, **words)
        waiting.append(json.loads(asked.body)["approvalRequestId"])
    agent.enforce("treasury-agent", tools=["drop_table"], environment="production")
    approver = Visitor(platform.server.url)
    approver.sign_in("approver@pages.example", PASSWORD)
    for verb, approval in (("grant", waiting[0]), ("deny", waiting[1])):
        approver.send(f"/approvals/{approval}/{verb}", {"reason": "I have looked."}, of=f"/approvals/{approval}")
    names["approval"], names["approved"], names["denied"] = waiting[2], waiting[0], waiting[1]
    for scope, window, cap in (("org", "1mo", 900.0), ("agent", "1d", 25.0), ("user", "1d", 2.0)):
        budget = {"scope": scope, "window": window, "capUsd": cap, "action": "block" if scope == "user" else "warn"}
        names["budget"] = admin.post("/api/v1/cost-budget-rules", budget).data["id"]
    spent = {"agentId": "treasury-agent", "status": "success", "costUsd": 3.1}
    agent.ingest(*({"traceId": f"spent-{number}", **spent} for number in range(7)))


def _opened(label: str):
    return lambda page: page.locator("details.confirm summary", has_text=label).first.click()


def _refused(page) -> None:
    page.get_by_label("Name").first.fill("Half a policy")
    page.locator("[name=ruleDefinition]").fill('{"denied_tools": ')
    page.get_by_role("button", name=re.compile("^(Save|Make|Create)")).first.click()
    page.get_by_role("alert").wait_for()


def _verified(page) -> None:
    page.get_by_role("button", name="Verify now").click()
    page.get_by_text("Everything is as it was recorded").wait_for()


SCREENS = (
    Screen("agents", "/agents"),
    Screen("agents-none", "/agents?q=nobody"),
    Screen("agent", "/agents/{agent_act_with_approval}"),
    Screen("agent-paused", "/agents/{agent_observe}"),
    Screen("agent-pause", "/agents/{agent_autonomous}", then=_opened("Pause")),
    Screen("policies", "/policies"),
    Screen("policy", "/policies/{policy}"),
    Screen("policy-new", "/policies/new"),
    Screen("policy-refused", "/policies/new", then=_refused),
    Screen("policy-edit", "/policies/{policy}/edit"),
    Screen("approvals", "/approvals"),
    Screen("approvals-all", "/approvals?status=all"),
    Screen("approvals-none", "/approvals?status=expired"),
    Screen("approval", "/approvals/{approval}", role="approver"),
    Screen("approval-viewer", "/approvals/{approval}", role="viewer"),
    Screen("approved", "/approvals/{approved}"),
    Screen("denied", "/approvals/{denied}"),
    Screen("budgets", "/budgets"),
    Screen("budget-new", "/budgets/new"),
    Screen("budget", "/budgets/{budget}"),
    Screen("audit", "/audit"),
    Screen("audit-none", "/audit?subject=nobody"),
    Screen("audit-entry", "/audit/entries/9"),
    Screen("audit-verify", "/audit/verify"),
    Screen("audit-verified", "/audit/verify", then=_verified),
)
