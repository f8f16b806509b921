"""What must never leave for Datadog does not: marks stand wherever content goes in, and every byte out is read."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from execlave import PolicyBlockedError
from execlave.instrumentation.spans import SPAN_KIND_TOOL, get_span_tree
from harness import DATADOG_KEY, Installation, running, sdk_client
from stub_server import Received, StubServer

MARK = "canary7f3a"  # letters and digits only: no encoding in between spells it differently
SITE = "datadoghq.eu"
# In texts that do leave, these must be masked first; each as people and libraries write them into exceptions.
SECRETS = {
    "password": "hunter2-canary-horse",
    "bearer": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "openai": "sk-proj-Zb3kQ9vLr27TnXc5Wd8YpHf1",
    "ours": "exe_prod_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v",
    "e-mail": "mia.li@customers.example",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
}
EXCEPTION = (
    f"payment refused for {SECRETS['e-mail']}: card {SECRETS['card']}, iban {SECRETS['iban']}; "
    f"tried password={SECRETS['password']} and Authorization: Bearer {SECRETS['bearer']}, "
    f"aws {SECRETS['aws']}, key {SECRETS['openai']}, {SECRETS['ours']}"
)
BLOCKED = 1  # what a decision stopped has a log of its own
SPANS = 6


def planted(depth: int = 6) -> dict[str, Any]:
    """A document with a mark in every key and value, dicts in lists in dicts."""
    leaf: Any = f"{MARK} leaf"
    for level in range(depth):
        leaf = {f"{MARK}_key_{level}": [leaf, f"{MARK} {level}", {f"{MARK}_{level}": f"{MARK}"}]}
    return leaf


def accept_everything(request: Received) -> tuple[int, Any]:
    """Datadog as far as the server can tell."""
    return (200, {"valid": True}) if request.path == "/api/v1/validate" else (202, {})


@pytest.fixture(scope="module")
def intake() -> Iterator[StubServer]:
    """What Datadog was sent: every byte of it."""
    with running(StubServer(accept_everything)) as stub:
        yield stub


@pytest.fixture(scope="module")
def installation(tmp_path_factory, intake) -> Installation:
    """An installation that takes the stub for Datadog's European site."""
    made = Installation(
        tmp_path_factory.mktemp("canary"),
        datadog_intake_urls=f"{SITE}={intake.url}/api/v2/logs",
        datadog_api_urls=f"{SITE}={intake.url}",
    )
    made.add_destination("--service", "agents", "--ddtags", "env:test", site=SITE)
    return made


@pytest.fixture(scope="module")
def logs(installation, intake) -> Iterator[list[dict[str, Any]]]:
    """The logs that left after an agent worked with planted content on every way in."""
    with running(installation.serve()) as server:
        with sdk_client(server.url, installation.api_key) as exe:
            work(exe)
            agent = exe.register_agent("support-bot", "Support Bot", autonomy_level="advise")
            server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {"reason": f"{MARK} reason"})
            with pytest.raises(PolicyBlockedError):
                exe.enforce_policy("support-bot", f"{MARK} blocked", metadata=planted(), tools=["wire_money"])
        server.agent.ingest(
            {
                "traceId": "raw",
                "status": "success",
                "sessionId": "s-1",
                "parentTraceId": "parent-1",
                "inputData": MARK,
                "outputData": planted(),
                "effectEvidence": {"basis": "none", "detail": MARK},
                "agentCredential": MARK,
                f"{MARK}Unknown": planted(),
            }
        )
        server.agent.post("/api/v1/traces/ingest", json.dumps({"traces": [{"traceId": MARK, "status": MARK}]}).encode())
        server.wait_until_delivered()
        yield shipped(intake)


def work(exe: Any) -> None:
    """An agent's work through the SDK, with marks in everything that is content."""
    exe.register_agent(
        "support-bot", "Support Bot", autonomy_level="advise", description=MARK, metadata=planted(), tags=[MARK]
    )
    exe.enforce_policy(
        "support-bot",
        f"{MARK} question",
        metadata=planted(),
        tools=[f"{MARK}_tool"],
        tool_descriptors=[{"server": MARK, "tool": MARK, "descriptorHash": MARK, "description": MARK}],
        conversation_history=[{"role": "user", "content": f"{MARK} history"}],
        tool_outputs=[{"name": "search", "input": planted(), "output": planted()}],
    )
    exe.enforce_tool_output("support-bot", "search", f"{MARK} output", input=planted(), metadata=planted())
    tree = get_span_tree(exe)
    with tree.start(kind="agent", name="answer", agent_id="support-bot", session_id="s-1", user_id="u-1") as root:
        root.set_input(planted()).set_output(f"{MARK} answer").add_metadata(planted())
        model = tree.start(kind="llm", name="gpt-4o").set_model("gpt-4o").set_tokens(400, 12).set_cost(0.0021)
        model.set_input([planted(), MARK]).set_output(planted()).add_metadata({"deep": [planted()]}).finish()
        tool = tree.start(kind=SPAN_KIND_TOOL, name=f"mail {SECRETS['e-mail']}").set_input(planted())
        with pytest.raises(RuntimeError), tool:
            raise RuntimeError(EXCEPTION)
    trace = exe.trace(agent_id="support-bot", session_id="s-1").set_input(MARK).add_metadata(planted())
    with pytest.raises(ValueError, match="payment"), trace:
        raise ValueError(EXCEPTION * 200)  # far longer than what leaves: nothing is cut in the middle of a secret
    exe.start_trace(agent_id="support-bot", session_id="s-1", tags=[f"mail:{SECRETS['e-mail']}"]).finish("timeout")
    exe.flush()


def shipped(intake: StubServer) -> list[dict[str, Any]]:
    """The traces' logs at the intake."""
    posted = [json.loads(request.body) for request in intake.received if request.path == "/api/v2/logs"]
    return [log for batch in posted for log in batch if "trace_id" in log]


class TestCanary:
    def test_no_planted_mark_leaves(self, logs, intake):
        """Of input, output, metadata at any depth, history, tool outputs and reasons, not one byte left."""
        assert len(logs) == SPANS + BLOCKED
        everything = b"".join(request.raw + request.body for request in intake.received).lower()
        assert MARK.encode() not in everything

    @pytest.mark.parametrize("kind", SECRETS)
    def test_no_secret_or_personal_datum_of_a_text_leaves(self, logs, intake, kind):
        """What stands in an exception's text, a span's name or a tag is masked before it leaves."""
        assert logs
        everything = b"".join(request.raw + request.body for request in intake.received)
        secret = SECRETS[kind].encode()
        assert secret not in everything
        assert secret.replace(b" ", b"") not in everything
        assert secret[:12] not in everything

    def test_no_credential_of_the_installation_leaves(self, logs, intake, installation):
        """The organization's API keys stay; the destination's own key is in its header and nowhere else."""
        assert logs
        for request in intake.received:
            assert installation.api_key.encode() not in request.raw + request.body
            assert installation.admin_key.encode() not in request.raw + request.body
            assert DATADOG_KEY.encode() not in request.body
            assert request.raw.count(DATADOG_KEY.encode()) == 1

    def test_the_documented_attributes_do_leave(self, logs):
        """The same requests carry the documented attributes, and what is left of a text without its secrets."""
        by_name = {log.get("span_name", log["message"]): log for log in logs}
        model = {"span_type": "llm", "model": "gpt-4o", "prompt_tokens": 400, "completion_tokens": 12}
        model |= {"total_tokens": 412, "cost_usd": 0.0021, "agent_id": "support-bot", "agent_name": "Support Bot"}
        model |= {"session_id": "s-1", "user_id": "u-1", "autonomy_level": "advise", "agent_status": "active"}
        assert model.items() <= by_name["gpt-4o"].items()
        tool = by_name["mail [masked:email]"]
        assert tool["error_type"] == "RuntimeError"
        assert tool["error_message"].startswith("payment refused for [masked:email]: card [masked:")
        assert {"trace_id": "raw", "parent_trace_id": "parent-1"}.items() <= by_name["trace success"].items()
        assert by_name["support-bot timeout"]["execlave"]["tags"] == ["mail:[masked:email]"]

    def test_a_long_text_says_that_it_was_cut(self, logs):
        """An error message over 1,024 characters ends in an ellipsis within them, and the log names the field."""
        (long,) = (log for log in logs if log.get("error_type") == "ValueError")
        assert len(long["error_message"]) <= 1_024
        assert long["error_message"].endswith("…")
        assert long["execlave"]["truncated_fields"] == ["error_message"]

    def test_the_marks_were_stored(self, logs, installation):
        """The server did keep what it may not send: the proof that the marks got in."""
        assert logs
        rows = installation.rows("select item from traces where trace_id = 'raw'")
        assert MARK.encode() in rows[0][0]
