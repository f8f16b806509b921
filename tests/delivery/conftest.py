"""A worker on a real store, delivering to a real sandbox, with a clock that tests may push forward."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from execlave_server.actions.configure_destination import Wanted, add_destination, enable_destination, get_destination
from execlave_server.actions.ingest_traces import ingest_traces
from execlave_server.actions.issue_key import create_organization, issue_key
from execlave_server.actions.read_deliveries import (
    DeliveryCounts,
    DeliveryStanding,
    count_deliveries,
    read_standings,
)
from execlave_server.actions.services import Services
from execlave_server.actions.try_destination import try_destination
from execlave_server.api.trace_items import read_items
from execlave_server.app.installation import initialise, open_services
from execlave_server.clock import SystemClock
from execlave_server.export.worker import ExportWorker
from execlave_server.model.destinations import Destination, DestinationState
from execlave_server.model.organizations import KeyEnvironment, Organization, Role
from execlave_server.model.secret import Secret
from execlave_server.sandbox.serve import serve_sandbox
from execlave_server.settings import Settings

KEY = "0123456789abcdef0123456789abcdef"
WITHIN_S = 60.0  # beyond the 30 s that a held destination waits where its probe began just before a clock is pushed


class PushedClock(SystemClock):
    """The machine's clock. `pushed_us` more have passed; the wall clock was set forward by `set_us`, or back."""

    pushed_us = 0
    set_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.pushed_us + self.set_us

    def elapsed_us(self) -> int:
        return super().elapsed_us() + self.pushed_us


@dataclass
class Rig:
    services: Services
    organization: Organization
    clock: PushedClock
    agent_key: str
    sandbox_url: str
    session: aiohttp.ClientSession
    destination: Destination

    async def ingest(self, count: int, *, prefix: str = "t", **fields: Any) -> None:
        for start in range(0, count, 1_000):
            items = [
                {"traceId": f"{prefix}{number}", "status": "success", "metadata": {"spanId": "s"}, **fields}
                for number in range(start, min(start + 1_000, count))
            ]
            sent, refused = read_items(json.dumps({"traces": items}).encode())
            assert not refused
            await ingest_traces(self.services, self.agent_key, sent)

    async def faults(self, *rules: dict[str, Any]) -> None:
        async with self.session.post(f"{self.sandbox_url}/sandbox/faults", json={"rules": list(rules)}) as answer:
            assert answer.status == 200, await answer.text()

    async def keys(self, *keys: str) -> None:
        async with self.session.put(f"{self.sandbox_url}/sandbox/keys", json={"keys": list(keys)}) as answer:
            assert answer.status == 200

    async def until_met(self, count: int) -> None:
        """Until so many requests have met a fault."""
        async with asyncio.timeout(WITHIN_S):
            while (await self._stats())["faults_applied"] < count:
                await asyncio.sleep(0.02)

    async def _stats(self) -> dict[str, Any]:
        async with self.session.get(f"{self.sandbox_url}/sandbox/stats") as answer:
            return await answer.json()

    async def logs(self) -> list[dict[str, Any]]:
        return [log for log in await self.every_log() if "trace_id" in log]

    async def every_log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            async with self.session.get(f"{self.sandbox_url}/sandbox/logs?after={after}&limit=10000") as answer:
                page = await answer.json()
            if not page["data"]:
                return [each["log"] for each in found]
            found += page["data"]
            after = page["meta"]["next"]

    async def counts(self) -> DeliveryCounts:
        return (await count_deliveries(self.services, self.organization.number))[0]

    async def reload(self) -> Destination:
        return await get_destination(self.services, self.organization.number, self.destination.id)

    async def until_held(self) -> Destination:
        async with asyncio.timeout(WITHIN_S):
            while (destination := await self.reload()).state is not DestinationState.HELD:
                await asyncio.sleep(0.02)
        return destination

    async def until(self, holds: Callable[[DeliveryCounts], bool], *, pushing_us: int = 0) -> DeliveryCounts:
        """With `pushing_us` time passes so much faster each second: a wait that begins just now ends too."""
        async with asyncio.timeout(WITHIN_S):
            looks = 0
            while not holds(counts := await self.counts()):
                self.clock.pushed_us += pushing_us if looks % 50 == 0 else 0
                looks += 1
                await asyncio.sleep(0.02)
        return counts

    async def until_standing(self, holds: Callable[[DeliveryStanding], bool]) -> DeliveryStanding:
        async with asyncio.timeout(WITHIN_S):
            while not holds(standing := (await read_standings(self.services, self.organization.number))[0]):
                await asyncio.sleep(0.02)
        return standing

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[ExportWorker]:
        stopping = asyncio.Event()
        worker = ExportWorker(self.services.store, self.services.vault, self.clock, self.services.settings)
        task = asyncio.create_task(worker.run(stopping))
        try:
            yield worker
        finally:
            stopping.set()
            await task


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that open the database's file beside the product run on SQLite alone."""
    for item in items:
        if item.get_closest_marker("sqlite") and "[postgres" in item.name:
            item.add_marker(pytest.mark.skip(reason="opens the SQLite file"))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Each engine in turn: empty for SQLite, the address of a new PostgreSQL database."""
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("postgres")
    yield server.database_of(tmp_path)
    server.drop_database_of(tmp_path)


@pytest.fixture
async def rig(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """A store with an enabled destination that is a sandbox."""
    clock = PushedClock()
    async with serve_sandbox("127.0.0.1", 0, [KEY], clock) as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        settings = Settings(data_dir=tmp_path / "data", datadog_sandbox_url=url, database_url=database_url)
        await initialise(settings, clock)
        async with open_services(settings, clock, serving=True) as services:
            organization = await create_organization(services, "test")
            _, key = await issue_key(
                services, organization, name="", environment=KeyEnvironment.PRODUCTION, role=Role.AGENT
            )
            wanted = Wanted(site="sandbox", api_key=Secret(KEY), heartbeat=False, events=False)  # tests count logs
            destination = await add_destination(services, organization.id, organization.number, wanted)
            await try_destination(services, organization.number, destination.id)
            destination = await enable_destination(services, organization.number, destination.id)
            yield Rig(services, organization, clock, key.reveal(), url, session, destination)
