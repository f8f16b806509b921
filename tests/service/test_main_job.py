"""The main job: an agent on the published SDK registers, asks and traces; Datadog gets one log a trace."""

import hashlib
import json
import uuid
from urllib.parse import quote

import pytest
from execlave.instrumentation.spans import SPAN_KIND_AGENT, SPAN_KIND_LLM, SPAN_KIND_TOOL, get_span_tree
from harness import PUBLIC_URL, Platform

# The spec's "Log format & attribute reference", and the one key under which everything else stands.
DOCUMENTED_KEYS = {
    *("ddsource", "service", "ddtags", "hostname", "message", "timestamp", "trace_id", "parent_trace_id"),
    *("organization_id", "agent_id", "agent_name", "status", "model", "prompt_tokens", "completion_tokens"),
    *("total_tokens", "cost_usd", "duration_ms", "environment", "span_type", "span_name", "error_type"),
    *("error_message", "session_id", "user_id", "autonomy_level", "agent_status", "idp_bound"),
}
OURS = "execlave"


def logs_of(platform: Platform, session: str, count: int):
    """The logs of one session, once there are so many."""
    return platform.sandbox.wait_for_logs(lambda log: log.get("session_id") == session, count)


@pytest.fixture
def session() -> str:
    """A session of this test's own, by which its logs are found."""
    return f"session-{uuid.uuid4().hex}"


@pytest.fixture
def agent_id() -> str:
    """An agent of this test's own."""
    return f"agent-{uuid.uuid4().hex[:12]}"


class TestMainJob:
    def test_nested_spans_become_one_log_each_with_the_documented_keys(self, platform, session, agent_id):
        """An agent registers, may act, and traces a run: each of its spans is one log with the spec's keys."""
        with platform.sdk() as exe:
            exe.register_agent(agent_id, "Support Bot", autonomy_level="autonomous")
            allowed = exe.enforce_policy(agent_id, "send the mail", tools=["send_email"])
            tree = get_span_tree(exe)
            root = tree.start(kind=SPAN_KIND_AGENT, name="answer", agent_id=agent_id, session_id=session, user_id="u1")
            model = tree.start(kind=SPAN_KIND_LLM, name="gpt-4o").set_model("gpt-4o").set_tokens(400, 12)
            model.set_cost(0.0021).finish()
            tree.start(kind=SPAN_KIND_TOOL, name="send_email").finish("error", "mailbox full", "SmtpError")
            root.finish()
            flushed = exe.flush()

        logs = logs_of(platform, session, 3)
        assert allowed["allowed"] is True
        assert flushed == {"sent": 3, "rejected": [], "undelivered": 0}
        assert [log["span_type"] for log in logs] == ["llm", "tool", "agent"]
        by_type = {log["span_type"]: log for log in logs}
        common = {
            "ddsource": "execlave",
            "service": "agents-test",
            "ddtags": "env:test,team:platform",
            "hostname": "execlave",
            "trace_id": root._trace.trace_id,
            "organization_id": platform.installation.organization_id,
            "agent_id": agent_id,
            "environment": "production",
            "session_id": session,
            "user_id": "u1",
            "agent_name": "Support Bot",
            "autonomy_level": "autonomous",
            "agent_status": "active",
            "idp_bound": False,
        }
        for log in logs:
            assert common.items() <= log.items()
            assert log.keys() <= DOCUMENTED_KEYS | {OURS}
            assert log["timestamp"] == int(root._trace._start_time) * 1_000
            assert isinstance(log["duration_ms"], int)
        assert {"message": "gpt-4o success", "status": "success", "span_name": "gpt-4o", "model": "gpt-4o"}.items() <= (
            by_type["llm"].items()
        )
        usage = {"prompt_tokens": 400, "completion_tokens": 12, "total_tokens": 412, "cost_usd": 0.0021}
        assert usage.items() <= by_type["llm"].items()
        assert by_type["llm"][OURS]["cost_source"] == "reported"
        failed = {"message": "send_email error", "error_type": "SmtpError", "error_message": "mailbox full"}
        assert failed.items() <= by_type["tool"].items()
        assert "error_type" not in by_type["agent"]
        assert [by_type[kind][OURS].get("parent_span_id") for kind in ("llm", "tool")] == [root.span_id] * 2

    def test_each_log_says_where_its_evidence_is(self, platform, session, agent_id):
        """Where a public URL is set, each log links to its trace, with organization and span."""
        with platform.sdk() as exe:
            trace = exe.start_trace(trace_id="order/7 ü", agent_id=agent_id, session_id=session)
            trace.add_metadata({"spanId": f"sp {session}"}).finish()

        (log,) = logs_of(platform, session, 1)
        query = f"org={platform.installation.organization_id}&span=sp+{session}"
        assert log[OURS]["trace_url"] == f"{PUBLIC_URL}/traces/{quote('order/7 ü', safe='')}?{query}"

    def test_an_item_that_is_no_span_is_known_by_its_content(self, platform, session, agent_id):
        """A trace without a span id gets the digest of its canonical bytes as one, and neither span name nor type."""
        with platform.sdk() as exe, exe.trace(agent_id=agent_id, session_id=session) as trace:
            trace.set_input({"b": 1, "a": "é"})

        (log,) = logs_of(platform, session, 1)
        canonical = json.dumps(trace._to_payload(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert log[OURS]["span_id"] == hashlib.sha256(canonical.encode()).hexdigest()
        assert log["message"] == f"{agent_id} success"
        assert not {"span_name", "span_type", "model", "error_type"} & log.keys()

    def test_every_status_arrives_as_sent(self, platform, session, agent_id):
        """Each of the spec's statuses, and the SDK's newer one, is the log's status, and again under `execlave`."""
        statuses = ["success", "error", "timeout", "policy_blocked", "limit_exceeded", "flagged_for_review"]
        statuses.append("effect_unconfirmed")
        with platform.sdk() as exe:
            for status in statuses:
                exe.start_trace(agent_id=agent_id, session_id=session).finish(status)

        logs = logs_of(platform, session, len(statuses))
        assert [log["status"] for log in logs] == [log[OURS]["status"] for log in logs] == statuses

    def test_an_exception_becomes_an_error_trace(self, platform, session, agent_id):
        """What an agent's code raises inside a trace is the log's error type and message."""
        with platform.sdk() as exe:
            with pytest.raises(LookupError), exe.trace(agent_id=agent_id, session_id=session):
                raise LookupError("no such booking")
            exe.start_trace(agent_id=agent_id, session_id=session).finish("error")

        told, untold = logs_of(platform, session, 2)
        assert (told["error_type"], told["error_message"]) == ("LookupError", "no such booking")
        assert (untold["error_type"], untold["error_message"]) == ("UnspecifiedError", "No error message provided")

    def test_an_unregistered_agent_is_a_finding(self, platform, session, agent_id):
        """Traces of an agent nobody registered arrive, marked, and without a registry's facts."""
        with platform.sdk() as exe:
            exe.start_trace(agent_id=agent_id, session_id=session).finish()
            exe.flush()
            exe.register_agent(agent_id, "Known now")
            exe.start_trace(agent_id=agent_id, session_id=session).finish()

        before, after = logs_of(platform, session, 2)
        assert before[OURS]["unregistered"] is True
        assert not {"agent_name", "autonomy_level", "agent_status", "idp_bound"} & before.keys()
        assert "unregistered" not in after[OURS]
        assert after["agent_name"] == "Known now"

    def test_the_governance_context_is_that_of_the_commit(self, platform, session, agent_id):
        """A trace says what status its agent had when it was committed, whatever became of the agent."""
        with platform.sdk() as exe:
            agent = exe.register_agent(agent_id, "Soon paused")
            exe.start_trace(agent_id=agent_id, session_id=session).finish()
            exe.flush()
            platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {"reason": "under review"})
            exe.start_trace(agent_id=agent_id, session_id=session).finish()

        logs = logs_of(platform, session, 2)
        assert [log["agent_status"] for log in logs] == ["active", "paused"]

    def test_tokens_are_summed_and_priced_where_the_client_did_not(self, platform, session, agent_id):
        """A known model's tokens give a cost marked as estimated; an unknown model's give none."""
        platform.server.agent.ingest(
            *(
                {"traceId": model, "agentId": agent_id, "sessionId": session, "status": "success", "modelName": model}
                | {"promptTokens": 1_000_000, "completionTokens": 2_000}
                for model in ("gpt-4o", "openai/gpt-4o", "nobody-knows-this")
            )
        )

        known, prefixed, unknown = logs_of(platform, session, 3)
        assert known["cost_usd"] == prefixed["cost_usd"] == pytest.approx(2.52)  # $2.50 and $10 a million
        assert known[OURS]["cost_source"] == "estimated"
        assert "cost_usd" not in unknown
        assert [log["total_tokens"] for log in (known, prefixed, unknown)] == [1_002_000] * 3

    def test_tags_of_a_trace_stay_under_our_key(self, platform, session, agent_id):
        """The SDK's tags go under `execlave`; `ddtags` are the destination's and nothing is added to them."""
        with platform.sdk() as exe:
            exe.start_trace(agent_id=agent_id, session_id=session, tags=["vip", "eu"]).finish()

        (log,) = logs_of(platform, session, 1)
        assert log[OURS]["tags"] == ["vip", "eu"]
        assert log["ddtags"] == "env:test,team:platform"

    def test_a_resent_batch_is_delivered_once(self, platform, session, agent_id):
        """What the SDK sends again after a lost answer is stored and delivered once."""
        item = {"traceId": f"tr-{session}", "agentId": agent_id, "sessionId": session, "status": "success"}
        for _ in range(3):
            assert platform.server.agent.ingest(item).status == 202
        last = {**item, "traceId": f"last-{session}"}
        platform.server.agent.ingest(last)

        logs = logs_of(platform, session, 2)
        assert sorted(log["trace_id"] for log in logs) == [last["traceId"], item["traceId"]]

    def test_what_was_delivered_is_written_down(self, platform, session, agent_id):
        """After delivery nothing waits in the outbox, and its sum is the number of traces committed."""
        platform.server.agent.ingest(
            {"traceId": f"tr-{session}", "agentId": agent_id, "sessionId": session, "status": "success"}
        )
        logs_of(platform, session, 1)

        committed = platform.server.wait_until_delivered()
        ((delivered,),) = platform.installation.rows("select sum(log_count) from outbox where delivered_at_us > 0")
        keys = [log[OURS]["delivery_key"] for log in platform.sandbox.logs()]
        too_old = platform.sandbox.stats()["dropped_too_old"]  # the intake takes such a log and drops it
        assert committed == delivered == len(keys) + too_old
        assert len(set(keys)) == len(keys)
