from msgspec import Struct

from execlave_server.actions.read_deliveries import count_traces
from execlave_server.actions.services import Services
from execlave_server.model.people import Caller
from execlave_server.store.protocol import integer


class Usage(Struct, frozen=True):
    """What an organization has now."""

    agents: int
    traces: int
    users: int = 0
    policies: int = 0


async def read_usage(services: Services, key: Caller) -> Usage:
    """Counts; there are no limits on a server of one's own."""
    counted = await services.store.rows("count_agents", {"organization": key.organization, "search": ""})
    return Usage(integer(counted[0][0]), await count_traces(services, key.organization))
