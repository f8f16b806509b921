import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from execlave_server.clock import Clock
from execlave_server.sandbox.application import create_app
from execlave_server.sandbox.limits import SHUTDOWN_GRACE_S
from execlave_server.sandbox.state import STATE


async def run_sandbox(
    host: str,
    port: int,
    keys: Iterable[str],
    clock: Clock,
    ready: Callable[[int], None],
    *,
    application_keys: Iterable[str] = (),
) -> None:
    """Serve until cancelled. `ready` is called once with the bound port, which matters when `port` is 0.

    Raises OSError when the address cannot be bound. A cancelled sandbox stops within about a second.
    """
    async with serve_sandbox(host, port, keys, clock, application_keys) as bound_port:
        ready(bound_port)
        await asyncio.Event().wait()


@asynccontextmanager
async def serve_sandbox(
    host: str, port: int, keys: Iterable[str], clock: Clock, application_keys: Iterable[str] = ()
) -> AsyncIterator[int]:
    """Serve inside the `async with`, which is given the bound port. Without application keys any one is taken."""
    runner = web.AppRunner(
        create_app(keys, clock, application_keys),
        access_log=None,
        auto_decompress=False,  # aiohttp would expand a body without a bound of ours
        handler_cancellation=True,  # a hung request ends when its client goes
        shutdown_timeout=SHUTDOWN_GRACE_S,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        runner.app[STATE].base_url = f"http://{f'[{host}]' if ':' in host else host}:{site.port}"
        yield site.port
    finally:
        await runner.cleanup()
