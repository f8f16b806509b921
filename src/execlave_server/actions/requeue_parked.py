"""Parked logs, and the way back into the queue."""

from collections.abc import Sequence

from msgspec import Struct

from execlave_server.actions.requeue_log import requeue_log
from execlave_server.actions.services import Services
from execlave_server.errors import NotFoundError
from execlave_server.store.protocol import Parameters, find_one


class ParkedLog(Struct, frozen=True):
    """A log that a destination refused for good, as it was sent, with the answer."""

    id: int
    destination_id: str
    destination: int
    batch: int
    position: int
    reason: str
    status: int | None
    answer: str | None
    payload: bytes
    parked_at_us: int


async def list_parked(
    services: Services, organization: int, *, destination_id: str | None, after: int, limit: int
) -> list[ParkedLog]:
    """A page of the parked logs, oldest first; `after` is the id of the last one seen."""
    wanted: Parameters = {
        "organization": organization,
        "destination_id": destination_id,
        "after": after,
        "limit": limit,
    }
    return await services.store.find(ParkedLog, "list_parked", wanted)


async def requeue_parked(services: Services, organization: int, parked_ids: Sequence[int]) -> int:
    """Make parked logs wait for delivery again; how many.

    Raises NotFoundError for an id that is not parked here, ConflictError while its batch is being sent.
    """
    for done, parked_id in enumerate(parked_ids):
        wanted: Parameters = {"organization": organization, "id": parked_id}
        parked = await find_one(services.store, ParkedLog, "find_parked", wanted)
        if parked is None:
            raise NotFoundError(f"There is no parked log {parked_id} in this organization; {done} were requeued.")
        place: Parameters = {"destination": parked.destination, "batch": parked.batch}
        await requeue_log(services.store, place, parked.position, services.clock.now_us())
    return len(parked_ids)
