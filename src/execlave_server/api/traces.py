"""Traces over HTTP: the list by filters, and one trace's timeline with everything that is known of it."""

from datetime import datetime
from typing import Any

from msgspec import Raw
from starlette.datastructures import QueryParams
from starlette.responses import Response

from execlave_server.actions.check_trace_evidence import TraceEvidence, check_trace_evidence
from execlave_server.actions.read_incidents import incidents_of_trace
from execlave_server.actions.read_timeline import TimelineSpan, read_timeline, span_facts
from execlave_server.actions.read_trace_decisions import TraceDecision, read_trace_decisions
from execlave_server.actions.read_trace_deliveries import read_trace_deliveries
from execlave_server.actions.read_traces import (
    NEWEST,
    TRACES_PER_PAGE_MAX,
    ListedTrace,
    TraceFilter,
    read_traces,
)
from execlave_server.actions.resolve_trace import list_resolutions
from execlave_server.actions.show_content import SpanContent, show_content
from execlave_server.api.codec import answer, data, whole_number
from execlave_server.api.deliveries import trace_view
from execlave_server.api.exchange import Exchange
from execlave_server.api.resolutions import resolution_view
from execlave_server.api.times import iso, microseconds
from execlave_server.errors import ValidationFailedError
from execlave_server.model.traces import ID_CHARS_MAX, TraceStatus


async def get_traces(exchange: Exchange) -> Response:
    """A page of traces, newest first; `meta.next` is the cursor of the next one."""
    query = exchange.request.query_params
    before = query.get("before")
    page = await read_traces(
        exchange.services,
        exchange.caller,
        read_filter(query),
        before=None if before is None else whole_number(before, "before", NEWEST),
        limit=max(1, whole_number(query.get("limit", "50"), "limit", TRACES_PER_PAGE_MAX)),
    )
    meta = {"next": page.next, "searchedBackTo": iso(page.searched_to_us)}
    return answer({"data": [listed_view(trace) for trace in page.traces], "meta": meta})


def read_filter(query: QueryParams) -> TraceFilter:
    """The filter that a query string asks for. Raises ValidationFailedError naming the parameter."""
    return TraceFilter(
        statuses=tuple(_status(text) for text in query.getlist("status") if text),
        agent=_text(query, "agent", ID_CHARS_MAX),
        environment=_text(query, "environment", ID_CHARS_MAX),
        span_type=_text(query, "type", ID_CHARS_MAX),
        from_us=_time(query, "from"),
        to_us=_time(query, "to"),
        query=query.get("query", "").strip(),
    )


async def get_trace(exchange: Exchange) -> Response:
    """The timeline of a trace; with `content=true` also what its spans were given and answered, which is on record."""
    services, caller, trace_id = exchange.services, exchange.caller, exchange.path("trace")
    timeline = await read_timeline(services, caller, trace_id)
    wants_content = exchange.request.query_params.get("content") == "true"
    content = await show_content(services, caller, trace_id, timeline.spans) if wants_content else []
    by_row = {each.row: each for each in content}
    decisions = await read_trace_decisions(services, caller, timeline)
    evidence = await check_trace_evidence(services, caller, timeline.own, [each.stored for each in decisions])
    deliveries = await read_trace_deliveries(services, caller.organization_id, caller.organization, trace_id)
    resolutions = await list_resolutions(services, caller, trace_id)
    incidents = await incidents_of_trace(services, caller, trace_id)
    return data({
        "traceId": trace_id,
        "status": timeline.status,
        "parentTraceId": timeline.parent,
        "childTraceIds": timeline.children,
        "more": timeline.more,
        "spans": [_span_view(span, by_row.get(span.id)) for span in timeline.spans],
        "decisions": [decision_view(decision) for decision in decisions],
        "evidence": evidence_view(evidence),
        "deliveries": trace_view(trace_id, deliveries)["spans"],
        "resolutions": [resolution_view(resolution) for resolution in resolutions],
        "incidents": [{"id": each.id, "state": each.state, "severity": each.severity} for each in incidents],
    })  # fmt: skip


def listed_view(trace: ListedTrace) -> dict[str, Any]:
    """One trace of a list."""
    log = trace.log
    return {
        "id": trace.id,
        "traceId": trace.trace_id,
        "spanId": trace.span_id,
        "status": trace.status,
        "agentId": trace.agent or None,
        "agentName": log.agent_name,
        "environment": trace.environment or None,
        "spanType": trace.span_type or None,
        "spanName": log.span_name,
        "timestamp": iso(trace.occurred_at_ms * 1_000),
        "receivedAt": iso(trace.received_at_us),
        "durationMs": log.duration_ms,
        "costUsd": log.cost_usd,
        "totalTokens": log.total_tokens,
        "errorType": log.error_type,
        "decisionId": log.execlave.decision_id,
        "policyIds": log.execlave.policy_ids,
    }


def _span_view(span: TimelineSpan, content: SpanContent | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "relation": span.relation,
        "depth": span.depth,
        "status": span.status,
        "timestamp": iso(span.started_at_ms * 1_000),
        "receivedAt": iso(span.row.received_at_us),
        "durationMs": span.log.duration_ms,
        "facts": span_facts(span),
    }
    if content is not None:
        shown["content"] = {
            "input": Raw(content.input or b"null"),
            "output": Raw(content.output or b"null"),
            "metadata": Raw(content.metadata or b"null"),
        }
    return shown


def decision_view(decision: TraceDecision) -> dict[str, Any]:
    """A decision as the API shows it."""
    stored, approval, decider = decision.stored, decision.approval, decision.decider
    approved = approval and {
        "id": approval.id,
        "status": approval.status,
        "riskLevel": approval.risk_level,
        "requestedBy": approval.requester,
        "requestedAt": iso(approval.requested_at_us),
        "decidedAt": iso(approval.decided_at_us),
        "decidedBy": {"id": decider.id, "email": decider.email, "name": decider.name} if decider else None,
        "decisionReason": approval.decision_reason,
    }
    return {
        "decisionId": stored.id,
        "outcome": stored.outcome,
        "agentId": stored.agent_reference,
        "environment": stored.environment,
        "decidedAt": iso(stored.decided_at_us),
        "latencyMs": stored.latency_us / 1_000,
        "actionDigest": stored.action_digest or None,
        "violations": decision.violations,
        "policies": decision.policies,
        "approval": approved,
    }


def evidence_view(evidence: TraceEvidence) -> dict[str, Any]:
    """What was verified just now."""
    return {
        "verified": evidence.holds,
        "checkedAt": iso(evidence.checked_at_us),
        "batchesNotLookedAt": evidence.left_out,
        "batches": [
            {
                "batch": proof.batch,
                "entry": proof.entry,
                "entryHash": proof.entry_hash,
                "recordedAt": iso(proof.recorded_at_us),
                "root": proof.root,
                "leaves": proof.leaves,
                "verified": proof.holds,
                "why": proof.why,
                "records": [
                    {"name": each.name, "index": each.index, "path": each.path, "verified": each.holds}
                    for each in proof.records
                ],
            }
            for proof in evidence.proofs
        ],
    }


def _status(text: str) -> TraceStatus:
    try:
        return TraceStatus(text)
    except ValueError as error:
        known = ", ".join(TraceStatus)
        raise ValidationFailedError(f"status is {text!r}; use some of {known}.", fields={"status": known}) from error


def _text(query: QueryParams, name: str, most: int) -> str:
    text = query.get(name, "").strip()
    if len(text) > most:
        reason = f"has more than {most} characters"
        raise ValidationFailedError(f"{name} {reason}.", fields={name: reason})
    return text


def _time(query: QueryParams, name: str) -> int | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        return microseconds(datetime.fromisoformat(text))
    except ValueError as error:
        reason = "must be a time as 2026-01-31T09:30:00Z"
        raise ValidationFailedError(f"{name} is {text[:40]!r}; it {reason}.", fields={name: reason}) from error
