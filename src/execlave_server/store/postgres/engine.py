"""The PostgreSQL store: readers, and the committers of the writer."""

import asyncio
from contextlib import suppress

import msgspec

from execlave_server.clock import Clock
from execlave_server.errors import UnavailableError
from execlave_server.store.postgres.clock import DatabaseClock
from execlave_server.store.postgres.connection import close, connect, translated_errors
from execlave_server.store.postgres.migrate import migrate, require_schema
from execlave_server.store.postgres.readers import Readers
from execlave_server.store.postgres.writer import Writer
from execlave_server.store.protocol import Durability, Parameters, Row, RowType, Write, Written, integer
from execlave_server.store.statements import load_statements

READERS = 4  # reads are short; a connection costs the database a process
LOOK_AT_CLOCK_S = 5.0


async def create_database(url: str, clock: Clock) -> None:
    """Make the schema in a database, or bring it up to date. Raises as `migrate_database`."""
    await _migrate(url, clock, create=True)


async def migrate_database(url: str, clock: Clock) -> list[str]:
    """Bring the schema of a database up to date; the names of the migrations applied.

    Raises SettingsError for a wrong address, UnavailableError, DataDirError for a newer schema or none.
    """
    return await _migrate(url, clock, create=False)


async def _migrate(url: str, clock: Clock, *, create: bool) -> list[str]:
    connection = await connect(url, Durability.FULL)
    try:
        with translated_errors():
            return await migrate(connection, clock, create=create)
    finally:
        await close(connection)


class PostgresStore:
    """Implements `store.protocol.Store` on one PostgreSQL database. Use `open`."""

    def __init__(self, url: str, clock: Clock, durability: Durability, readers: int) -> None:
        self._statements = load_statements("postgres")
        self._clock = clock
        self._readers = Readers(url, readers)
        self._writer = Writer(url, durability, self._statements, clock)
        self._timekeeper: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str, clock: Clock, *, durability: Durability, readers: int = READERS) -> "PostgresStore":
        """Open a database that has the current schema. Raises as `migrate_database`."""
        connection = await connect(url, durability)
        try:
            with translated_errors():
                await require_schema(connection)
        finally:
            await close(connection)
        store = cls(url, clock, durability, readers)
        if isinstance(clock, DatabaseClock):
            await store._look_at_clock(clock)
            store._timekeeper = asyncio.create_task(store._keep_time(clock))
        return store

    async def rows(self, statement: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a reading statement, as plain tuples."""
        return [tuple(row) for row in await self._readers.fetch(self._statements[statement], parameters or {})]

    async def find(
        self, row_type: type[RowType], statement: str, parameters: Parameters | None = None
    ) -> list[RowType]:
        """The rows of a reading statement, by column name, as structs."""
        rows = await self._readers.fetch(self._statements[statement], parameters or {})
        return [msgspec.convert(dict(row), row_type, strict=False) for row in rows]

    async def commit(self, write: Write) -> Written:
        """Commit a write together with those that wait beside it."""
        return await self._writer.submit(write)

    async def close(self) -> None:
        """Commit what waits, close every connection."""
        if self._timekeeper:
            self._timekeeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._timekeeper
        await self._writer.stop()
        await self._readers.close()

    async def _keep_time(self, clock: DatabaseClock) -> None:
        while True:
            await asyncio.sleep(LOOK_AT_CLOCK_S)
            if clock.should_look:
                with suppress(UnavailableError):  # this machine carries the time on meanwhile
                    await self._look_at_clock(clock)

    async def _look_at_clock(self, clock: DatabaseClock) -> None:
        asked_at_us = clock.elapsed_us()
        clock.saw(integer((await self.rows("clock"))[0][0]), asked_at_us)
