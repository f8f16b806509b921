"""POST /policies/enforce. The answer always governs.

The SDK's framework adapters halt on a 403 with `allowed: false`, and on outages as configured. They log every other
error as "non-fatal" and run the tool ungoverned, so this endpoint has its own rules: 200, 202, that 403, 401 for a key
never issued, 503, and nothing else.
"""

import asyncio
import hashlib
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import structlog
from msgspec import Meta, Raw, Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from execlave_server.actions.enforce_policy import Asked, enforce_policy, refuse_action
from execlave_server.actions.services import Services
from execlave_server.api.codec import SDK_BODY_BYTES_MAX, answer, decode, read_body, refuse
from execlave_server.api.exchange import check_signature, presented_key
from execlave_server.errors import (
    BadSignatureError,
    ExeclaveServerError,
    PayloadTooLargeError,
    UnauthorizedError,
    UnavailableError,
)
from execlave_server.model.action_context import digest_context, seal_context
from execlave_server.model.decisions import Decision, Outcome
from execlave_server.model.organizations import ApiKey
from execlave_server.model.traces import ID_CHARS_MAX
from execlave_server.policy.action import Action
from execlave_server.policy.standing import refuse_request

CLIENT_CHARS_MAX = 100
OFF_LOOP_BYTES = 32_000  # reading and digesting more than this leaves the event loop

log = structlog.get_logger()


class _EnforceBody(Struct, rename="camel"):
    agent_id: Annotated[str, Meta(min_length=1, max_length=ID_CHARS_MAX)]
    input: Annotated[str, Meta(min_length=1)]
    environment: Annotated[str, Meta(max_length=ID_CHARS_MAX)] | None = None
    metadata: dict[str, Any] | None = None
    estimated_cost: int | float | None = None
    tools: list[str] | None = None
    tool_descriptors: list[dict[str, Any]] | None = None
    conversation_history: list[dict[str, Any]] | None = None
    tool_outputs: list[dict[str, Any]] | None = None


async def answer_enforce(services: Services, request: Request) -> Response:
    """Decide whether an action may run."""
    try:
        presented = presented_key(request)
        key = await services.keys.identify(presented)
        return await _govern(services, request, presented or "", key)
    except (UnauthorizedError, UnavailableError) as error:
        return refuse(error)
    except ClientDisconnect:
        raise
    except Exception as error:
        log.exception("enforce.unexpected_error", error=str(error))
        return refuse(UnavailableError("No decision could be made; the server's log has the cause."))


async def _govern(services: Services, request: Request, presented: str, key: ApiKey) -> Response:
    body = b""
    try:
        body = await read_body(request, SDK_BODY_BYTES_MAX)
        check_signature(services, request, presented, body)
        asked = await asyncio.to_thread(_read, body) if len(body) > OFF_LOOP_BYTES else _read(body)
        asked = replace(asked, client=request.headers.get("user-agent", "")[:CLIENT_CHARS_MAX] or None)
    except (BadSignatureError, PayloadTooLargeError, _UnreadableError) as error:
        return await _refuse(services, key, body, error)
    return _answer(services, await enforce_policy(services, presented, asked))


class _UnreadableError(ExeclaveServerError):
    """The body does not say what is to be judged."""

    code = "INVALID_REQUEST"


def _read(body: bytes) -> Asked:
    try:
        asked = decode(body, _EnforceBody)
        context = seal_context(decode(body, dict[str, Raw]))
    except (ExeclaveServerError, msgspec.MsgspecError, RecursionError) as error:
        raise _UnreadableError(str(error) or "The body cannot be read.") from error
    if "\0" in asked.agent_id or "\0" in (asked.environment or ""):
        raise _UnreadableError("agentId or environment has a NUL character (U+0000), which names nothing.")
    metadata = asked.metadata or {}
    action = Action(
        agent_id=asked.agent_id,
        input=asked.input,
        environment=asked.environment,
        tools=tuple(asked.tools or ()),
        metadata=metadata,
        estimated_cost=asked.estimated_cost,
        conversation_history=tuple(asked.conversation_history or ()),
        tool_outputs=tuple(asked.tool_outputs or ()),
        tool_descriptors=tuple(asked.tool_descriptors or ()),
    )
    return Asked(
        action=action,
        action_digest=digest_context(context),
        context=context,
        trace_id=_identifier(metadata.get("traceId")),
        parent_span_id=_identifier(metadata.get("spanId")),
        session_id=_identifier(metadata.get("sessionId")),
        user_id=_identifier(metadata.get("userId")),
    )


def _identifier(value: object) -> str | None:
    return value if isinstance(value, str) and 1 <= len(value) <= ID_CHARS_MAX and "\0" not in value else None


async def _refuse(services: Services, key: ApiKey, body: bytes, error: ExeclaveServerError) -> Response:
    violation = refuse_request(error.code, error.message)
    try:
        decision = await refuse_action(services, key, violation, hashlib.sha256(body).hexdigest())
    except UnavailableError:
        log.exception("enforce.refusal_not_recorded")  # refusing is the safe answer, recorded or not
        return answer({"allowed": False, "violations": [violation]}, 403)
    return _answer(services, decision)


def _answer(services: Services, decision: Decision) -> Response:
    services.metrics.decided(decision.outcome)
    linked = {"decisionId": decision.id} | ({"traceId": decision.trace_id} if decision.trace_id else {})
    named = [{**msgspec.to_builtins(violation), **linked} for violation in decision.violations]
    match decision.outcome:
        case Outcome.ALLOWED:
            return answer({"allowed": True, **linked})
        case Outcome.WARNED:
            return answer({"allowed": True, "warnings": named, **linked})
        case Outcome.APPROVAL_REQUIRED if decision.approval_id:
            waiting = {"requiresApproval": True, "approvalRequestId": decision.approval_id}
            return answer({"allowed": False, **waiting, "violations": named, **linked}, 202)
        case Outcome.APPROVAL_REQUIRED | Outcome.BLOCKED:
            return answer({"allowed": False, "violations": named, **linked}, 403)
