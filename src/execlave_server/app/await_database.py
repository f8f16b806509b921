"""A database that is away or recovering when a process starts is waited for, for a while and not in silence."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from execlave_server.clock import Clock
from execlave_server.errors import UnavailableError

WAIT_US_MAX = 120_000_000  # a PostgreSQL that recovers from a crash takes seconds, rarely minutes
LOOK_EVERY_S = 1.0

T = TypeVar("T")

log = structlog.get_logger()


async def await_database(work: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """Do something with the database as soon as it answers. Raises UnavailableError where it does not for long."""
    deadline_us = clock.elapsed_us() + WAIT_US_MAX
    while True:
        try:
            return await work()
        except UnavailableError as error:
            left_s = (deadline_us - clock.elapsed_us()) // 1_000_000
            if left_s <= 0:
                raise
            log.warning("database.awaited", error=str(error), gives_up_in_s=left_s)
        await asyncio.sleep(LOOK_EVERY_S)
