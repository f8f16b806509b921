"""What a decision commits beside itself when a person is to decide."""

from typing import NamedTuple

import msgspec
from msgspec import Struct

from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.chain import Event
from execlave_server.audit.event_logs import EventContext, approval_context
from execlave_server.audit.events import Approval as ApprovalDetails
from execlave_server.audit.events import Kind
from execlave_server.clock import Clock
from execlave_server.model.agents import Agent
from execlave_server.model.approvals import APPROVAL_LIFE_US, level_of
from execlave_server.model.organizations import ApiKey
from execlave_server.model.traces import pack_item
from execlave_server.model.verdicts import PolicyViolation
from execlave_server.policy.risk import score_risk
from execlave_server.store.protocol import Call, NewEvent, Parameters


class ApprovalRequest(Struct, frozen=True):
    """What a person is asked.

    `action_context` is canonical JSON, `action_digest` its SHA-256; see `model.action_context`. `violations` are those
    that asked for the approval, `requester` is on whose behalf the agent acts.
    """

    key: ApiKey
    agent: Agent | None
    agent_reference: str
    environment: str | None
    decision: str
    action_digest: str
    action_context: bytes
    tools: tuple[str, ...]
    violations: tuple[PolicyViolation, ...]
    trace_id: str | None = None
    requester: str | None = None
    alerts_unverified: bool = True
    parent_span_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None


class RequestedApproval(NamedTuple):
    """An approval that exists once `calls` and `events` are committed, in one Write with the decision."""

    id: str
    expires_at_us: int
    calls: tuple[Call, ...]
    events: tuple[NewEvent, ...]


def request_approval(clock: Clock, request: ApprovalRequest) -> RequestedApproval:
    """A new approval, routed by its risk. Commits nothing."""
    approval_id = f"apr_{clock.uuid().replace('-', '')}"
    now_us = clock.now_us()
    expires_at_us = now_us + APPROVAL_LIFE_US
    [salt] = clock.salts(1)
    risk_score = score_risk(request.tools, request.environment, request.violations)
    row: Parameters = {
        "id": approval_id,
        "organization": request.key.organization,
        "decision": request.decision,
        "api_key": request.key.id,
        "agent": request.agent.id if request.agent else None,
        "agent_reference": request.agent_reference,
        "environment": request.environment,
        "requester": request.requester,
        "action_digest": request.action_digest,
        "action_context": pack_item(request.action_context),
        "salt": salt,
        "violations": msgspec.json.encode(request.violations).decode(),
        "trace_id": request.trace_id,
        "tools": msgspec.json.encode(request.tools).decode(),
        "risk_score": risk_score,
        "risk_level": level_of(risk_score),
        "alerts_unverified": int(request.alerts_unverified),
        "requested_at_us": now_us,
        "expires_at_us": expires_at_us,
        "parent_span_id": request.parent_span_id,
        "session_id": request.session_id,
        "user_id": request.user_id,
    }
    details = ApprovalDetails(
        action_digest=salted_digest(salt, b"action", request.action_digest.encode()),
        approval=approval_id,
        decision=request.decision,
    )
    event = Event(Kind.APPROVAL_REQUESTED, now_us, request.key.actor, f"approval:{approval_id}", details)
    new_event = NewEvent(request.key.organization, event, _context(request, level_of(risk_score)))
    return RequestedApproval(approval_id, expires_at_us, (Call("insert_approval", row),), (new_event,))


def _context(request: ApprovalRequest, risk_level: str) -> EventContext:
    return approval_context(
        request.agent,
        request.agent_reference,
        environment=request.environment,
        decision_id=request.decision,
        trace_id=request.trace_id,
        violations=request.violations,
        risk_level=risk_level,
    )
