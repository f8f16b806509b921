"""The process that answers requests."""

import asyncio
import signal
import socket
import sys

import structlog
import uvicorn

from execlave_server.actions.note_settings import note_settings
from execlave_server.actions.read_metrics import read_metrics
from execlave_server.api.control import MESSAGE_BYTES_MAX, ControlChannel
from execlave_server.app.application import create_application
from execlave_server.app.database import clock_of
from execlave_server.app.installation import open_services
from execlave_server.app.locks import only_server
from execlave_server.app.metrics_listener import metrics_listener
from execlave_server.app.process import run, watch_parent
from execlave_server.app.upkeep import upkeep
from execlave_server.settings import Settings
from execlave_server.web.live import LivePages

FINISH_WITHIN_S = 5  # requests under way when the server is told to stop
# How long a thread that computes keeps the interpreter from one that waits for it; Python's own 5 ms is longer than a
# decision takes, and a decision changes threads twice.
SWITCH_INTERVAL_S = 0.000_5

log = structlog.get_logger()


def run_server(settings: Settings, listener: socket.socket, orphaned: int | None) -> None:
    """Answer requests on a listening socket until told to stop, or until the parent is gone."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with only_server(settings):
        run(_serve(settings, listener, orphaned))


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


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"
