from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.store.protocol import integer


class DeliveryCounts(Struct, frozen=True):
    """Where one destination stands, in logs. `committed` is of the organization, in the same snapshot."""

    id: str
    committed: int
    delivered: int
    waiting: int
    parked: int
    late: int
    oldest_waiting_at_us: int | None


async def count_deliveries(services: Services, organization: int) -> list[DeliveryCounts]:
    """How many logs each destination has been sent, and how many wait, summed over the ledger."""
    return await services.store.find(DeliveryCounts, "delivery_counts", {"organization": organization})


async def count_traces(services: Services, organization: int) -> int:
    """How many traces are committed."""
    rows = await services.store.rows("count_traces", {"organization": organization})
    return integer(rows[0][0])
