"""How delivery to a destination went of late, for whoever looks at it: by the hour, and the newest answers."""

from collections.abc import Sequence

from msgspec import Struct

from execlave_server.actions.read_activity import HOUR_US
from execlave_server.actions.services import Services
from execlave_server.store.protocol import Parameters


class DeliveryQueue(Struct, frozen=True):
    """What of a destination's logs is not delivered yet, and since when the oldest waits."""

    id: str
    waiting: int
    oldest_waiting_at_us: int | None
    parked: int


class DeliveredHour(Struct, frozen=True):
    """What became of the logs committed in one hour; `step` counts from the first hour asked for."""

    step: int
    delivered: int = 0
    waiting: int = 0
    parked: int = 0
    late: int = 0


class BatchAnswer(Struct, frozen=True):
    """The newest answer to a batch, and how far it is."""

    batch: int
    log_count: int
    accepted_count: int
    parked_count: int
    committed_at_us: int
    attempts: int
    last_status: int | None
    last_answer: str | None
    delivered_at_us: int | None
    latency_us: int | None
    origin: str


async def read_queues(services: Services, organization: int) -> dict[str, DeliveryQueue]:
    """What waits and what is parked, by destination."""
    found = await services.store.find(DeliveryQueue, "delivery_queues", {"organization": organization})
    return {each.id: each for each in found}


async def read_delivered_hours(
    services: Services, organization: int, destination_id: str, hours: Sequence[int]
) -> list[DeliveredHour]:
    """What became of the logs committed in each of these hours, which follow each other."""
    since: Parameters = {"organization": organization, "from_us": hours[0]}
    first = await services.store.rows("first_batch_since", since)
    if not first:
        return [DeliveredHour(step) for step in range(len(hours))]
    wanted: Parameters = {**since, "id": destination_id, "first_batch": first[0][0], "step_us": HOUR_US}
    found = {each.step: each for each in await services.store.find(DeliveredHour, "deliveries_by_step", wanted)}
    return [found.get(step, DeliveredHour(step)) for step in range(len(hours))]


async def read_answers(services: Services, organization: int, destination_id: str, *, limit: int) -> list[BatchAnswer]:
    """The newest batches that were sent to a destination."""
    wanted: Parameters = {"organization": organization, "id": destination_id, "limit": limit}
    return await services.store.find(BatchAnswer, "newest_answers", wanted)
