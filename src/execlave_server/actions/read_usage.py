from msgspec import Struct

from execlave_server.actions.read_deliveries import count_traces
from execlave_server.actions.services import Services
from execlave_server.model.people import Caller
from execlave_server.store.protocol import Parameters, integer


class Usage(Struct, frozen=True):
    """What an organization has now."""

    agents: int
    traces: int
    users: int
    policies: int


async def read_usage(services: Services, key: Caller) -> Usage:
    """Counts; there are no limits on a server of one's own."""
    scope: Parameters = {"organization": key.organization}
    counted = await services.store.rows("count_agents", {**scope, "search": ""})
    [(users, policies)] = await services.store.rows("count_users_and_policies", scope)
    return Usage(
        integer(counted[0][0]), await count_traces(services, key.organization), integer(users), integer(policies)
    )
