"""The way of the issue from the first start to the end of an incident, by the pages alone, in a real Chromium.

Everything else is as in real use too: the server with its worker, the local Datadog, and the demo's agents and other
clients on the published SDK.
"""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from execlave import PolicyBlockedError
from harness import DATADOG_KEY, Installation, Platform, Sandbox, running
from playwright.sync_api import BrowserContext, Locator, Page, expect

from browsing import DESK, PHONE, assert_fits, sign_in_as
from execlave_server.demo.fleet import Fleet
from visitor import PASSWORD

OWNER = "ada@walk.example"
LOOKS_MAX = 60
VERIFIER = Path(__file__).parents[2] / "docs" / "verify_evidence.py"
ASKS_A_PERSON = {
    "name": "Refunds need a person",
    "policyType": "action_approval",
    "enforcementMode": "require_approval",
    "ruleDefinition": {"tools": ["refund"]},
}


@pytest.fixture
def new_house(tmp_path) -> Iterator[Platform]:
    """A server that nobody has signed in to and that delivers nowhere yet, and a local Datadog beside it."""
    with closing_port() as port:
        url = f"http://127.0.0.1:{port}"
    with running(Sandbox(tmp_path)) as sandbox:
        installation = Installation(tmp_path, datadog_sandbox_url=sandbox.url, public_url=url)
        with running(installation.serve(port=str(port))) as server:
            yield Platform(sandbox, installation, server)


class closing_port:  # noqa: N801 - used as a function
    """A port that nobody listens on just now: the log's link has to name it before the server starts."""

    def __enter__(self) -> int:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return self._socket.getsockname()[1]

    def __exit__(self, *error: object) -> None:
        self._socket.close()


@dataclass(frozen=True)
class Walk:
    """Somebody on the way: his browser's page, and where he is."""

    house: Platform
    context: BrowserContext
    page: Page

    def see(self, path: str, what: str) -> None:
        """Look at a page until it says so: with a reload, as somebody does whose browser runs no script."""
        for _ in range(LOOKS_MAX):
            self.page.goto(path)
            if re.search(what, self.page.locator("main").inner_text(), re.IGNORECASE):
                return
            self.page.wait_for_timeout(500)
        raise AssertionError(f"{path} never said {what!r}: {self.page.locator('main').inner_text()}")

    def section(self, heading: str) -> Locator:
        """The part of the page under this heading."""
        found = self.page.get_by_role("region", name=heading, exact=True)
        expect(found).to_be_visible()
        assert_fits(self.page)
        return found


@pytest.mark.parametrize(
    "browser_options",
    [
        pytest.param({"viewport": DESK}, id="desk"),
        pytest.param({"viewport": DESK, "java_script_enabled": False}, id="without JavaScript"),
        pytest.param({"viewport": PHONE, "color_scheme": "dark"}, id="phone"),
    ],
)
def test_the_walk(new_house, open_browser_at, browser_options):
    """From the link of the first start to a revoked session; what each step promises is looked at on its page."""
    context = open_browser_at(new_house.server.url, **browser_options)
    walk = Walk(new_house, context, context.new_page())
    sign_in_first(walk)
    destination = add_with_a_wrong_key(walk)
    correct_test_and_enable(walk, destination)
    run_demo(walk)
    open_from_the_log(walk)
    read_decision(walk)
    verify_evidence(walk)
    contain_agent(walk)
    approve_action(walk)
    revoke_session(walk, open_browser_at(new_house.server.url))


def sign_in_first(walk: Walk) -> None:
    """The link that the first start printed makes its reader the owner, once."""
    link = walk.house.server.wait_for_line(r"Become the owner: (\S+)")[1]
    page = walk.page
    page.goto(link)
    page.get_by_label("Name", exact=True).fill("Ada")
    page.get_by_label("Email").fill(OWNER)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill("something else entirely")
    page.get_by_role("button", name="Make me the owner").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.get_by_label("Email").input_value() == OWNER  # what was typed is kept
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Make me the owner").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Welcome")
    assert_fits(page)
    page.locator(".person summary").click()
    page.get_by_role("button", name="Sign out").click()
    answer = page.goto(link)
    assert answer
    assert answer.status == 404
    sign_in_as(page, OWNER)


def add_with_a_wrong_key(walk: Walk) -> str:
    """A key that Datadog does not know: the page says which step failed and what to do, and enables nothing."""
    page = walk.page
    page.goto("/settings/integrations")
    page.get_by_role("link", name="Add Datadog Logs").first.click()
    page.get_by_label("Name", exact=True).fill("Security archive")
    page.get_by_label("site", exact=True).fill("sandbox")
    page.get_by_label("apiKey", exact=True).fill(DATADOG_KEY[::-1])
    page.get_by_label("service", exact=True).fill("agents")
    page.get_by_label("ddtags", exact=True).fill("env:walk,team:platform")
    page.get_by_role("button", name="Add and test connection").click()
    report = walk.section("Test connection")
    expect(report).to_contain_text("Test connection: failed")
    expect(report.get_by_role("listitem").first).to_contain_text("The API key, on Datadog's API host")
    expect(report.get_by_role("listitem").first).to_contain_text(re.compile("key", re.IGNORECASE))
    expect(report.get_by_role("listitem").nth(1)).to_contain_text("not tried")
    expect(page.get_by_role("button", name="Enable", exact=True)).to_have_count(0)
    assert DATADOG_KEY[::-1] not in page.content()
    [added] = walk.house.server.admin.get("/api/v1/integrations").data
    assert added["state"] == "draft"
    return added["id"]


def correct_test_and_enable(walk: Walk, destination: str) -> None:
    """The right key passes both steps; only then there is an Enable, under what Datadog will do with `status`."""
    page = walk.page
    page.goto(f"/settings/integrations/{destination}")
    page.get_by_label("New API key").fill(DATADOG_KEY)
    page.get_by_role("button", name="Test and take over").click()
    report = walk.section("Test connection")
    expect(report).to_contain_text("Test connection: passed")
    expect(report.get_by_text("ok", exact=True)).to_have_count(2)
    page.get_by_role("button", name="Test connection").click()
    expect(walk.section("Test connection")).to_contain_text("Test connection: passed")
    expect(page.locator("main")).to_contain_text("Datadog reads a log's status as its severity")
    expect(page.get_by_role("row").filter(has_text="policy blocked").last).to_contain_text("info")
    page.get_by_role("button", name="Enable", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Enabled")
    assert_fits(page)


def run_demo(walk: Walk) -> None:
    """The demo's agents act, until the tier of the billing agent has really stopped it."""
    fleet = Fleet(walk.house.server.url, walk.house.installation.api_key)
    fleet.start()
    try:
        blocked = walk.house.sandbox.wait_for_logs(is_blocked_decision, 1)[0]
    finally:
        fleet.stop()
    assert blocked["execlave"]["trace_url"].startswith(walk.house.server.url + "/traces/")


def is_blocked_decision(log: dict) -> bool:
    """Whether a log tells of an enforce call of the billing agent that was blocked."""
    return (log.get("status"), log.get("agent_id")) == ("policy_blocked", "billing-agent") and (
        "decision_id" in log["execlave"]
    )


def open_from_the_log(walk: Walk) -> None:
    """An analyst in Datadog searches, opens a log and follows its link."""
    page = walk.page
    wanted = "@status:policy_blocked @agent_id:billing-agent @execlave.decision_id:*"
    for _ in range(LOOKS_MAX):
        page.goto(walk.house.sandbox.url + "/logs")
        page.get_by_role("searchbox", name="Search").fill(wanted)
        page.get_by_role("button", name="Search").click()
        if page.locator("td.message a").count():
            break
        page.wait_for_timeout(500)
    page.locator("td.message a").first.click()
    page.get_by_role("link", name="Open the trace").click()
    page.wait_for_url(walk.house.server.url + "/traces/**")
    expect(page.get_by_role("heading", level=1)).to_contain_text("policy blocked")
    expect(page.locator("main")).to_contain_text("Billing Agent")


def read_decision(walk: Walk) -> None:
    """The page says what was asked, which policy and rule decided, in which version, and the action's digest."""
    decision = walk.section("Policy decision")
    expect(decision).to_contain_text("blocked")
    expect(decision).to_contain_text("Action digest")
    expect(decision).to_contain_text("billing-agent")
    expect(decision).to_contain_text(re.compile(r"Matched.*rule", re.DOTALL))
    delivery = walk.section("Delivery")
    expect(delivery).to_contain_text("Security archive")
    expect(delivery).to_contain_text("202")


def verify_evidence(walk: Walk) -> None:
    """Verified on the page, in the whole chain, and once more from the file alone, by the published script."""
    page = walk.page
    evidence = walk.section("Audit evidence")
    expect(evidence).to_contain_text("verified")
    expect(evidence.locator("tbody tr").first).to_contain_text("yes")
    with page.expect_download() as downloading:
        evidence.get_by_role("link", name="Download the evidence").click()
    file = walk.house.installation.folder / "evidence.json"
    downloading.value.save_as(file)
    ran = subprocess.run([sys.executable, str(VERIFIER), str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    trace_url = page.url
    page.goto("/audit/verify")
    page.get_by_role("button", name="Verify now").click()
    walk.see("/audit/verify", "Everything is as it was recorded")
    assert_fits(page)
    page.goto(trace_url)


def contain_agent(walk: Walk) -> None:
    """From the trace to its incident, and from there the agent is paused: its next action is refused."""
    page = walk.page
    trace_url = page.url
    walk.see(trace_url, "incident open")
    page.get_by_role("link", name="incident open").first.click()
    expect(page.locator("main")).to_contain_text("Billing Agent")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("status").first).to_contain_text("acknowledged")
    page.get_by_text("Contain: pause the agent").click()
    page.get_by_label("Reason", exact=True).fill("It tried to drop a table.")
    page.get_by_role("button", name="Pause Billing Agent").click()
    expect(page.get_by_role("status").first).to_contain_text("The agent is paused")
    expect(page.get_by_role("list", name="Timeline")).to_contain_text("Contained: the agent was paused")
    expect(page.get_by_role("list", name="Timeline")).to_contain_text("It tried to drop a table.")
    assert_fits(page)
    with walk.house.sdk() as exe, pytest.raises(PolicyBlockedError):
        exe.enforce_policy("billing-agent", "pay 20 USD", tools=["pay_invoice"])


def approve_action(walk: Walk) -> None:
    """An agent waits for a person; the person reads what it wants to do and approves; the agent goes on."""
    page = walk.page
    assert walk.house.server.admin.post("/api/v1/policies", ASKS_A_PERSON).status == 201
    with walk.house.sdk() as exe:
        exe.register_agent("goodwill-agent", "Goodwill Agent", autonomy_level="autonomous")
        waiting = begin(lambda: exe.enforce_policy("goodwill-agent", "refund order 4711", tools=["refund"]))
        walk.see("/approvals", r"refund\s+by\s+Goodwill Agent")
        assert not waiting.done()
        assert_fits(page)
        asked = page.get_by_role("article").filter(has_text="Goodwill Agent")  # the demo's refund agent waits too
        asked.get_by_role("link", name="Review and decide").click()
        expect(page.locator("main")).to_contain_text("refund order 4711")
        expect(page.locator("main")).to_contain_text("Refunds need a person")
        page.get_by_label("Reason").fill("The customer is right.")
        assert_fits(page)
        page.get_by_role("button", name="Approve once").click()
        expect(page.get_by_role("status").first).to_contain_text("Approved")
        decided = waiting.result(60)
    assert decided["allowed"] is True
    assert decided["approvalRequestId"]


def begin(call: Callable[[], dict]) -> Future[dict]:
    """Run a call on a thread that does not outlive a failed test."""
    future: Future[dict] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - told by the future
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def revoke_session(walk: Walk, elsewhere: BrowserContext) -> None:
    """A session of another browser ends from this one; that one is asked to sign in with its next click."""
    other = elsewhere.new_page()
    sign_in_as(other, OWNER)
    walk.page.goto("/settings/sessions")
    rows = walk.page.get_by_role("row").filter(has=walk.page.get_by_role("button", name="End", exact=True))
    expect(rows).to_have_count(1)
    rows.get_by_role("button", name="End", exact=True).click()
    expect(walk.page.get_by_role("status").first).to_contain_text("The session has ended")
    expect(rows).to_have_count(0)
    assert_fits(walk.page)
    other.goto("/traces")

    expect(other.get_by_role("heading", level=1)).to_have_text("Sign in")
    walk.page.goto("/audit")
    kinds = {each["kind"] for each in walk.house.server.admin.get("/api/v1/audit?limit=200").data}
    assert {"agent.status_changed", "approval.decided", "approval.verified"} <= kinds, json.dumps(sorted(kinds))
