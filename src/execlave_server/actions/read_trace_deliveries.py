"""Where and when a trace was delivered: each of its spans at each destination."""

from enum import StrEnum

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.errors import NotFoundError
from execlave_server.model.traces import ID_CHARS_MAX, identify
from execlave_server.store.protocol import Parameters, integer

BUCKETS_PER_LOOK = 1_024  # of 16,384 traces each: one look is 17 million traces, a few milliseconds
LOOKS_MAX = 64  # a billion traces back
SPANS_MAX = 500  # of one trace are listed


class DeliveryState(StrEnum):
    """What became of one log at one destination."""

    NOT_QUEUED = "not_queued"  # committed while the destination was a draft or disabled, or before it was added
    WAITING = "waiting"
    DELIVERED = "delivered"
    PARKED = "parked"


class SpanDelivery(Struct, frozen=True):
    """One span at one destination. Attempts, answer, time and latency are those of the batch it travels in."""

    span_id: str
    occurred_at_ms: int
    received_at_us: int
    batch: int
    destination_id: str | None
    destination_name: str | None
    state: DeliveryState | None
    attempts: int
    last_status: int | None
    last_answer: str | None
    delivered_at_us: int | None
    next_attempt_at_us: int | None
    latency_us: int | None
    origin: str | None
    parked_id: int | None
    parked_reason: str | None
    parked_status: int | None
    parked_answer: str | None


class TraceDeliveryRow(Struct, frozen=True):
    """As the store has it. `settled` has one bit for each log of the batch; `position` is the log's."""

    span_id: str
    occurred_at_ms: int
    received_at_us: int
    batch: int
    position: int
    destination_id: str | None
    destination_name: str | None
    attempts: int | None
    settled: bytes | None
    due_at_us: int | None
    leased_at_us: int | None
    last_status: int | None
    last_answer: str | None
    delivered_at_us: int | None
    latency_us: int | None
    origin: str | None
    parked_id: int | None
    parked_reason: str | None
    parked_status: int | None
    parked_answer: str | None


async def read_trace_deliveries(
    services: Services, organization_id: str, organization: int, trace_id: str
) -> list[SpanDelivery]:
    """The newest 500 spans of a trace, newest first, once for each destination; without any, once with none.

    Looks at the newest traces first and stops behind the first look that finds some. Raises NotFoundError.
    """
    newest = integer((await services.store.rows("newest_bucket"))[0][0])
    wanted: Parameters = {
        "organization": organization,
        "trace_id": trace_id,
        "trace_key": identify(organization_id, trace_id, "").trace_key,
        "spans": SPANS_MAX,
    }
    found: list[TraceDeliveryRow] = []
    for look in range(LOOKS_MAX if len(trace_id) <= ID_CHARS_MAX else 0):
        high = newest - look * BUCKETS_PER_LOOK
        if high < 0:
            break
        had_some = bool(found)
        found += await services.store.find(
            TraceDeliveryRow,
            "trace_deliveries",
            {**wanted, "newest": high, "oldest": max(high - BUCKETS_PER_LOOK + 1, 0)},
        )
        if had_some or len({(row.batch, row.position) for row in found}) >= SPANS_MAX:
            break  # spans lie close together: one look behind the first find has the rest
    if not found:
        raise NotFoundError(f"There is no trace {trace_id[:ID_CHARS_MAX]!r} in this organization.")
    return [_delivery(row) for row in found]


def _delivery(row: TraceDeliveryRow) -> SpanDelivery:
    state = _state(row)
    waits = state is DeliveryState.WAITING
    return SpanDelivery(
        span_id=row.span_id,
        occurred_at_ms=row.occurred_at_ms,
        received_at_us=row.received_at_us,
        batch=row.batch,
        destination_id=row.destination_id,
        destination_name=row.destination_name,
        state=state,
        attempts=row.attempts or 0,
        last_status=row.last_status,
        last_answer=row.last_answer,
        delivered_at_us=row.delivered_at_us if state is DeliveryState.DELIVERED else None,
        next_attempt_at_us=row.due_at_us if waits and row.leased_at_us is None else None,
        latency_us=row.latency_us,
        origin=row.origin,
        parked_id=row.parked_id,
        parked_reason=row.parked_reason,
        parked_status=row.parked_status,
        parked_answer=row.parked_answer,
    )


def _state(row: TraceDeliveryRow) -> DeliveryState | None:
    """A batch that is not due any more is settled as a whole."""
    if row.destination_id is None:
        return None
    if row.attempts is None:
        return DeliveryState.NOT_QUEUED
    if row.parked_id is not None:
        return DeliveryState.PARKED
    settled = int.from_bytes(row.settled or b"", "little")
    if row.due_at_us is None or settled >> row.position & 1:
        return DeliveryState.DELIVERED
    return DeliveryState.WAITING
