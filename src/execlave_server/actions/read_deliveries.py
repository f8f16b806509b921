from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.model.organizations import Organization
from execlave_server.store.protocol import integer


class DeliveryCounts(Struct, frozen=True):
    """Where one destination stands, in logs."""

    id: str
    delivered: int
    waiting: int
    oldest_waiting_at_us: int | None


async def count_deliveries(services: Services, organization: Organization) -> list[DeliveryCounts]:
    """How many logs each destination has been sent, and how many wait, summed over the ledger."""
    return await services.store.find(DeliveryCounts, "delivery_counts", {"organization": organization.number})


async def count_traces(services: Services, organization: Organization) -> int:
    """How many traces are committed."""
    rows = await services.store.rows("count_traces", {"organization": organization.number})
    return integer(rows[0][0])
