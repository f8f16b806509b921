"""One trace with everything about it, on every engine."""

import pytest

from approvals import ask_approval
from execlave_server.actions import read_timeline as timelines
from execlave_server.actions.check_trace_evidence import check_trace_evidence
from execlave_server.actions.decide_approval import grant_approval
from execlave_server.actions.edit_policy import create_policy
from execlave_server.actions.erase_content import erase_user
from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.read_timeline import Relation, read_timeline
from execlave_server.actions.read_trace_decisions import read_trace_decisions
from execlave_server.actions.show_content import show_content
from execlave_server.errors import ForbiddenError, NotFoundError
from execlave_server.model.people import PersonRole
from execlave_server.model.traces import TraceStatus
from history import History, begin_history, span
from office import services_on
from policies import body_of


@pytest.fixture
async def history(store, clock, tmp_path) -> History:
    """An organization with a registered agent."""
    history = await begin_history(services_on(store, clock, tmp_path), clock)
    await history.register()
    return history


async def read(history: History, trace_id: str):
    """A timeline."""
    return await read_timeline(history.office.services, history.ada, trace_id)


def drawn(timeline) -> list[str]:
    """The spans as an indented list."""
    return [f"{'  ' * span.depth}{span.span_id}" for span in timeline.spans]


async def test_spans_are_nested_and_in_order(history):
    """Children come below their parent however they were received; of the same second, in the order of receiving."""
    await history.ingest(span("t", "search", "plan", timestamp="2025-12-11T10:40:00.000Z"))
    await history.ingest(span("t", "write", "plan", timestamp="2025-12-11T10:40:00.000Z"))
    await history.ingest(
        span("t", "send", "run", timestamp="2025-12-11T10:40:02.000Z", status="policy_blocked"),
        span("t", "plan", "run", timestamp="2025-12-11T10:40:00.000Z"),
        span("t", "run", timestamp="2025-12-11T10:40:00.000Z", durationMs=2_500),
    )
    timeline = await read(history, "t")

    assert drawn(timeline) == ["run", "  plan", "    search", "    write", "  send"]
    assert (timeline.status, timeline.root.span_id, timeline.more) == (TraceStatus.POLICY_BLOCKED, "run", False)
    assert [each.duration_ms for each in timeline.spans if each.span_id == "run"] == [2_500]


async def test_linked_traces_stand_around_it(history):
    """The trace that it names as its parent comes first, those that name it come after, one level deeper."""
    await history.ingest(span("outer", "orchestrate"))
    await history.ingest(span("middle", "work", parentTraceId="outer"))
    await history.ingest(span("inner", "help", parentTraceId="middle"), span("inner 2", "other", parentTraceId="else"))
    timeline = await read(history, "middle")

    assert drawn(timeline) == ["orchestrate", "  work", "    help"]
    assert [each.relation for each in timeline.spans] == [Relation.PARENT, Relation.OWN, Relation.CHILD]
    assert (timeline.parent, timeline.children) == ("outer", ["inner"])


async def test_a_timeline_is_bounded(history, monkeypatch):
    """Past the most that is read, the rest is left out and said to be there."""
    monkeypatch.setattr(timelines, "SPANS_MAX", 3)
    await history.ingest(*(span("t", f"s{number}") for number in range(5)))
    timeline = await read(history, "t")

    assert (len(timeline.spans), timeline.more) == (3, True)


async def test_foreign_and_unknown_answer_alike(history, clock):
    """Another organization's trace is as unknown as one that never was."""
    other = await begin_history(history.office.services, clock, "Other")
    await other.ingest(span("theirs", "s"))
    said = []
    for trace_id in ("theirs", "nobody", "x" * 300):
        with pytest.raises(NotFoundError) as refused:
            await read(history, trace_id)
        said.append(refused.value.message.replace(trace_id[:256], "ID"))

    assert len(set(said)) == 1


async def test_a_decision_says_which_policy_decided(history):
    """What a block says of itself: policy, version, rule, mode and severity."""
    policy = await create_policy(
        history.office.services,
        history.office.organization.number,
        "person:x",
        body_of("cost_limit", {"max_cost_per_execution": 0.001}),
    )
    decision = await history.enforce_cost(1.0)
    timeline = await read(history, decision.trace_id)
    [found] = await read_trace_decisions(history.office.services, history.ada, timeline)

    assert (found.stored.id, found.stored.outcome) == (decision.id, "blocked")
    assert [(each.policy, each.version, each.mode) for each in found.policies] == [(policy.policy.id, 1, "block")]
    assert (found.violations[0].policy_name, found.violations[0].severity) == ("A cost_limit", "high")
    assert found.violations[0].rule_id
    assert found.stored.action_digest == "ab" * 32


async def test_an_approval_says_who_decided(history):
    """A decision that asked for an approval shows who gave it and why."""
    approval_id = await ask_approval(history.office.services, history.office.key)
    await history.ingest(span("tr_1", "s"))
    await grant_approval(history.office.services, history.ada, approval_id, "Ticket 4711")
    [found] = await read_trace_decisions(history.office.services, history.ada, await read(history, "tr_1"))

    assert (found.approval.decision_reason, found.decider.email) == ("Ticket 4711", "ada@example.com")


async def test_evidence_holds_until_something_is_changed(history, run):
    """Spans and decisions verify as they stand; a changed row, batch or entry does not, and says which."""
    decision = await history.enforce("hello", trace_id="t")
    await history.ingest(span("t", "s1"), span("t", "s2"))
    await history.ingest(span("t", "s3"))

    async def check():
        timeline = await read(history, "t")
        decisions = await read_trace_decisions(history.office.services, history.ada, timeline)
        stored = [each.stored for each in decisions]
        return await check_trace_evidence(history.office.services, history.ada, timeline.own, stored)

    whole = await check()
    names = [record.name for proof in whole.proofs for record in proof.records]
    await run("update traces set environment = agent where span_id = 's2'", triggers=False)
    changed = await check()

    assert whole.holds
    assert names == [f"decision {decision.id}", "span s1", "span s2", "span s3"]
    assert not changed.holds
    assert [proof.why for proof in changed.proofs if not proof.holds] == [
        "Not as it was recorded: span s2. Run `audit verify`."
    ]


async def test_a_changed_entry_is_noticed(history, run):
    """An entry that was rewritten does not verify."""
    await history.ingest(span("t", "s1"))
    await run("update audit_entries set actor = 'person:somebody' where kind = 'batch.root'", triggers=False)
    timeline = await read(history, "t")
    evidence = await check_trace_evidence(history.office.services, history.ada, timeline.own, [])

    assert not evidence.holds
    assert "was changed" in evidence.proofs[0].why


async def test_a_look_at_content_is_on_record(history):
    """Who sees content is in the audit chain: one entry a look, whatever the number of spans; an evidence file too."""
    await history.ingest(span("t", "s1", input="the question", output={"a": 1}), span("t", "s2", inputData=[1]))
    content = await show_content(history.office.services, history.ada, "t", (await read(history, "t")).spans)
    entries = [entry for entry in await history.office.entries() if entry.kind == "trace.content_read"]

    assert [(each.span_id, each.input, each.output) for each in content] == [
        ("s1", b'"the question"', b'{"a": 1}'),
        ("s2", b"[1]", None),
    ]
    assert [(entry.actor, entry.subject, entry.details) for entry in entries] == [
        (history.ada.actor, "trace:t", '{"trace":"t"}')
    ]


async def test_a_viewer_sees_no_content(history):
    """A viewer reads the timeline, but not what agents were given and answered."""
    viewer = await history.office.person("viewer@example.com", PersonRole.VIEWER)
    await history.ingest(span("t", "s1", input="the question"))
    timeline = await read_timeline(history.office.services, viewer, "t")

    with pytest.raises(ForbiddenError, match=r"traces\.content"):
        await show_content(history.office.services, viewer, "t", timeline.spans)
    assert await history.office.told("trace.content_read") == []


async def test_an_erased_trace_is_still_shown(history):
    """What an erasure left is shown as that, and its evidence still verifies."""
    await history.ingest(span("t", "s1", userId="ada", input="the question"))
    await erase_user(history.office.services, history.office.organization, "ada", lambda _done, _of: None)
    timeline = await read(history, "t")
    evidence = await check_trace_evidence(history.office.services, history.ada, timeline.own, [])
    content = await show_content(history.office.services, history.ada, "t", timeline.spans)

    assert [each.is_erased for each in timeline.spans] == [True]
    assert evidence.holds
    assert [(each.input, each.output) for each in content] == [(None, None)]
    assert b"the question" not in await export_evidence(history.office.services, history.office.organization, "t")
