"""The two processes that do the work: the server that answers, the worker that exports."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop

from execlave_server.actions.note_settings import note_settings
from execlave_server.actions.read_metrics import read_metrics
from execlave_server.api.control import MESSAGE_BYTES_MAX, ControlChannel
from execlave_server.app.application import create_application
from execlave_server.app.await_database import await_database
from execlave_server.app.database import StoreRole, clock_of, open_store
from execlave_server.app.installation import counted_worker, only_server, open_services, open_vault
from execlave_server.app.metrics_listener import metrics_listener
from execlave_server.app.upkeep import upkeep
from execlave_server.export.lane_metrics import WorkerMetrics
from execlave_server.export.worker import ExportWorker
from execlave_server.metrics import render
from execlave_server.settings import Settings
from execlave_server.store.protocol import Call, Write
from execlave_server.web.live import LivePages

FINISH_WITHIN_S = 5  # requests under way when the server is told to stop
GC_THRESHOLDS = (50_000, 20, 50)  # with the defaults a batch of traces set off dozens of collections
# How long a thread that computes keeps the interpreter from one that waits for it; Python's own 5 ms is longer than a
# decision takes, and a decision changes threads twice.
SWITCH_INTERVAL_S = 0.000_5
AUTOGROUP = Path("/proc/self/autogroup")
WORKER_NICENESS = 10  # where cores are short, a backlog waits for decisions and not the other way round
ORPHAN_EXIT_S = 8.0  # a process whose parent died is gone by then, whatever it does

log = structlog.get_logger()


def run_server(settings: Settings, listener: socket.socket, orphaned: int | None) -> None:
    """Answer requests on a listening socket until told to stop, or until the parent is gone."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with only_server(settings):
        _run(_serve(settings, listener, orphaned))


async def _serve(settings: Settings, listener: socket.socket, orphaned: int | None) -> None:
    async with (
        open_services(settings, clock_of(settings), serving=True) as services,
        upkeep(services),
        ControlChannel(services) as control,
    ):
        live = LivePages()
        config = uvicorn.Config(
            control.around(create_application(services, live)),
            loop="none",
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # Engine.IO has pings of its own
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=FINISH_WITHIN_S,
            ssl_certfile=settings.tls_cert_file or None,
            ssl_keyfile=settings.tls_key_file or None,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
        )
        server = uvicorn.Server(config)
        live.end_when(lambda: server.should_exit)

        def stop() -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # uvicorn raises what it caught once more when it is done
        watch_parent(orphaned, stop)
        await note_settings(services)
        log.info("server.ready", address=_address(listener))
        loading = asyncio.create_task(asyncio.to_thread(services.costs.load))  # before a trace needs it
        async with metrics_listener(settings.metrics_address, lambda: read_metrics(services)):
            await server.serve(sockets=[listener])
        await loading


def run_worker(settings: Settings, orphaned: int | None) -> None:
    """Export until told to stop, or until the parent is gone."""
    go_last()
    with counted_worker(settings) as alone:
        _run(_export(settings, orphaned, alone=alone))


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


def watch_parent(descriptor: int | None, stop: Callable[[], object]) -> None:
    """Call `stop` when the other end of a pipe closes, which a parent's death does; then make sure of it."""
    if descriptor is None:
        return

    def wait() -> None:
        os.read(descriptor, 1)
        log.info("process.parent_gone")
        stop()
        threading.Event().wait(ORPHAN_EXIT_S)
        os._exit(1)

    threading.Thread(target=wait, name="watch-parent", daemon=True).start()


def _run(main: Coroutine[Any, Any, None]) -> None:
    gc.collect()
    gc.freeze()  # what is imported stays: the collector need not walk it again and again
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"
