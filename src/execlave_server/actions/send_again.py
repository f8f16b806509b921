"""Past batches into a destination's queue: those it never got (backfill), or those it got already (replay)."""

from collections.abc import Callable
from enum import StrEnum

from execlave_server.actions.configure_destination import get_destination
from execlave_server.actions.services import Services
from execlave_server.errors import ConflictError
from execlave_server.model.destinations import DestinationState
from execlave_server.store.protocol import Call, Parameters, Write, integer

BATCHES_PER_STEP = 5_000  # in one transaction: short, so that commits beside it wait milliseconds
_OBLIGED_BY = ("destination", "organization", "after", "last", "from_us", "to_us")


class Past(StrEnum):
    """What of the past is queued."""

    BACKFILL = "backfill"
    REPLAY = "replay"


async def send_past(
    services: Services,
    organization: int,
    destination_id: str,
    *,
    past: Past,
    from_us: int,
    to_us: int,
    report: Callable[[int, int], object],
) -> int:
    """Queue the batches received in [from, to); how many.

    A backfill leaves alone what is queued or was delivered: stopped halfway, it is finished by running it again. A
    replay leaves alone what waits or has parked logs. `report` is told (batches looked at, batches there are).
    Raises NotFoundError; ConflictError for a destination that does not deliver.
    """
    destination = await get_destination(services, organization, destination_id)
    if destination.state is DestinationState.DRAFT:
        raise ConflictError(f"The destination {destination.name!r} is a draft. Test and enable it first.")
    newest = integer((await services.store.rows("newest_batch"))[0][0])
    queued = 0
    for after in range(0, newest, BATCHES_PER_STEP):
        last = min(after + BATCHES_PER_STEP, newest)
        step: Parameters = {
            "destination": destination.number,
            "organization": organization,
            "after": after,
            "last": last,
            "from_us": from_us,
            "to_us": to_us,
            "now_us": services.clock.now_us(),
        }
        calls = [Call(f"{past}_batches", step)]
        if past is Past.BACKFILL:
            calls.append(Call("oblige_batches", {name: step[name] for name in _OBLIGED_BY}))
        written = await services.store.commit(Write(calls=calls))
        queued += len(written.rows[0])
        report(last, newest)
    return queued
