"""The server's metrics as they are now: counters as they stand, gauges read from the store."""

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.errors import UnavailableError
from execlave_server.metrics import DestinationNow, render

READ_EVERY_US = 5_000_000  # the sum of a long backlog costs some 10 ms: not at every scrape of many


class DestinationStanding(Struct, frozen=True):
    """How long a destination's queue is, and since when."""

    id: str
    organization_id: str
    state: str
    waiting: int
    oldest_waiting_at_us: int | None


class ParkedCount(Struct, frozen=True):
    """How many logs of a destination are parked for one reason."""

    id: str
    organization_id: str
    reason: str
    logs: int


async def read_metrics(services: Services) -> bytes:
    """What Prometheus scrapes of the server. While the store cannot be read, without what is read from it."""
    metrics, now_us = services.metrics, services.clock.elapsed_us()
    if now_us >= metrics.read_again_us:
        metrics.read_again_us = now_us + READ_EVERY_US
        try:
            await _read_destinations(services)
        except UnavailableError:
            metrics.show_destinations([], [])
    log = services.settings.database.with_name(services.settings.database.name + "-wal")
    metrics.show_wal(log.stat().st_size if log.exists() else 0)
    return render(metrics.registry)


async def _read_destinations(services: Services) -> None:
    standings = await services.store.find(DestinationStanding, "destination_standings")
    parked = await services.store.find(ParkedCount, "parked_by_reason")
    now_us = services.clock.now_us()
    shown = [
        DestinationNow(
            each.organization_id,
            each.id,
            each.state,
            each.waiting,
            0 if each.oldest_waiting_at_us is None else max(0, now_us - each.oldest_waiting_at_us) / 1e6,
        )
        for each in standings
    ]
    services.metrics.show_destinations(
        shown, [(each.organization_id, each.id, each.reason, each.logs) for each in parked]
    )
