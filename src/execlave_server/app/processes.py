"""The two processes that do the work: the server that answers, the worker that exports."""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop

from execlave_server.actions.note_settings import note_settings
from execlave_server.actions.services import Services
from execlave_server.actions.sign_head import HeadKeeper
from execlave_server.api.routes import create_api
from execlave_server.app.installation import (
    StoreRole,
    counted_worker,
    only_server,
    open_services,
    open_store,
    open_vault,
)
from execlave_server.clock import SystemClock
from execlave_server.errors import ExeclaveServerError
from execlave_server.export.worker import ExportWorker
from execlave_server.settings import Settings
from execlave_server.store.protocol import Call, Write

FINISH_WITHIN_S = 5  # requests under way when the server is told to stop
GC_THRESHOLDS = (50_000, 20, 50)  # with the defaults a batch of traces set off dozens of collections
ORPHAN_EXIT_S = 8.0  # a process whose parent died is gone by then, whatever it does

log = structlog.get_logger()


def run_server(settings: Settings, listener: socket.socket, orphaned: int | None) -> None:
    """Answer requests on a listening socket until told to stop, or until the parent is gone."""
    with only_server(settings):
        _run(_serve(settings, listener, orphaned))


async def _serve(settings: Settings, listener: socket.socket, orphaned: int | None) -> None:
    async with open_services(settings, SystemClock(), serving=True) as services:
        config = uvicorn.Config(
            create_api(services),
            loop="none",
            http="httptools",
            ws="none",
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

        def stop() -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # uvicorn raises what it caught once more when it is done
        watch_parent(orphaned, stop)
        await note_settings(services)
        heads = asyncio.create_task(_write_heads(services)) if settings.audit_head_file else None
        log.info("server.ready", address=_address(listener))
        try:
            await server.serve(sockets=[listener])
        finally:
            if heads:
                heads.cancel()


async def _write_heads(services: Services) -> None:
    """Append the signed heads now and every so often; a file that cannot be written is complained of each time."""
    keeper = HeadKeeper(services, Path(services.settings.audit_head_file))
    while True:
        try:
            await keeper.write()
        except ExeclaveServerError as error:
            log.error("audit.heads_not_written", error=str(error))  # noqa: TRY400 - its text says it all
        await asyncio.sleep(services.settings.audit_head_minutes * 60)


def run_worker(settings: Settings, orphaned: int | None) -> None:
    """Export until told to stop, or until the parent is gone."""
    with counted_worker(settings) as alone:
        _run(_export(settings, orphaned, alone=alone))


async def _export(settings: Settings, orphaned: int | None, *, alone: bool) -> None:
    clock = SystemClock()
    vault = open_vault(settings)
    store = open_store(settings, clock, StoreRole.WORKER)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    watch_parent(orphaned, lambda: loop.call_soon_threadsafe(stopping.set))
    try:
        if alone:
            await store.commit(Write(calls=[Call("release_every_lease", {"now_us": clock.now_us()})]))
        log.info("worker.ready")
        await ExportWorker(store, vault, clock, settings).run(stopping)
    finally:
        await store.close()


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
