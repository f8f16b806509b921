"""Approvals over HTTP: what the SDK polls and verifies, what people list and decide."""

import asyncio
from typing import Any

import structlog
from msgspec import MsgspecError, Raw, Struct
from starlette.responses import Response

from execlave_server.actions.decide_approval import deny_approval, grant_approval
from execlave_server.actions.read_approvals import (
    APPROVALS_PER_PAGE_MAX,
    find_approval,
    find_decider,
    list_approvals,
    read_action_context,
)
from execlave_server.actions.services import Services
from execlave_server.actions.verify_approval import verify_approval
from execlave_server.api.codec import data, decode, page, whole_number
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso
from execlave_server.errors import BadRequestError, UnavailableError, ValidationFailedError
from execlave_server.model.action_context import digest_context, seal_context
from execlave_server.model.approvals import Approval, ApprovalStatus
from execlave_server.model.organizations import ApiKey, Role

OFF_LOOP_BYTES = 32_000  # reading and digesting more than this leaves the event loop
UNKNOWN = "There is no approval by this id in this organization, so nothing was approved."
UNREADABLE = "The approval cannot be read just now. Ask again."

log = structlog.get_logger()


class _ReasonBody(Struct, forbid_unknown_fields=True):
    reason: str


class _VerifyBody(Struct, rename="camel"):
    action_context: dict[str, Raw]


async def get_approval_status(exchange: Exchange) -> Response:
    """How an approval stands: 200 whatever it is, because any other answer ends the SDK's waiting with an error.

    One that does not exist is answered as expired, which is never taken for leave to act.
    """
    caller, approval_id = exchange.caller, exchange.path("id")
    try:
        approval = await find_approval(exchange.services, caller.organization, approval_id)
        if approval is None:
            return data({"id": approval_id, "status": ApprovalStatus.EXPIRED, "decisionReason": UNKNOWN})
        if isinstance(caller, ApiKey) and caller.role is Role.AGENT:
            return data(approval_view(approval, exchange.services.clock.now_us()))
        return data(await detailed_view(exchange.services, approval))
    except UnavailableError as error:
        log.warning("approvals.unreadable", approval=approval_id, error=error.message)
        return data({"id": approval_id, "status": ApprovalStatus.PENDING, "decisionReason": UNREADABLE})


async def get_approvals(exchange: Exchange) -> Response:
    """A page of approvals, the newest first."""
    query = exchange.request.query_params
    found, total = await list_approvals(
        exchange.services,
        exchange.caller.organization,
        status=status_named(query.get("status")),
        limit=whole_number(query.get("limit", "50"), "limit", APPROVALS_PER_PAGE_MAX),
        offset=whole_number(query.get("offset", "0"), "offset", 1_000_000),
    )
    now_us = exchange.services.clock.now_us()
    return page([approval_view(approval, now_us) for approval in found], total)


async def post_grant(exchange: Exchange) -> Response:
    """Approve, with a reason."""
    reason = decode(exchange.body, _ReasonBody).reason
    approval = await grant_approval(exchange.services, exchange.person, exchange.path("id"), reason)
    return data(await detailed_view(exchange.services, approval))


async def post_deny(exchange: Exchange) -> Response:
    """Deny, with a reason."""
    reason = decode(exchange.body, _ReasonBody).reason
    approval = await deny_approval(exchange.services, exchange.person, exchange.path("id"), reason)
    return data(await detailed_view(exchange.services, approval))


async def post_verify(exchange: Exchange) -> Response:
    """Whether an approval covers the action that is about to run; a certificate covers one action once."""
    body = exchange.body
    digest = await asyncio.to_thread(_digest, body) if len(body) > OFF_LOOP_BYTES else _digest(body)
    found = await verify_approval(exchange.services, exchange.key, exchange.path("id"), digest)
    answer: dict[str, Any] = {"valid": found.valid, "verifiedAt": iso(found.verified_at_us)}
    answer |= {"certificate": found.certificate} if found.valid else {"reason": found.reason}
    return data(answer)


def status_named(text: str | None) -> ApprovalStatus | None:
    """The status by its word, or None. Raises ValidationFailedError."""
    if not text:
        return None
    try:
        return ApprovalStatus(text)
    except ValueError as error:
        known = ", ".join(ApprovalStatus)
        raise ValidationFailedError(f"status is {text!r}; use one of {known}.", fields={"status": known}) from error


def approval_view(approval: Approval, now_us: int) -> dict[str, Any]:
    """An approval as the SDK and lists show it."""
    routing = approval.routing_at(now_us)
    return {
        "id": approval.id,
        "status": approval.status_at(now_us),
        "decisionReason": approval.decision_reason,
        "decisionId": approval.decision,
        "agentId": approval.agent_reference,
        "environment": approval.environment,
        "tools": Raw(approval.tools.encode()),
        "traceId": approval.trace_id,
        "requestedBy": approval.requester,
        "riskScore": approval.risk_score,
        "riskLevel": approval.risk_level,
        "routedTo": routing.routed_to,
        "escalationLevel": routing.escalation_level,
        "escalatedAt": iso(routing.escalated_at_us),
        "requestedAt": iso(approval.requested_at_us),
        "expiresAt": iso(approval.expires_at_us),
        "decidedAt": iso(approval.decided_at_us),
        "certificateExpiresAt": iso(approval.certificate_expires_at_us),
        "certificateVerifiedAt": iso(approval.certificate_verified_at_us),
        "executionUnverifiedAt": iso(approval.unverified_at_us),
    }


async def detailed_view(services: Services, approval: Approval) -> dict[str, Any]:
    """An approval as who decides must see it: with the action itself, the policies' objections, and who decided."""
    decider = await find_decider(services, approval)
    context = await read_action_context(services, approval)
    return {
        **approval_view(approval, services.clock.now_us()),
        "violations": Raw(approval.violations.encode()),
        "actionContext": None if context is None else Raw(context),
        "decidedBy": {"id": decider.id, "email": decider.email, "name": decider.name} if decider else None,
    }


def _digest(body: bytes) -> str:
    try:
        return digest_context(seal_context(decode(body, _VerifyBody).action_context))
    except (MsgspecError, RecursionError) as error:
        raise BadRequestError("The action context cannot be read.") from error
