"""The contract's conformance walk (section 13), each step by the published SDK, unmodified, on both engines."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from execlave import AgentPausedError, Execlave, PolicyBlockedError
from execlave.errors import ApprovalTimeoutError, CertificateMismatchError, PolicyDeniedError
from execlave.instrumentation import record_llm_call, record_tool_call
from harness import Caller, Platform, running, sdk_client, start_platform, wait_for
from stub_server import StubServer
from test_sdk_control import AT_ONCE_S, connected, seconds_until

from execlave_server.model.approvals import APPROVAL_LIFE_US

PASSWORD = "correct horse battery"
ADA = "ada@walk.example"
REASON = "words of a person"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def platform(request, tmp_path_factory) -> Iterator[Platform]:
    """A server of this module's own on each engine, with a destination that takes events."""
    postgres = request.param == "postgres"
    settings = {"database_url": request.getfixturevalue("postgres").new_database()} if postgres else {}
    with start_platform(tmp_path_factory.mktemp(f"walk-{request.param}"), **settings) as started:
        [destination] = started.installation.run_json("destination", "list")
        started.installation.run_json("destination", "events", destination["id"], "on")
        yield started


@pytest.fixture(scope="module")
def ada(platform: Platform) -> Caller:
    """An approver, signed in."""
    platform.installation.run_json("user", "add", ADA, "--role", "approver", "--name", "Ada", stdin=PASSWORD)
    answer = platform.server.anyone.post("/api/v1/auth/login", {"email": ADA, "password": PASSWORD})
    return platform.server.anyone.with_key(answer.data["token"])


@pytest.fixture
def exe(platform: Platform) -> Iterator[Execlave]:
    """A client of the SDK."""
    with platform.sdk() as client:
        yield client


class Walker:
    """An agent of a test's own, registered by the SDK, and what is seen of it."""

    def __init__(self, platform: Platform, exe: Execlave) -> None:
        self.platform, self.exe = platform, exe
        self.id = f"walker-{uuid.uuid4().hex[:12]}"
        self.agent = exe.register_agent(self.id, "Walker")

    def policy(self, policy_type: str, mode: str, rule: dict[str, Any]) -> str:
        """A policy about this agent alone; its id."""
        body = {"name": uuid.uuid4().hex, "policyType": policy_type, "enforcementMode": mode, "ruleDefinition": rule}
        body["appliesToAgents"] = [self.agent.id]
        return self.platform.server.admin.post("/api/v1/policies", body).data["id"]

    def ask(self, **more: Any) -> dict[str, Any]:
        """Ask whether it may send a mail."""
        return self.exe.enforce_policy(self.id, f"send a mail {uuid.uuid4().hex}", tools=["send_email"], **more)

    def pause(self, verb: str = "pause") -> None:
        """Use the kill switch."""
        answer = self.platform.server.admin.patch(f"/api/v1/agents/{self.agent.id}/{verb}", {"reason": REASON})
        assert answer.status == 200

    def logs(self, status: str, count: int = 1) -> list[dict[str, Any]]:
        """Its logs of a status, once everything is delivered: exactly so many."""

        def mine(log: dict[str, Any]) -> bool:
            return log.get("agent_id") == self.id and log["status"] == status

        if count:
            self.platform.sandbox.wait_for_logs(mine, count)
        self.platform.server.wait_until_delivered()
        found = [log for log in self.platform.sandbox.logs() if mine(log)]
        assert len(found) == count
        return found

    def told(self, *kinds: str) -> list[str]:
        """The events about it that reached Datadog, once there are those."""

        def look() -> list[str] | None:
            found = [log for log in self.platform.sandbox.events() if log.get("agent_id") == self.id]
            assert REASON not in json.dumps(found)
            names = [log["execlave"]["event"] for log in found]
            return names if set(kinds) <= set(names) else None

        return wait_for(look, f"the events {kinds}") or []


@pytest.fixture
def walker(platform: Platform, exe: Execlave) -> Walker:
    """A registered agent without policies."""
    return Walker(platform, exe)


def once_asked(exe: Execlave, act: Callable[[str], object]) -> None:
    """Do something with an approval the moment it was asked for, before the SDK first looks at it."""

    def look(response: Any, **_more: Any) -> None:
        if response.status_code == 202 and response.url.endswith("/policies/enforce"):
            act(response.json()["approvalRequestId"])

    exe._session.hooks["response"].append(look)


def decided(ada: Caller, verb: str) -> Callable[[str], object]:
    """Ada's decision."""
    return lambda approval: ada.post(f"/api/v1/approvals/{approval}/{verb}", {"reason": REASON}).data


def test_allow_warn_and_block(walker):
    """Nothing against it: allowed. A warning: allowed, with the decision echoed. A block: raised, and one log."""
    allowed = walker.ask()
    walker.policy("access_control", "warn", {"denied_tools": ["send_*"]})
    warned = walker.ask()
    walker.policy("access_control", "block", {"denied_tools": ["send_*"]})
    with pytest.raises(PolicyBlockedError) as blocked:
        walker.ask()

    assert (allowed["allowed"], "warnings" in allowed) == (True, False)
    assert (warned["allowed"], warned["warnings"][0]["policyType"]) == (True, "access_control")
    [log] = walker.logs("policy_blocked")
    assert blocked.value.violations[0]["decisionId"] == log["execlave"]["decision_id"]
    assert (log["span_type"], log["span_name"]) == ("tool", "send_email")


def test_an_approval_granted(walker, ada):
    """The SDK verifies the certificate and lets the action run; nothing says that it was blocked."""
    walker.policy("action_approval", "require_approval", {})
    once_asked(walker.exe, decided(ada, "grant"))

    result = walker.ask()

    assert result["allowed"] is True
    assert result["certificate"].count(".") == 2
    walker.told("approval.requested", "approval.decided")
    walker.logs("policy_blocked", 0)


def test_an_approval_denied(walker, ada):
    """The SDK raises with the reason; Datadog has one blocked tool, and the denial, without it."""
    walker.policy("action_approval", "require_approval", {})
    once_asked(walker.exe, decided(ada, "deny"))

    with pytest.raises(PolicyDeniedError, match=REASON):
        walker.ask()

    [log] = walker.logs("policy_blocked")
    assert (log["error_type"], log["span_name"]) == ("PolicyDeniedError", "send_email")
    assert walker.told("approval.decided").count("approval.decided") == 1


def test_an_approval_that_nobody_decides(walker):
    """29 minutes later it is expired: the SDK raises, and the server's own sweep leaves one blocked tool."""
    walker.policy("action_approval", "require_approval", {})
    earlier = f"update approvals set expires_at_us = expires_at_us - {APPROVAL_LIFE_US} where id = ?"  # noqa: S608
    once_asked(walker.exe, lambda approval: walker.platform.installation.rows(earlier, approval))

    with pytest.raises(ApprovalTimeoutError):
        walker.ask()

    [log] = walker.logs("policy_blocked")
    assert log["error_type"] == "ApprovalTimeoutError"
    assert walker.told("approval.expired").count("approval.expired") == 1


def test_a_certificate_covers_one_action_once(walker, ada):
    """Presented for another action, and a second time, it is refused; both are told."""
    walker.policy("action_approval", "require_approval", {})
    asked: list[str] = []
    once_asked(walker.exe, lambda approval: (asked.append(approval), decided(ada, "grant")(approval)))
    walker.exe.enforce_policy(walker.id, "once", tools=["send_email"], environment="production")

    for said, reason in (("another", "action_context_mismatch"), ("once", "certificate_already_used")):
        action = walker.exe._build_action_context(said, "production", None, None, ["send_email"])
        with pytest.raises(CertificateMismatchError, match=reason):
            walker.exe._verify_approved_decision(asked[0], action)
    walker.told("approval.misused")


def test_a_budget_hit(walker):
    """What would pass the cap is refused, its log is limit_exceeded, and the hit is told."""
    rule = {"scope": "agent", "scopeId": walker.id, "window": "1d", "capUsd": 1, "action": "block"}
    walker.platform.server.admin.post("/api/v1/cost-budget-rules", rule)
    assert walker.ask(estimated_cost=0.6)["allowed"] is True

    with pytest.raises(PolicyBlockedError, match="budget_cap"):
        walker.ask(estimated_cost=0.6)

    walker.logs("limit_exceeded")
    walker.told("budget.hit")


def test_pause_and_resume_over_the_socket_and_by_polling(platform):
    """With websocket-client it arrives at once; without, at the next poll; enforce refuses meanwhile either way."""
    with connected(platform, platform.installation.api_key) as listening, platform.sdk() as polling:
        walker = Walker(platform, listening)
        polling.register_agent(walker.id, "Walker")
        walker.pause()
        heard_after_s = seconds_until(lambda: listening._state == "PAUSED")
        with pytest.raises(AgentPausedError):
            listening.start_trace(agent_id=walker.id)
        polled = polling.check_agent_status(walker.id)
        with pytest.raises(PolicyBlockedError):
            polling.enforce_policy(walker.id, "may I?")
        walker.pause("resume")
        resumed_after_s = seconds_until(lambda: listening._state == "ACTIVE")

        assert (polled, polling.check_agent_status(walker.id)) == ("paused", "active")
        assert walker.ask()["allowed"] is True
    assert max(heard_after_s, resumed_after_s) < AT_ONCE_S
    assert walker.told("agent.status_changed").count("agent.status_changed") >= 1


def test_a_pause_on_one_node_is_refused_on_another(platform, walker):
    """The other server refuses from the pause's commit on. A SQLite database has one server."""
    if "EXECLAVE_SERVER_DATABASE_URL" not in platform.installation.environment:
        pytest.skip("one server at a time holds a SQLite database")
    with ExitStack() as stack:
        other = stack.enter_context(running(platform.installation.serve("--no-worker")))
        exe = stack.enter_context(sdk_client(other.url, platform.installation.api_key))
        before = exe.enforce_policy(walker.id, "may I?")
        walker.pause()
        with pytest.raises(PolicyBlockedError) as refused:
            exe.enforce_policy(walker.id, "may I now?")

    assert before["allowed"] is True
    assert refused.value.violations[0]["policyType"] == "agent_status"


def test_a_server_error_and_its_bypass_window(walker):
    """What ran on a 503 comes back as one window with the next governed decision, on the chain and in Datadog."""
    exe = walker.exe
    with running(StubServer(lambda _: (503, {"error": {"code": "UNAVAILABLE", "message": "down"}}))) as broken:
        server, exe.base_url = exe.base_url, broken.url
        bypassed = walker.ask()
        exe.base_url = server
    governed = walker.ask()
    exe._bypass_reporter.drain(10)

    assert bypassed["source"] == "fail_open_server_error"
    assert "source" not in governed
    assert walker.told("enforcement.bypassed").count("enforcement.bypassed") == 1
    assert not exe._bypass_reporter.has_pending


def test_nested_spans_a_rejected_item_and_a_resolution(walker):
    """Two spans under one trace; of a flush one item is refused; what is learnt later is appended."""
    with (
        record_llm_call(walker.exe, agent_id=walker.id, model="gpt-4o", input_text="hi"),
        record_tool_call(walker.exe, agent_id=walker.id, tool_name="search", input_text="x"),
    ):
        pass
    walker.exe.start_trace(trace_id="x" * 300, agent_id=walker.id).finish()
    flushed = walker.exe.flush()
    logs = walker.logs("success", 2)
    walker.exe.resolve_trace(logs[0]["trace_id"], "success", "read_back", effect_ref="order/7")
    read = walker.platform.server.agent.get(f"/api/v1/traces/{logs[0]['trace_id']}/resolutions").data

    assert (flushed["sent"], len(flushed["rejected"])) == (2, 1)
    assert len({log["trace_id"] for log in logs}) == 1
    assert [each["effectRef"] for each in read] == ["order/7"]


def test_a_credential(platform):
    """With `stamp_identity` the SDK fetches a signed credential, and the trace's log says that it was verified."""
    with platform.sdk(stamp_identity=True) as exe:
        walker = Walker(platform, exe)
        exe.start_trace(agent_id=walker.id).finish()
        exe.flush()

    [log] = walker.logs("success")
    assert log["execlave"]["credential"] == "verified"
