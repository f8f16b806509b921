"""What became known of a trace later, and what the organization has in all."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from execlave_server.actions.read_usage import read_usage
from execlave_server.actions.resolve_trace import Basis, Resolution, ResolvedStatus, list_resolutions, resolve_trace
from execlave_server.api.codec import data, decode, page
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso, microseconds
from execlave_server.errors import ValidationFailedError
from execlave_server.model.traces import ID_CHARS_MAX

UNLIMITED = 2**53 - 1  # the SDKs read a number; this is the greatest that JavaScript counts to
Reference = Annotated[str, Meta(max_length=1_024)]


class _ResolutionBody(Struct, rename="camel"):
    resolved_status: ResolvedStatus
    basis: Basis
    effect_ref: Reference | None = None
    acknowledgement_id: Reference | None = None
    detail: Annotated[str, Meta(max_length=4_000)] | None = None
    observed_at: datetime | None = None


async def post_resolution(exchange: Exchange) -> Response:
    """Append what became known of a trace: 201, whether or not the trace itself has arrived yet."""
    body = decode(exchange.body, _ResolutionBody)
    now_us = exchange.services.clock.now_us()
    resolution = Resolution(
        id=exchange.services.clock.uuid(),
        trace_id=_trace_id(exchange),
        resolved_status=body.resolved_status,
        basis=body.basis,
        effect_ref=body.effect_ref,
        acknowledgement_id=body.acknowledgement_id,
        detail=body.detail,
        observed_at_us=now_us if body.observed_at is None else microseconds(body.observed_at),
        recorded_at_us=now_us,
    )
    await resolve_trace(exchange.services, exchange.key, resolution)
    return data(resolution_view(resolution), 201)


async def get_resolutions(exchange: Exchange) -> Response:
    """What became known of a trace, oldest first."""
    found = await list_resolutions(exchange.services, exchange.key, _trace_id(exchange))
    return page([resolution_view(resolution) for resolution in found], len(found))


async def get_usage(exchange: Exchange) -> Response:
    """What the organization has. A server of one's own has no plan to exceed."""
    usage = await read_usage(exchange.services, exchange.key)
    counts = {"agents": usage.agents, "traces": usage.traces, "users": usage.users, "policies": usage.policies}
    shown = {name: {"current": count, "max": UNLIMITED} for name, count in counts.items()}
    return data({"plan": "self-hosted", "usage": shown, "upgradeUrl": None})


def _trace_id(exchange: Exchange) -> str:
    trace_id = exchange.path("trace")
    if not 1 <= len(trace_id) <= ID_CHARS_MAX:
        reason = f"must have 1 to {ID_CHARS_MAX} characters"
        raise ValidationFailedError(f"The trace id {reason}.", fields={"traceId": reason})
    return trace_id


def resolution_view(resolution: Resolution) -> dict[str, Any]:
    """A resolution as the API shows it."""
    return {
        "id": resolution.id,
        "traceId": resolution.trace_id,
        "resolvedStatus": resolution.resolved_status,
        "basis": resolution.basis,
        "effectRef": resolution.effect_ref,
        "acknowledgementId": resolution.acknowledgement_id,
        "detail": resolution.detail,
        "observedAt": iso(resolution.observed_at_us),
        "recordedAt": iso(resolution.recorded_at_us),
    }
