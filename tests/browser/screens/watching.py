"""Traces and incidents: a run with nested, failed and blocked spans, and the incident it led to."""

import time
from datetime import UTC, datetime

from harness import Platform, wait_for

from . import Screen

SCREENS = (
    Screen("traces", "/traces"),
    Screen("traces-filtered", "/traces?status=policy_blocked&status=error&agent=refund-agent&last=24h"),
    Screen("traces-none", "/traces?agent=nobody"),
    Screen(
        "traces-searched",
        "/traces?query=-@execlave.status:success+@duration_ms:>100&last=24h",
        then=lambda page: page.get_by_text("Datadog's search language").click(),
    ),
    Screen("traces-unreadable", "/traces?query=refund+@status:(error"),
    Screen("trace", "/traces/{run}?span=pay"),
    Screen("trace-content", "/traces/{run}", then=lambda page: page.get_by_role("button", name="Show input").click()),
    Screen("trace-blocked", "/traces/{blocked}"),
    Screen("trace-viewer", "/traces/{blocked}", role="viewer"),
    Screen("incidents", "/incidents"),
    Screen("incidents-none", "/incidents?state=resolved"),
    Screen("incident", "/incidents/{incident}"),
    Screen("incident-contain", "/incidents/{incident}", then=lambda page: page.get_by_text("Contain: pause").click()),
)


def span(span_id: str, parent: str | None, starts_ms: int, took_ms: float, **more: object) -> dict[str, object]:
    """A span of the run."""
    begin_s = int(time.time()) - 60
    stamp = datetime.fromtimestamp(begin_s + starts_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    metadata = {"spanId": span_id, "parentSpanId": parent, "spanName": more.pop("name", span_id)}
    return {
        "traceId": "run-4711", "agentId": "refund-agent", "environment": "production", "status": "success",
        "timestamp": stamp, "durationMs": took_ms, "metadata": metadata, "sessionId": "ticket 8812", **more,
    }  # fmt: skip


def prepare(platform: Platform, names: dict[str, str]) -> None:
    """An agent, a policy, a run, a few blocks, and their incident."""
    server = platform.server
    agent = {"agentId": "refund-agent", "name": "Refund agent", "type": "chatbot", "environment": "production"}
    server.agent.post("/api/v1/agents", agent)
    policy = {
        "name": "Refunds stay small",
        "policyType": "access_control",
        "enforcementMode": "block",
        "ruleDefinition": {"denied_tools": ["issue_refund"]},
    }
    server.admin.post("/api/v1/policies", policy)
    question = "Please refund order 4711; it arrived broken. " * 30
    server.agent.ingest(
        span("classify", "plan", 180, 420, spanType="llm", modelName="gpt-4o-mini", promptTokens=812,
             completionTokens=9),
        span("look up the order", "plan", 700, 3, spanType="tool"),
        span("plan", "run", 120, 900, spanType="agent"),
        span("search the knowledge base", "answer", 1_100, 640, spanType="retrieval"),
        span("pay", "answer", 1_800, 12, spanType="tool", name="issue_refund", status="policy_blocked",
             errorType="PolicyBlockedError", errorMessage="The tool issue_refund is denied"),
        span("write to the customer", "answer", 1_850, 2_100, spanType="llm", modelName="gpt-4o", promptTokens=2_311,
             completionTokens=402, input=question, output="I have asked a colleague to look at it."),
        span("notify", "answer", 3_980, 240, spanType="tool", status="error", errorType="TimeoutError",
             errorMessage="the mail server did not answer within 200 ms"),
        span("answer", "run", 1_060, 3_200, spanType="agent"),
        span("run", None, 0, 4_310, name="refund request", spanType="agent", input=question),
    )  # fmt: skip
    for _ in range(3):
        server.agent.enforce("refund-agent", tools=["issue_refund"], environment="production")
    found = server.admin.get("/api/v1/traces?status=policy_blocked&query=*:*refunds*").data
    found = found or server.admin.get("/api/v1/traces?status=policy_blocked").data
    names["run"], names["blocked"] = "run-4711", found[0]["traceId"]
    incident = wait_for(lambda: server.admin.get(f"/api/v1/traces/{names['blocked']}").data["incidents"], "an incident")
    names["incident"] = incident[0]["id"]
    step = f"/api/v1/incidents/{names['incident']}"
    server.admin.post(f"{step}/acknowledge")
    server.admin.post(f"{step}/comment", {"text": "The prompt of the refund flow changed yesterday.\nLooking at it."})
    server.wait_until_delivered()
