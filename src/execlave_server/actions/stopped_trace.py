"""The record of an action that was stopped, by a policy or by a person: the SDK's adapters send none."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from execlave_server.actions.ingest_traces import SentItem, new_trace
from execlave_server.actions.services import Services
from execlave_server.datadog.logs import Governed
from execlave_server.model.agents import Agent
from execlave_server.model.traces import NewTrace, TraceItem, TraceStatus


class StoppedAction(Struct, frozen=True, kw_only=True):
    """What was stopped, as its trace tells it. `decision` is the id of the decision, and of the span."""

    organization_id: str
    decision: str
    trace_id: str
    agent: Agent | None
    agent_reference: str
    environment: str | None
    tool: str | None
    status: TraceStatus
    error_type: str
    message: str
    governed: Governed
    parent_span_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None


def stopped_trace(services: Services, stopped: StoppedAction, now_us: int) -> NewTrace:
    """The trace of an action that did not run."""
    span = {
        "spanId": stopped.decision,
        "parentSpanId": stopped.parent_span_id,
        "spanName": stopped.tool,
        "spanKind": "tool" if stopped.tool else None,
        "decisionId": stopped.decision,
    }
    agent = stopped.agent
    said = {
        "traceId": stopped.trace_id,
        "agentId": (agent.agent_id if agent else stopped.agent_reference) or None,
        "environment": stopped.environment or (agent.environment if agent else None),
        "sessionId": stopped.session_id,
        "userId": stopped.user_id,
        "status": stopped.status,
        "spanType": "tool" if stopped.tool else None,
        "timestamp": now_us // 1_000,
        "errorType": stopped.error_type,
        "errorMessage": stopped.message,
        "metadata": _present(span),
    }
    raw = msgspec.json.encode(_present(said))
    item = msgspec.json.decode(raw, type=TraceItem)
    [salt] = services.clock.salts(1)
    sent = SentItem(raw, item, stopped.decision, now_us // 1_000)
    return new_trace(
        services.costs, stopped.organization_id, sent, agent, now_us=now_us, salt=salt, governed=stopped.governed
    )


def _present(said: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in said.items() if value is not None}
