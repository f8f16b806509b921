"""Metrics on an address of their own, in either process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from execlave_server.metrics import CONTENT_TYPE
from execlave_server.settings import parse_address

log = structlog.get_logger()


@asynccontextmanager
async def metrics_listener(address: str, scrape: Callable[[], Awaitable[bytes]]) -> AsyncIterator[None]:
    """Answer GET /metrics at `host:port` meanwhile; nothing at all for an empty address.

    An address that is taken is logged and costs the metrics, not the process: governing and delivering matter more.
    """
    if not address:
        yield
        return
    from aiohttp import web  # noqa: PLC0415 - a tenth of a second that a process without a listener does without

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=await scrape(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    host, port = parse_address(address)
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        log.info("metrics.ready", address=f"{host}:{runner.addresses[0][1]}")
    except OSError as error:
        log.error("metrics.listener_failed", address=address, error=str(error))  # noqa: TRY400 - not our fault
    try:
        yield
    finally:
        await runner.cleanup()
