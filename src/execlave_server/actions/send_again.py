"""Past batches into a destination's queue: those it never got (backfill), or those it got already (replay)."""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from execlave_server.actions.configure_destination import get_destination
from execlave_server.actions.services import Services
from execlave_server.errors import ConflictError, ValidationFailedError
from execlave_server.model.destinations import DestinationState
from execlave_server.store.protocol import Call, Parameters, Write, integer

BATCHES_PER_STEP = 5_000  # in one transaction: short, so that commits beside it wait milliseconds
_OBLIGED_BY = ("destination", "organization", "after", "last", "from_us", "to_us")
GAP_MARGIN_US = 60_000_000  # on both sides: a batch is received a moment before it is committed; none is queued twice
REPLAY_ID_CHARS_MAX = 64


class Past(StrEnum):
    """What of the past is queued."""

    BACKFILL = "backfill"
    REPLAY = "replay"


class PastSpan(Struct, frozen=True):
    """The batches received in [from, to), epoch microseconds. `replay` names a replay, which queues each batch once."""

    past: Past
    from_us: int
    to_us: int
    replay: str | None = None


class PastStep(Struct, frozen=True):
    """What one step did: how many batches it queued, how many of all are looked at, and where the next one begins."""

    queued: int
    looked_at: int
    of: int
    next: int | None


async def send_past_step(
    services: Services, organization: int, destination_id: str, span: PastSpan, *, after: int
) -> PastStep:
    """Queue what is to be queued of the next 5,000 batches after a batch; begin after 0, go on after `next`.

    A backfill leaves alone what is queued or was delivered. A replay leaves alone what waits, what has parked logs,
    and what the same replay has queued before. So any step may be repeated. Raises NotFoundError;
    ValidationFailedError for a span without an inside; ConflictError for a destination that never delivered.
    """
    destination = await get_destination(services, organization, destination_id)
    if destination.state is DestinationState.DRAFT:
        raise ConflictError(f"The destination {destination.name!r} is a draft. Test and enable it first.")
    if span.from_us >= span.to_us:
        raise ValidationFailedError("`from` must be before `to`.", fields={"from": "must be before `to`"})
    newest = integer((await services.store.rows("newest_batch"))[0][0])
    last = min(after + BATCHES_PER_STEP, newest)
    step: Parameters = {
        "destination": destination.number,
        "organization": organization,
        "after": after,
        "last": last,
        "from_us": span.from_us,
        "to_us": span.to_us,
        "replay": span.replay,
        "now_us": services.clock.now_us(),
    }
    calls = [Call(f"{span.past}_batches", step)]
    if span.past is Past.BACKFILL:
        calls.append(Call("oblige_batches", {name: step[name] for name in _OBLIGED_BY}))
    written = await services.store.commit(Write(calls=calls))
    return PastStep(len(written.rows[0]), last, newest, last if last < newest else None)


async def send_past(
    services: Services, organization: int, destination_id: str, span: PastSpan, *, report: Callable[[int, int], object]
) -> int:
    """Queue a span of the past, step by step; how many batches. `report` is told (batches looked at, of)."""
    queued, after = 0, 0
    while True:
        step = await send_past_step(services, organization, destination_id, span, after=after)
        queued += step.queued
        report(step.looked_at, step.of)
        if step.next is None:
            return queued
        after = step.next


def new_replay_id(services: Services) -> str:
    """A name for a replay; under the same name an interrupted one is finished."""
    return f"rpl_{services.clock.uuid().replace('-', '')}"


async def gap_span(services: Services, organization: int, destination_id: str) -> PastSpan:
    """The time in which a destination was disabled. Raises NotFoundError, ConflictError when there is none to fill."""
    destination = await get_destination(services, organization, destination_id)
    gap = destination.gap
    if gap is None:
        raise ConflictError(
            f"The destination {destination.name!r} has no gap: it has not been disabled since the last."
        )
    from_us, to_us = gap
    if to_us is None:
        raise ConflictError(f"The destination {destination.name!r} is still disabled. Enable it first.")
    return PastSpan(Past.BACKFILL, from_us - GAP_MARGIN_US, to_us + GAP_MARGIN_US)


async def close_gap(services: Services, organization: int, destination_id: str) -> None:
    """The gap of a destination was filled: it is shown no longer, unless the destination was disabled again."""
    destination = await get_destination(services, organization, destination_id)
    filled: Parameters = {"destination": destination.number, "enabled_at_us": destination.enabled_at_us}
    await services.store.commit(Write(calls=[Call("close_gap", filled)]))
