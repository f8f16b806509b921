"""What an organization's agents did of late, in sums that cost a page little: from batches, meters and decisions."""

from collections.abc import Sequence

from msgspec import Struct

from execlave_server.actions.meter import money_meter, past_meters, read_meters
from execlave_server.actions.services import Services
from execlave_server.model.agents import AgentStatus
from execlave_server.model.budgets import BudgetScope
from execlave_server.model.policy_rules import Window
from execlave_server.store.protocol import Parameters, integer

HOUR_US = 3_600_000_000
DECISIONS_LOOKED_AT_MAX = 2_000  # the newest: enough for a p99, read by index in a few milliseconds


class Traffic(Struct, frozen=True):
    """The traces received in one step of time, by how they ended; `step` counts from the first of those asked for."""

    step: int
    traces: int = 0
    errors: int = 0
    violations: int = 0

    @property
    def others(self) -> int:
        """Those that are neither errors nor violations."""
        return self.traces - self.errors - self.violations


class Latency(Struct, frozen=True):
    """How long the newest decisions took, in microseconds, over so many of them."""

    decisions: int
    p50_us: int
    p95_us: int
    p99_us: int


def hours_until(now_us: int, hours: int) -> list[int]:
    """When each of the last so many hours began, the one that runs now last."""
    newest = now_us // HOUR_US
    return [(newest - back) * HOUR_US for back in range(hours - 1, -1, -1)]


async def read_traffic(services: Services, organization: int, hours: Sequence[int]) -> list[Traffic]:
    """The traces received in each of these hours, which follow each other."""
    wanted: Parameters = {"organization": organization, "from_us": hours[0], "step_us": HOUR_US}
    found = {each.step: each for each in await services.store.find(Traffic, "traffic_by_step", wanted)}
    return [found.get(step, Traffic(step)) for step in range(len(hours))]


async def read_spend_by_hour(services: Services, organization: int, hours: int) -> list[int]:
    """What was spent or is reserved in each of the newest hours, in billionths of a US dollar, the present one last."""
    meters = past_meters(BudgetScope.ORGANIZATION, "", Window.HOUR, hours, services.clock.now_us())
    read = await read_meters(services.store, organization, meters)
    return [read[meter.name] for meter in meters]


async def read_spend_by_day(services: Services, organization: int, days: int, *, agent: str | None = None) -> list[int]:
    """The same by the day, of the organization or of one agent's UUID; at most 35 days are kept."""
    scope = BudgetScope.ORGANIZATION if agent is None else BudgetScope.AGENT
    meters = past_meters(scope, agent or "", Window.DAY, days, services.clock.now_us())
    read = await read_meters(services.store, organization, meters)
    return [read[meter.name] for meter in meters]


async def read_spend_this_month(services: Services, organization: int, *, agent: str | None = None) -> int:
    """What was spent or is reserved in this month, in billionths of a US dollar."""
    scope = BudgetScope.ORGANIZATION if agent is None else BudgetScope.AGENT
    meter = money_meter(scope, agent or "", Window.MONTH, services.clock.now_us())
    return (await read_meters(services.store, organization, [meter]))[meter.name]


async def read_latency(services: Services, organization: int, since_us: int) -> Latency | None:
    """How long the newest decisions since then took; None where there were none."""
    wanted: Parameters = {"organization": organization, "from_us": since_us, "limit": DECISIONS_LOOKED_AT_MAX}
    took = sorted(integer(row[0]) for row in await services.store.rows("decision_latencies", wanted))
    if not took:
        return None
    return Latency(len(took), *(took[min(len(took) * share // 100, len(took) - 1)] for share in (50, 95, 99)))


async def count_agents_by_status(services: Services, organization: int) -> dict[AgentStatus, int]:
    """How many registered agents have each status that any has."""
    rows = await services.store.rows("agents_by_status", {"organization": organization})
    return {AgentStatus(str(status)): integer(count) for status, count in rows}


async def count_waiting_approvals(services: Services, organization: int) -> int:
    """How many approvals somebody could still decide."""
    rows = await services.store.rows(
        "approvals_waiting", {"organization": organization, "now_us": services.clock.now_us()}
    )
    return integer(rows[0][0])
