"""Deliveries over HTTP: where a trace was delivered, and the past queued again, in steps that a caller repeats."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

from msgspec import Meta, Struct, field
from starlette.responses import Response

from execlave_server.actions.read_deliveries import (
    DeliveryCounts,
    DeliveryStanding,
    count_deliveries,
    count_traces,
    read_standings,
)
from execlave_server.actions.read_trace_deliveries import SPANS_MAX, SpanDelivery, read_trace_deliveries
from execlave_server.actions.send_again import (
    REPLAY_ID_CHARS_MAX,
    Past,
    PastSpan,
    close_gap,
    gap_span,
    new_replay_id,
    send_past_step,
)
from execlave_server.api.codec import data, decode
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso, microseconds
from execlave_server.errors import ValidationFailedError
from execlave_server.model.destinations import DestinationState

Cursor = Annotated[int, Meta(ge=0, le=1 << 62)]
ReplayId = Annotated[str, Meta(min_length=1, max_length=REPLAY_ID_CHARS_MAX)]


class _SpanBody(Struct, forbid_unknown_fields=True):
    destination: str
    start: datetime | None = field(name="from", default=None)
    end: datetime | None = field(name="to", default=None)
    next: Cursor = 0


class _BackfillBody(_SpanBody):
    gap: bool = False


class _ReplayBody(_SpanBody):
    replay: ReplayId | None = None


async def get_deliveries(exchange: Exchange) -> Response:
    """How many traces are committed, and for each destination where its deliveries stand."""
    services, organization = exchange.services, exchange.caller.organization
    counted = await count_deliveries(services, organization)
    committed = counted[0].traces if counted else await count_traces(services, organization)
    standings = await read_standings(services, organization)
    return data({"committed": committed, "destinations": standings_view(counted, standings, services.clock.now_us())})


def standings_view(
    counted: Sequence[DeliveryCounts], standings: Sequence[DeliveryStanding], now_us: int
) -> list[dict[str, Any]]:
    """Where deliveries stand, as the API and the command line show it, in the order the destinations were added."""
    counts = {each.id: each for each in counted}
    return [_standing_view(counts[each.id], each, now_us) for each in standings if each.id in counts]


def _standing_view(counts: DeliveryCounts, standing: DeliveryStanding, now_us: int) -> dict[str, Any]:
    oldest_us = counts.oldest_waiting_at_us
    sends = standing.state is DestinationState.ENABLED
    return {
        "id": counts.id,
        "name": standing.name,
        "state": standing.state,
        "stateReason": standing.state_reason,
        "committed": counts.committed,
        "events": counts.events,
        "delivered": counts.delivered,
        "waiting": counts.waiting,
        "parked": counts.parked,
        "late": counts.late,
        "bytes": standing.sent_bytes,
        "oldestWaitingAt": iso(oldest_us),
        "oldestWaitingSeconds": None if oldest_us is None else max(0, now_us - oldest_us) / 1_000_000,
        "nextAttemptAt": iso(standing.next_attempt_at_us) if sends else None,
        "lastStatus": standing.last_status,
        "lastAnswer": standing.last_answer,
        "lastAttempts": standing.last_attempts,
        "lastLatencyMs": None if standing.last_latency_us is None else standing.last_latency_us / 1_000,
        "lastDeliveredAt": iso(standing.last_delivered_at_us),
    }


async def get_trace_deliveries(exchange: Exchange) -> Response:
    """Where and when each span of a trace was delivered."""
    caller, trace_id = exchange.caller, exchange.path("trace")
    found = await read_trace_deliveries(exchange.services, caller.organization_id, caller.organization, trace_id)
    return data(trace_view(trace_id, found))


def trace_view(trace_id: str, found: Sequence[SpanDelivery]) -> dict[str, Any]:
    """The deliveries of a trace as the API and the command line show them; `more` when only its newest are listed."""
    spans = [
        {
            "spanId": span_id,
            "timestamp": iso(occurred_at_ms * 1_000),
            "receivedAt": iso(received_at_us),
            "deliveries": [_delivery_view(each) for each in of_span if each.state is not None],
        }
        for (span_id, occurred_at_ms, received_at_us, _), of_span in groupby(
            found, lambda each: (each.span_id, each.occurred_at_ms, each.received_at_us, each.batch)
        )
    ]
    return {"traceId": trace_id, "spans": spans, "more": len(spans) >= SPANS_MAX}


def _delivery_view(each: SpanDelivery) -> dict[str, Any]:
    parked = {
        "id": each.parked_id,
        "reason": each.parked_reason,
        "status": each.parked_status,
        "answer": each.parked_answer,
    }
    return {
        "destination": each.destination_id,
        "name": each.destination_name,
        "state": each.state,
        "attempts": each.attempts,
        "lastStatus": each.last_status,
        "lastAnswer": each.last_answer,
        "deliveredAt": iso(each.delivered_at_us),
        "nextAttemptAt": iso(each.next_attempt_at_us),
        "latencyMs": None if each.latency_us is None else each.latency_us / 1_000,
        "origin": each.origin,
        "parked": None if each.parked_id is None else parked,
    }


async def post_backfill(exchange: Exchange) -> Response:
    """Queue what a destination never got, one step of it; repeat with `next` until there is none."""
    body = decode(exchange.body, _BackfillBody)
    organization = exchange.caller.organization
    if body.gap:
        span = await gap_span(exchange.services, organization, body.destination)
    else:
        span = _span(exchange, body, Past.BACKFILL, None)
    answer = await _step(exchange, body, span)
    if body.gap and answer["next"] is None:
        await close_gap(exchange.services, organization, body.destination)
    return data(answer)


async def post_replay(exchange: Exchange) -> Response:
    """Send once more what was delivered, one step of it; repeat with `next`, `to` and `replay` of the answer."""
    body = decode(exchange.body, _ReplayBody)
    span = _span(exchange, body, Past.REPLAY, body.replay or new_replay_id(exchange.services))
    return data({"replay": span.replay, **await _step(exchange, body, span)})


async def _step(exchange: Exchange, body: _SpanBody, span: PastSpan) -> dict[str, object]:
    organization = exchange.caller.organization
    step = await send_past_step(exchange.services, organization, body.destination, span, after=body.next)
    return {
        "from": iso(span.from_us),
        "to": iso(span.to_us),
        "queued": step.queued,
        "lookedAt": step.looked_at,
        "of": step.of,
        "next": step.next,
    }


def _span(exchange: Exchange, body: _SpanBody, past: Past, replay: str | None) -> PastSpan:
    if body.start is None:
        raise ValidationFailedError("`from` is required.", fields={"from": "is required"})
    to_us = exchange.services.clock.now_us() if body.end is None else microseconds(body.end)
    to_us -= to_us % 1_000  # as it is shown, so that the next step has the very same end
    return PastSpan(past, microseconds(body.start), to_us, replay)
