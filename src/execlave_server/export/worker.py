"""The export worker: a lane for each destination that collects, kept in step with the configuration."""

import asyncio

import structlog

from execlave_server.clock import Clock
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.errors import ExeclaveServerError, UnavailableError
from execlave_server.export.lane import IN_FLIGHT_MAX, Lane
from execlave_server.export.lane_metrics import WorkerMetrics
from execlave_server.model.destinations import Destination
from execlave_server.settings import Settings
from execlave_server.store.protocol import Store
from execlave_server.vault.envelope import Vault, api_key_of

CONFIGURATION_LOOK_S = 1.0  # how soon a changed destination is taken up
STOP_WITHIN_S = 10.0  # longer than a request under way may take

log = structlog.get_logger()


class ExportWorker:
    """Runs the lanes. A destination that is slow or held never delays another."""

    def __init__(
        self, store: Store, vault: Vault, clock: Clock, settings: Settings, metrics: WorkerMetrics | None = None
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._settings = settings
        self.metrics = metrics or WorkerMetrics()
        self._running: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._unusable: dict[str, int] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until `stopping` is set, then finish or release what is held."""
        while not stopping.is_set():
            try:
                destinations = await self._store.find(Destination, "all_destinations")
            except UnavailableError as error:
                log.warning("export.store_unavailable", error=str(error))
            else:
                self._follow(destinations)
            waiting = asyncio.create_task(stopping.wait())
            await asyncio.wait([waiting], timeout=CONFIGURATION_LOOK_S)
            waiting.cancel()
        self._follow([])
        if self._ending:
            await asyncio.wait(self._ending, timeout=STOP_WITHIN_S)

    def _follow(self, destinations: list[Destination]) -> None:
        wanted = {destination.id: destination for destination in destinations}
        for destination_id, (lane, task) in list(self._running.items()):
            current = wanted.get(destination_id)
            if task.done() or current is None or current.updated_at_us != lane.destination.updated_at_us:
                lane.stop()
                del self._running[destination_id]
        for destination in destinations:
            if destination.id not in self._running:
                self._start(destination)

    def _start(self, destination: Destination) -> None:
        try:
            bound_to = api_key_of(destination.organization_id, destination.id)
            key = self._vault.open(destination.sealed_key, bound_to=bound_to)
            connector = DatadogConnector(self._settings, connections=IN_FLIGHT_MAX + 1)  # and a heartbeat
            meter = self.metrics.lane(destination.organization_id, destination.id)
            public_url = self._settings.public_url
            lane = Lane(self._store, connector, self._clock, destination, key=key, meter=meter, public_url=public_url)
        except ExeclaveServerError as error:
            if self._unusable.get(destination.id) != destination.updated_at_us:
                log.error("export.destination_unusable", destination=destination.id, error=str(error))  # noqa: TRY400
            self._unusable[destination.id] = destination.updated_at_us
            return
        task = asyncio.create_task(_run_lane(lane, connector))
        self._running[destination.id] = (lane, task)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _run_lane(lane: Lane, connector: DatadogConnector) -> None:
    try:
        await lane.run()
    except Exception:
        log.exception("export.lane_failed", destination=lane.destination.id)
    finally:
        await connector.close()
