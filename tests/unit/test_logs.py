import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from execlave_server.datadog.logs import TAGS_BYTES_MAX, Cost, frame_head, frame_log, log_middle
from execlave_server.model.agents import Agent, AgentStatus, AutonomyLevel
from execlave_server.model.traces import TraceItem, TraceStatus

SPECIFICATION = Path(__file__).parents[2].parent / "shared" / "spec"
AT_MS = 1_765_449_600_000
DELIVERY_KEY = "0000000000000001ffffffffffffffff"
SECRET = "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5hJ7k"
AGENT = Agent(
    id="7d0f9a7e-0000-4000-8000-000000000001",
    organization=1,
    agent_id="support-bot",
    environment="production",
    name="Support Bot",
    type="chatbot",
    platform="custom",
    status=AgentStatus.ACTIVE,
    status_reason=None,
    autonomy_level=AutonomyLevel.ACT_WITH_APPROVAL,
    idp_bound=True,
    profile="{}",
    created_at_us=1,
    updated_at_us=1,
    last_seen_at_us=None,
)
DOCUMENTED = {  # the attribute reference of the specification, and the envelope of its example
    "ddsource", "service", "ddtags", "hostname", "message", "timestamp",
    "trace_id", "parent_trace_id", "organization_id", "agent_id", "agent_name", "status", "model", "prompt_tokens",
    "completion_tokens", "total_tokens", "cost_usd", "duration_ms", "environment", "span_type", "span_name",
    "error_type", "error_message", "session_id", "user_id", "autonomy_level", "agent_status", "idp_bound",
}  # fmt: skip


def read(**values) -> TraceItem:
    """An item as the SDK sends it."""
    return msgspec.json.decode(json.dumps({"traceId": "t1", "status": "success", **values}), type=TraceItem)


def middle(item: TraceItem, *, agent: Agent | None = AGENT, cost: Cost | None = None) -> bytes:
    """The log's middle as ingest makes it."""
    return log_middle(
        item, organization_id="org_2x...", span_id="sp_1", delivery_key=DELIVERY_KEY, agent=agent, cost=cost
    )


def log_of(item: TraceItem, *, agent: Agent | None = AGENT, cost: Cost | None = None) -> dict:
    """The whole log as Datadog reads it."""
    return json.loads(
        frame_log(frame_head("agents-prod", "env:production"), AT_MS, middle(item, agent=agent, cost=cost))
    )


def specified_example() -> dict:
    """The example log in the specification."""
    pages = sorted(SPECIFICATION.glob("*.txt")) if SPECIFICATION.is_dir() else []
    if not pages:
        pytest.skip(f"the specification is not at {SPECIFICATION}")
    text = pages[0].read_text()
    example, _ = json.JSONDecoder().raw_decode(text, text.index('{ "ddsource"'))
    return example


def test_the_specifications_example():
    """The specification's example comes out key for key and value for value, with `execlave` the only addition."""
    example = specified_example()
    item = read(
        traceId="9f4e2c1a-7b3d-4e8f-a1c2-3d4e5f6a7b8c",
        agentId="support-bot",
        timestamp="2025-12-11T10:40:00.000Z",
        status="policy_blocked",
        modelName="gpt-4o",
        totalTokens=412,
        costUsd=0.0021,
        durationMs=184,
        environment="production",
        input={"to": "somebody"},
        output="never sent",
        metadata={"spanId": "sp_1", "spanKind": "tool", "spanName": "send_email", "toolName": "send_email"},
    )
    head = frame_head("agents-prod", "env:production,team:platform")

    log = json.loads(frame_log(head, item.occurred_at_ms, middle(item, cost=Cost(0.0021, "reported"))))

    added = log.pop("execlave")
    assert log == example
    assert {key: type(value) for key, value in log.items()} == {key: type(value) for key, value in example.items()}
    assert added == {
        "status": "policy_blocked",
        "trace_id": "9f4e2c1a-7b3d-4e8f-a1c2-3d4e5f6a7b8c",
        "span_id": "sp_1",
        "delivery_key": DELIVERY_KEY,
        "cost_source": "reported",
    }


def test_every_key_has_its_place():
    """A trace that says everything fills every documented key and nothing else beside `execlave`."""
    item = read(
        agentId="support-bot",
        sessionId="s1",
        userId="u1",
        durationMs=1.5,
        status="error",
        modelName="gpt-4o",
        promptTokens=3,
        completionTokens=4,
        errorType="ValueError",
        errorMessage="bad value",
        environment="staging",
        tags=["blue", "green"],
        metadata={"parentSpanId": "sp_0", "spanKind": "llm", "spanName": "answer"},
        parentTraceId="t0",
    )

    log = log_of(item, cost=Cost(0.5, "estimated"))

    assert set(log) == DOCUMENTED | {"execlave"}
    assert log["execlave"] == {
        "status": "error",
        "trace_id": "t1",
        "span_id": "sp_1",
        "delivery_key": DELIVERY_KEY,
        "parent_span_id": "sp_0",
        "cost_source": "estimated",
        "tags": ["blue", "green"],
    }
    wanted = {"message": "answer error", "total_tokens": 7, "cost_usd": 0.5, "parent_trace_id": "t0", "user_id": "u1"}
    assert {key: log[key] for key in wanted} == wanted


def test_absent_keys_are_omitted():
    """A trace that says nothing beyond its id and status has no null and no empty value."""
    log = log_of(read(), agent=None)

    assert log == {
        "ddsource": "execlave",
        "service": "agents-prod",
        "ddtags": "env:production",
        "hostname": "execlave",
        "message": "trace success",
        "timestamp": AT_MS,
        "trace_id": "t1",
        "organization_id": "org_2x...",
        "status": "success",
        "execlave": {
            "status": "success",
            "trace_id": "t1",
            "span_id": "sp_1",
            "delivery_key": DELIVERY_KEY,
            "unregistered": True,
        },
    }


def test_zero_and_false_are_said():
    """Zero tokens, time and dollars, and an agent without an identity provider, are values and not absent."""
    item = read(durationMs=0, promptTokens=0, completionTokens=0)

    log = log_of(item, agent=replace(AGENT, idp_bound=False, autonomy_level=None), cost=Cost(0, "reported"))

    said = ("duration_ms", "prompt_tokens", "completion_tokens", "total_tokens", "cost_usd", "idp_bound")
    assert [log[key] for key in said] == [0, 0, 0, 0, 0, False]
    assert "autonomy_level" not in log


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metadata": {"spanName": "send_email"}, "agentId": "bot", "spanType": "tool"}, "send_email success"),
        ({"spanName": "send_email", "agentId": "bot"}, "send_email success"),
        ({"agentId": "bot", "spanType": "tool"}, "bot success"),
        ({"spanType": "tool"}, "tool success"),
        ({}, "trace success"),
    ],
)
def test_the_message_names_the_step(values, message):
    """The message is the span's name and the status; without a name the agent, the type, or just a trace."""
    assert log_of(read(**values))["message"] == message


@pytest.mark.parametrize(
    ("values", "error_type", "error_message"),
    [
        ({"status": "error"}, "UnspecifiedError", "No error message provided"),
        ({"status": "error", "errorType": "E"}, "E", "No error message provided"),
        ({"status": "error", "errorMessage": "m"}, "UnspecifiedError", "m"),
        ({"status": "error", "errorType": "", "errorMessage": ""}, "UnspecifiedError", "No error message provided"),
        ({"status": "error", "errorType": "E", "errorMessage": "m"}, "E", "m"),
        ({"status": "timeout"}, None, None),
        ({"status": "timeout", "errorType": "E"}, "E", None),
        ({"status": "success", "errorMessage": "m"}, None, "m"),
    ],
)
def test_errors_have_a_type_and_a_message(values, error_type, error_message):
    """An error without them gets the platform's placeholders; other statuses show what was reported."""
    log = log_of(read(**values))

    assert (log.get("error_type"), log.get("error_message")) == (error_type, error_message)


@pytest.mark.parametrize("status", TraceStatus)
def test_the_status_stands_twice(status):
    """Datadog consumes `status`; a copy under `execlave` stays searchable."""
    log = log_of(read(status=status))

    assert log["status"] == log["execlave"]["status"] == status
    assert log["message"] == f"trace {status}"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"metadata": {"spanName": f"call {SECRET}"}}, "span_name"),
        ({"spanName": f"call {SECRET}"}, "span_name"),
        ({"status": "error", "errorMessage": f"refused {SECRET}"}, "error_message"),
        ({"status": "error", "errorType": f"Refused {SECRET}"}, "error_type"),
    ],
)
def test_secrets_in_names_and_errors_are_masked(values, key):
    """A key in a span's name or an error is masked before it becomes part of the log, and in the message too."""
    log = log_of(read(**values))

    assert "[masked:openai_key]" in log[key]
    assert SECRET not in json.dumps(log)
    assert "truncated_fields" not in log["execlave"]


def test_a_secret_in_a_tag_is_masked():
    """A key in a tag is masked."""
    assert log_of(read(tags=[SECRET, "blue"]))["execlave"]["tags"] == ["[masked:openai_key]", "blue"]


def test_a_tag_is_masked_before_it_is_cut():
    """Wherever a key stands in a long tag, the cut leaves no part of it."""
    tags = [f"{('so it goes ' * 20)[:before]} {SECRET}" for before in range(120, 200)]

    sent = log_of(read(tags=tags))["execlave"]["tags"]

    assert len(sent) == len(tags)
    assert [tag for tag in sent if SECRET[:9] in tag] == []


def test_ids_leave_as_they_are():
    """An id that looks like personal data is still the key to join by: it is not masked."""
    log = log_of(read(agentId="support@example.com", sessionId="s@example.com", userId="ada@example.com"))

    ids = [log[key] for key in ("agent_id", "session_id", "user_id")]
    assert ids == ["support@example.com", "s@example.com", "ada@example.com"]


@pytest.mark.parametrize(
    ("values", "cut"),
    [
        ({"metadata": {"spanName": "so it goes " * 200}}, ["span_name"]),
        ({"status": "error", "errorMessage": "so it goes " * 200}, ["error_message"]),
        ({"status": "error", "errorType": "so it goes " * 200}, ["error_type"]),
        ({"modelName": "x" * 1_024, "environment": "x" * 2_000}, ["model", "environment"]),
        ({"sessionId": "x" * 1_025, "userId": "x" * 1_025}, ["session_id", "user_id"]),
        ({"parentTraceId": "x" * 1_025, "spanType": "x" * 1_025}, ["parent_trace_id", "span_type"]),
    ],
)
def test_long_texts_are_cut_visibly(values, cut):
    """A text ends at 1,023 characters, with an ellipsis, and the log says which were cut."""
    log = log_of(read(**values))

    assert sorted({*log["execlave"]["truncated_fields"]} - {"message"}) == sorted(cut)
    assert all(len(log[key]) <= 1_023 and log[key].endswith("…") for key in cut)


def test_a_long_addition_is_named_with_its_place():
    """A text under `execlave` that is cut is listed under its whole name."""
    added = log_of(read(metadata={"parentSpanId": "x" * 1_025}))["execlave"]

    assert added["truncated_fields"] == ["execlave.parent_span_id"]
    assert added["parent_span_id"] == "x" * 1_022 + "…"


@pytest.mark.parametrize("values", [{"spanName": "so it goes " * 200}, {"spanType": "x" * 2_000}])
def test_a_message_keeps_its_status(values):
    """However long the name before it, the message ends with the status."""
    log = log_of(read(status="policy_blocked", **values))

    assert log["message"].endswith("… policy_blocked")


def test_texts_that_just_fit_are_whole():
    """At 1,023 characters nothing is cut."""
    log = log_of(read(modelName="x" * 1_023, status="error", errorMessage="so it goes " * 93))

    assert log["model"] == "x" * 1_023
    assert log["error_message"] == "so it goes " * 93
    assert "truncated_fields" not in log["execlave"]


def test_tags_fit_with_their_brackets():
    """Tags that take one byte more than Datadog keeps, written as a list, are shortened."""
    tags = ["ü" * 200] * 63 + ["ü" * 104]

    sent = log_of(read(tags=tags))["execlave"]

    assert len(msgspec.json.encode(tags)) == TAGS_BYTES_MAX + 1
    assert len(msgspec.json.encode(sent["tags"])) <= TAGS_BYTES_MAX
    assert sent["truncated_fields"] == ["execlave.tags"]


def test_tags_are_kept_within_datadogs_limits():
    """At most 100 tags of at most 200 characters leave, and the log says when there were more."""
    many = log_of(read(tags=[f"tag {number}" for number in range(101)]))["execlave"]
    long = log_of(read(tags=["so it goes " * 30]))["execlave"]
    odd = log_of(read(tags=[1, None, {"a": True}, ["b"]]))["execlave"]

    assert many["tags"] == [f"tag {number}" for number in range(100)]
    assert [len(tag) for tag in long["tags"]] == [200]
    assert [many["truncated_fields"], long["truncated_fields"]] == [["execlave.tags"]] * 2
    assert odd["tags"] == ["1", "null", '{"a":true}', '["b"]']
    assert "tags" not in log_of(read(tags=[]))["execlave"]


def test_numbers_as_ids_become_texts():
    """A session or user reported as a number is exported as text, so that the attribute has one type."""
    log = log_of(read(sessionId=12, userId=0))

    assert (log["session_id"], log["user_id"]) == ("12", "0")


def test_the_governance_context_is_the_registrys():
    """Name, level, status and binding come from the agent as it is registered; an unknown one has none of them."""
    paused = replace(AGENT, status=AgentStatus.PAUSED, autonomy_level=AutonomyLevel.OBSERVE, idp_bound=False)
    known, unknown = log_of(read(agentId="support-bot"), agent=paused), log_of(read(agentId="ghost"), agent=None)

    context = [known[key] for key in ("agent_name", "autonomy_level", "agent_status", "idp_bound")]
    assert context == ["Support Bot", "observe", "paused", False]
    assert "unregistered" not in known["execlave"]
    assert unknown["agent_id"] == "ghost"
    assert unknown["execlave"]["unregistered"] is True
    assert not unknown.keys() & {"agent_name", "autonomy_level", "agent_status", "idp_bound"}


def test_the_tail_goes_into_the_addition():
    """What is learnt after the commit is appended under `execlave`, where nothing else is disturbed."""
    framed = frame_log(frame_head("s", "t:u"), AT_MS, middle(read()), b',"trace_url":"https://x/traces/t1","late":true')

    log = json.loads(framed)
    assert (log["execlave"]["trace_url"], log["execlave"]["late"]) == ("https://x/traces/t1", True)
    log["execlave"] = {key: log["execlave"][key] for key in log["execlave"] if key not in {"trace_url", "late"}}
    assert log == {**log_of(read()), "service": "s", "ddtags": "t:u"}


@given(st.text(max_size=30), st.text(max_size=30), st.integers(-(2**53), 2**53))
def test_a_head_may_hold_any_text(service, ddtags, timestamp):
    """Quotes, backslashes and control characters in a service or tag cannot break a log; no tags make no key."""
    log = json.loads(frame_log(frame_head(service, ddtags), timestamp, middle(read())))

    assert (log["service"], log.get("ddtags", ""), log["timestamp"]) == (service, ddtags, timestamp)
    assert ("ddtags" in log) is bool(ddtags)


TEXTS = st.text(max_size=40)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "agentId": TEXTS,
            "sessionId": TEXTS | st.integers(),
            "modelName": TEXTS,
            "environment": TEXTS,
            "errorType": TEXTS,
            "errorMessage": TEXTS,
            "parentTraceId": TEXTS,
            "spanType": TEXTS,
            "tags": st.lists(TEXTS | st.integers(0, 9) | st.none(), max_size=4),
            "metadata": st.dictionaries(
                st.sampled_from(["spanId", "parentSpanId", "spanKind", "spanName", "input"]),
                TEXTS | st.integers() | st.lists(TEXTS, max_size=2),
            ),
            "input": TEXTS,
        },
    ),
    st.booleans(),
)
def test_any_item_becomes_one_documented_log(values, registered):
    """Whatever an item holds, its log is one JSON object with documented keys, without null and on one line."""
    framed = frame_log(frame_head("s", "t:u"), AT_MS, middle(read(**values), agent=AGENT if registered else None))

    log = json.loads(framed)
    assert log.keys() <= DOCUMENTED | {"execlave"}
    assert None not in log.values()
    assert b"\n" not in framed


def test_input_output_and_metadata_never_leave():
    """Nothing of what an agent was told, answered or noted is in its log, at any depth."""
    mark = "canary-7f3a"
    deep = {"a": [{"b": mark}], mark: mark}
    metadata = {"spanName": "ok", "deep": deep, "toolName": mark, "enforcement": {"input": mark}}
    item = read(input=deep, output=[mark], metadata=metadata, agentCredential=mark, effectEvidence={"detail": mark})

    assert mark.encode() not in middle(item)
