"""From a log's link to the incident's end, in a real browser."""

import re
from urllib.parse import urlsplit

import pytest
from harness import wait_for
from playwright.sync_api import expect

from browsing import PHONE, assert_fits

EVIL = '"><script>window.caught=1</script><img src=x onerror=window.caught=1>'


@pytest.fixture(scope="module")
def trace_id(platform) -> str:
    """A trace that a policy stopped, on its way to an incident."""
    agent = {"agentId": "watched", "name": f"Watched {EVIL}", "type": "chatbot", "environment": "production"}
    platform.server.agent.post("/api/v1/agents", agent)
    policy = {
        "name": "No wiping",
        "policyType": "access_control",
        "enforcementMode": "block",
        "ruleDefinition": {"denied_tools": ["wipe_*"]},
    }
    assert platform.server.admin.post("/api/v1/policies", policy).status == 201
    stopped = platform.server.agent.enforce("watched", tools=["wipe_disk"], environment="production")
    assert stopped.status == 403
    found = platform.server.admin.get("/api/v1/traces?status=policy_blocked").data[0]["traceId"]
    child = {"spanId": "child", "parentSpanId": "top", "spanName": EVIL}
    top = {"spanId": "top", "spanName": "whole run"}
    common = {"traceId": "nested", "agentId": "watched", "timestamp": "2026-01-01T10:00:00.000Z", "input": EVIL}
    platform.server.agent.ingest(
        {**common, "status": "error", "errorMessage": EVIL, "durationMs": 1, "metadata": child},
        {**common, "status": "success", "durationMs": 60_000, "metadata": top},
    )
    wait_for(lambda: platform.server.admin.get(f"/api/v1/traces/{found}").data["incidents"], "an incident")
    return found


def test_from_the_link_to_the_end(platform, signed_in, trace_id):
    """An alert's link, the decision, the evidence, the incident: acknowledged, contained, resolved."""
    page = signed_in("approver")
    [log] = platform.sandbox.wait_for_logs(lambda log: log["execlave"]["trace_id"] == trace_id, 1)
    link = log["execlave"].get("trace_url", f"/traces/{trace_id}")
    page.goto(urlsplit(link).path)
    expect(page.locator(".decision")).to_contain_text("No wiping")
    expect(page.locator("section", has_text="Audit evidence").last).to_contain_text("verified")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the evidence").click()
    assert download.value.suggested_filename.startswith("evidence-")
    page.get_by_role("link", name=re.compile("incident open")).click()
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_text("Contain: pause the agent").click()
    page.get_by_label("Reason").fill("It wipes disks.")
    page.get_by_role("button", name=re.compile("^Pause Watched")).click()
    expect(page.get_by_role("status")).to_contain_text("The agent is paused")
    assert platform.server.agent.enforce("watched", environment="production").status == 403
    page.locator("summary", has_text="Resolve").click()
    page.get_by_label("What it was, and what was done").fill("The tool is gone.")
    page.get_by_role("button", name="Resolve").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("resolved")
    expect(page.locator(".steps")).to_contain_text("The tool is gone.")


@pytest.mark.usefixtures("trace_id")
def test_a_waterfall_shows_small_spans_and_nests(owner):
    """A millisecond of a minute can be seen; the child stands below and to the right of its parent."""
    owner.goto("/traces/nested")
    bars = owner.locator(".waterfall .bar")
    parent, child = bars.nth(0).bounding_box(), bars.nth(1).bounding_box()
    names = owner.locator(".waterfall .what a")

    assert child["width"] >= 2
    assert parent["width"] > 100 * child["width"] / 2
    assert names.nth(1).bounding_box()["x"] > names.nth(0).bounding_box()["x"]
    assert owner.evaluate("window.caught") is None
    owner.get_by_role("button", name="Show input and output").click()
    expect(owner.locator(".content").first).to_contain_text("<script>")
    assert owner.evaluate("window.caught") is None


def test_the_list_filters_without_script(without_script, trace_id):
    """The form works with JavaScript off, and its address can be shared."""
    page = without_script
    page.goto("/traces")
    page.get_by_label("policy blocked").check()
    page.get_by_role("button", name="Search").click()

    assert "status=policy_blocked" in page.url
    assert page.locator(f'a[href*="{trace_id}"]').count() >= 1


def test_the_list_follows_the_store(platform, owner):
    """A trace that arrives while the list is open shows up by itself."""
    owner.goto("/traces?agent=late-agent")
    expect(owner.get_by_text("No trace matches")).to_be_visible()
    platform.server.agent.ingest({"traceId": "late", "agentId": "late-agent", "status": "success"})

    expect(owner.locator('a[href*="/traces/late"]')).to_be_visible()


@pytest.mark.parametrize("path", ["/traces", "/traces/nested", "/traces/{trace}", "/incidents?state=all"])
def test_pages_fit_a_phone(at_phone, trace_id, path):
    """No page scrolls sideways at 360 px."""
    at_phone.goto(path.format(trace=trace_id))
    assert_fits(at_phone)
    if path.startswith("/incidents"):
        at_phone.locator("td a").first.click()
        assert_fits(at_phone)
    assert at_phone.viewport_size == PHONE
