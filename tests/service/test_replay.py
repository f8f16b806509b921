"""Real work at its real size: every recorded run through the published SDK, and what Datadog then holds."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Platform, start_platform
from tau_bench import count_spans, identity, load_runs, replay_run

CLIENTS = 4
LEVELS = ["observe", "advise", "act_with_approval", "autonomous"]
FIELDS = {  # of a log, and of the item it was made from
    "trace_id": "traceId",
    "agent_id": "agentId",
    "session_id": "sessionId",
    "user_id": "userId",
    "status": "status",
    "model": "modelName",
    "prompt_tokens": "promptTokens",
    "completion_tokens": "completionTokens",
    "total_tokens": "totalTokens",
    "duration_ms": "durationMs",
    "environment": "environment",
    "error_type": "errorType",
}
ALWAYS = {
    *("ddsource", "service", "ddtags", "hostname", "message", "timestamp", "organization_id"),
    *("span_type", "span_name", "agent_name", "autonomy_level", "agent_status", "idp_bound", "execlave"),
}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory) -> Iterator[tuple[Platform, list[dict[str, Any]]]]:
    """A platform that was sent every run, and the items sent."""
    runs = load_runs()
    with start_platform(tmp_path_factory.mktemp("replay")) as platform:

        def work(number: int) -> list[dict[str, Any]]:
            with platform.sdk() as exe:
                agent = f"airline-{number}"
                exe.register_agent(agent, f"Airline {number}", autonomy_level=LEVELS[number])
                return [item for run in runs[number::CLIENTS] for item in replay_run(exe, agent, run)]

        with ThreadPoolExecutor(CLIENTS) as clients:
            sent = [item for items in clients.map(work, range(CLIENTS)) for item in items]
        assert len(sent) == sum(count_spans(run) for run in runs)
        platform.server.wait_until_delivered()
        yield platform, sent


class TestReplay:
    def test_there_are_as_many_logs_as_spans(self, replayed):
        """Every span sent is one log in the sandbox, none is missing, and none is there twice."""
        platform, sent = replayed

        logs = platform.sandbox.logs()
        assert len(logs) == len(sent) == 3_818
        assert len({log["execlave"]["delivery_key"] for log in logs}) == len(logs)
        arrived = Counter((log["execlave"]["trace_id"], log["execlave"]["span_id"]) for log in logs)
        assert arrived == Counter(identity(item) for item in sent)

    def test_each_log_has_the_documented_keys_and_says_what_was_sent(self, replayed):
        """A log has the keys of what its span carried, no other, with the values sent; a flag keeps its status."""
        platform, sent = replayed

        logs = {(log["execlave"]["trace_id"], log["execlave"]["span_id"]): log for log in platform.sandbox.logs()}
        for item in sent:
            log, span = logs[identity(item)], item["metadata"]
            expected = {key: item[name] for key, name in FIELDS.items() if name in item}
            more = {"cost_usd"} if "promptTokens" in item else set()
            more |= {"error_message"} if item["status"] == "error" else set()
            assert log.keys() == ALWAYS | expected.keys() | more
            reported = {**log, "status": log["execlave"].get("reported_status", log["status"])}
            assert {key: reported.get(key) for key in expected} == expected
            assert log["status"] in (item["status"], "flagged_for_review")
            assert (log["span_type"], log["span_name"]) == (span["spanKind"], span["spanName"])
            assert log["message"] == f"{span['spanName']} {log['status']}"
            assert log["execlave"].get("parent_span_id") == span["parentSpanId"]

    def test_errors_and_governance_context_are_in_the_right_logs(self, replayed):
        """The 73 tool calls that failed, and only they, are errors; each agent's logs carry its own autonomy level."""
        platform, _sent = replayed

        logs = platform.sandbox.logs()
        failed = [log for log in logs if log["status"] == "error"]
        assert len(failed) == 73
        assert all(log["span_type"] == "tool" and log["error_message"].startswith("Error") for log in failed)
        levels = {(log["agent_id"], log["agent_name"], log["autonomy_level"]) for log in logs}
        assert levels == {(f"airline-{n}", f"Airline {n}", LEVELS[n]) for n in range(CLIENTS)}

    def test_requests_to_the_intake_keep_its_limits(self, replayed):
        """The intake refused nothing, dropped nothing, cut nothing, and was asked in gzip."""
        platform, sent = replayed

        stats = platform.sandbox.stats()
        assert stats["by_status"] == {"202": stats["requests"]}
        assert (stats["dropped_too_old"], stats["truncated"]) == (0, 0)
        assert stats["by_encoding"]["gzip"] >= len(sent) / 1_000

    def test_customers_do_not_reach_datadog(self, replayed):
        """What customers and tools said is in the recordings' inputs and outputs, and in no log."""
        platform, sent = replayed

        told = {text for item in sent if item["status"] != "error" for text in _said(item) if len(text) > 40}
        shipped = "\n".join(json.dumps(log) for log in platform.sandbox.logs() if log["status"] != "error")
        assert len(told) > 1_000
        assert not [text for text in told if json.dumps(text).strip('"') in shipped]


def _said(item: dict[str, Any]) -> list[str]:
    """What was said in a span: a tool's output, an assistant's words and the arguments of its calls."""
    output = item.get("output", "")
    if isinstance(output, str):
        return [output]
    calls = output.get("tool_calls") or []
    return [output["content"] or "", *(call["function"]["arguments"] for call in calls)]
