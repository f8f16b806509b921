"""The process that exports."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import structlog

from execlave_server.app.await_database import await_database
from execlave_server.app.database import StoreRole, clock_of, open_store
from execlave_server.app.key_file import open_vault
from execlave_server.app.locks import counted_worker
from execlave_server.app.metrics_listener import metrics_listener
from execlave_server.app.process import run, watch_parent
from execlave_server.export.lane_metrics import WorkerMetrics
from execlave_server.export.worker import ExportWorker
from execlave_server.metrics import render
from execlave_server.settings import Settings
from execlave_server.store.protocol import Call, Write

AUTOGROUP = Path("/proc/self/autogroup")
WORKER_NICENESS = 10  # where cores are short, a backlog waits for decisions and not the other way round

log = structlog.get_logger()


def run_worker(settings: Settings, orphaned: int | None) -> None:
    """Export until told to stop, or until the parent is gone."""
    go_last()
    with counted_worker(settings) as alone:
        run(_export(settings, orphaned, alone=alone))


async def _export(settings: Settings, orphaned: int | None, *, alone: bool) -> None:
    clock = clock_of(settings)
    vault = open_vault(settings)
    store = await await_database(lambda: open_store(settings, clock, StoreRole.WORKER), clock)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    watch_parent(orphaned, lambda: loop.call_soon_threadsafe(stopping.set))
    try:
        if alone:
            await store.commit(Write(calls=[Call("release_every_lease", {"now_us": clock.now_us()})]))
        log.info("worker.ready")
        metrics = WorkerMetrics()

        async def scrape() -> bytes:
            return render(metrics.registry)

        async with metrics_listener(settings.worker_metrics_address, scrape):
            await ExportWorker(store, vault, clock, settings, metrics).run(stopping)
    finally:
        await store.close()


def go_last() -> None:
    """Lower this process's priority.

    Linux by default shares the cores out among sessions, and a priority counts within its own only: a process that
    leads a session, as the worker of `serve` does, lowers that of its session too.
    """
    os.nice(WORKER_NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # another system, or a kernel that does not
            AUTOGROUP.write_text(str(WORKER_NICENESS))
