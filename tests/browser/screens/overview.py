import json

from harness import DATADOG_KEY, Platform
from playwright.sync_api import Page

from . import Screen


def prepare(platform: Platform, names: dict[str, str]) -> None:
    """Traces of every status, a destination that is a draft, one that is held, and parked logs."""
    statuses = ("success", "error", "timeout", "policy_blocked", "limit_exceeded", "flagged_for_review")
    for number in range(60):
        item = {"traceId": f"shown-{number}", "agentId": "support-bot", "environment": "production"}
        platform.server.agent.ingest({**item, "status": statuses[number % 6], "costUsd": number / 900})
    platform.server.wait_until_delivered()
    platform.sandbox.fail({"status": 400, "contains": "refused", "times": None})
    platform.server.agent.ingest({"traceId": "refused", "agentId": "support-bot", "status": "error"})
    platform.server.wait_until_delivered()
    platform.sandbox.fail()
    listed = platform.server.admin.get("/api/v1/integrations").data
    names["destination"] = listed[0]["id"]
    draft = {"name": "EU archive", "site": "sandbox", "apiKey": DATADOG_KEY[::-1], "ddtags": "env:production"}
    names["draft"] = json.loads(platform.server.admin.post("/api/v1/integrations", draft).body)["data"]["id"]


def _test(page: Page) -> None:
    page.get_by_role("button", name="Test connection").click()


SCREENS = (
    Screen("overview", "/overview"),
    Screen("integrations", "/settings/integrations"),
    Screen("new", "/settings/integrations/new"),
    Screen("guide", "/settings/integrations/guide"),
    Screen("draft", "/settings/integrations/{draft}"),
    Screen("wrong-key", "/settings/integrations/{draft}", then=_test),
    Screen("live", "/settings/integrations/{destination}"),
    Screen("parked", "/settings/integrations/{destination}/parked"),
    Screen("backfill", "/settings/integrations/{destination}/backfill"),
)
