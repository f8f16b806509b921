from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.model.destinations import DestinationState
from execlave_server.store.protocol import integer


class DeliveryCounts(Struct, frozen=True):
    """Where one destination stands, in logs.

    `traces` are those of the organization, `events` the governance events that were to come here; all in one snapshot.
    """

    id: str
    traces: int
    events: int
    delivered: int
    waiting: int
    parked: int
    late: int
    oldest_waiting_at_us: int | None

    @property
    def committed(self) -> int:
        """What was committed for it: delivered, waiting and parked together, once nothing is left to backfill."""
        return self.traces + self.events


class DeliveryStanding(Struct, frozen=True):
    """How delivery to one destination goes. The last answer is of a batch that waits, else of the newest delivered.

    `sent_bytes` are of logs accepted, before compression; `next_attempt_at_us` may have passed a moment ago.
    """

    id: str
    name: str
    state: DestinationState
    state_reason: str | None
    sent_bytes: int
    last_delivered_at_us: int | None
    next_attempt_at_us: int | None
    last_attempts: int | None
    last_status: int | None
    last_answer: str | None
    last_latency_us: int | None


async def read_standings(services: Services, organization: int) -> list[DeliveryStanding]:
    """How delivery to each destination goes."""
    return await services.store.find(DeliveryStanding, "delivery_standing", {"organization": organization})


async def count_deliveries(services: Services, organization: int) -> list[DeliveryCounts]:
    """How many logs each destination has been sent, and how many wait, summed over the ledger."""
    return await services.store.find(DeliveryCounts, "delivery_counts", {"organization": organization})


async def count_traces(services: Services, organization: int) -> int:
    """How many traces are committed."""
    rows = await services.store.rows("count_traces", {"organization": organization})
    return integer(rows[0][0])
