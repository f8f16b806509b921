"""The SQLite store: readers in a pool, writes through the one writer."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import msgspec

from execlave_server.clock import Clock
from execlave_server.errors import DataDirError
from execlave_server.store.batches import TraceKey, key_of
from execlave_server.store.migrations import refuse_newer, refuse_older
from execlave_server.store.protocol import Durability, Parameters, Row, RowType, Write, Written, integer
from execlave_server.store.sqlite.checkpointer import Checkpointer
from execlave_server.store.sqlite.connection import connect, refuse_affected_sqlite, translated_errors
from execlave_server.store.sqlite.migrate import load_migrations, migrate, schema_version
from execlave_server.store.sqlite.recent_keys import BUCKET_BITS, RECENT_BUCKETS
from execlave_server.store.sqlite.writer import Writer
from execlave_server.store.statements import load_statements

# Read on the event loop itself: a few rows by key, out of pages that are always in memory, for every decision. That
# takes 40 us; a thread of the pool costs more, and three waits for the interpreter beside whatever else runs.
POINT_READS = frozenset({"read_meters", "tool_baseline"})
READERS = 3  # in a server: reads are short, more threads only fight for the interpreter


def create_database(path: Path, clock: Clock) -> None:
    """Make a new database with the current schema. Raises DataDirError when the file cannot be made."""
    refuse_affected_sqlite(apsw.sqlite_lib_version())
    try:
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise DataDirError(f"The database {path} cannot be made: {error.strerror}.") from error
    migrate_database(path, clock)


def migrate_database(path: Path, clock: Clock) -> list[str]:
    """Bring an existing database up to date; the names of the migrations applied."""
    refuse_affected_sqlite(apsw.sqlite_lib_version())
    connection = connect(path, Durability.FULL)
    try:
        with translated_errors():
            return migrate(connection, clock)
    finally:
        connection.close()


class SqliteStore:
    """Implements `store.protocol.Store` on one SQLite file."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        durability: Durability,
        checkpoints: bool = False,
        cache_kib: int = 4_000,
        readers: int = READERS,
        on_commit: Callable[[int], object] | None = None,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        refuse_affected_sqlite(apsw.sqlite_lib_version())
        self._path = path
        self._statements = load_statements("sqlite")
        connection = connect(path, durability, cache_kib=cache_kib)
        require_schema(connection, path)
        self.writer = Writer(connection, self._statements, clock, on_commit=on_commit, make_room=make_room)
        self._write_connection = connection
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._reader_connections: list[apsw.Connection] = []
        self._checkpointer = Checkpointer(connect(path, durability), self.writer.log_is_long) if checkpoints else None
        if self._checkpointer:
            self._checkpointer.start()
        self.writer.start(self._recent_keys() if checkpoints else set())

    async def rows(self, statement: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a reading statement, as plain tuples."""
        if statement in POINT_READS:
            return self._read(statement, parameters or {})
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, statement, parameters or {})

    async def find(
        self, row_type: type[RowType], statement: str, parameters: Parameters | None = None
    ) -> list[RowType]:
        """The rows of a reading statement, by column name, as structs."""
        if statement in POINT_READS:
            return self._find(row_type, statement, parameters or {})
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, self._find, row_type, statement, parameters or {}
        )

    async def commit(self, write: Write) -> Written:
        """Commit a write together with those that wait beside it."""
        return await self.writer.submit(write)

    async def close(self) -> None:
        """Commit what waits, fold the log, close every connection."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self.writer.stop()
        self._readers.shutdown()
        for connection in self._reader_connections:
            connection.close()
        if self._checkpointer:
            self._checkpointer.stop()
        self._write_connection.close()

    def _reader(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path, Durability.NORMAL, read_only=True)
            self._local.connection = connection
            self._reader_connections.append(connection)
        return connection

    def _read(self, statement: str, parameters: Parameters) -> list[Row]:
        with translated_errors():
            return list(self._reader().execute(self._statements[statement].sql, parameters))

    def _find(self, row_type: type[RowType], statement: str, parameters: Parameters) -> list[RowType]:
        with translated_errors():
            cursor = self._reader().execute(self._statements[statement].sql, parameters)
            first = cursor.fetchone()
            if first is None:
                return []
            columns = [column[0] for column in cursor.get_description()]
            rows = [first, *cursor]
        return [msgspec.convert(dict(zip(columns, row, strict=True)), row_type, strict=False) for row in rows]

    def _recent_keys(self) -> set[TraceKey]:
        newest = self._read("newest_trace", {})[0][0]
        bucket = max(0, (integer(newest or 0) >> BUCKET_BITS) - RECENT_BUCKETS + 1)
        return {key_of(integer(trace), integer(span)) for trace, span in self._read("recent_keys", {"bucket": bucket})}


def require_schema(connection: apsw.Connection, path: Path) -> None:
    """Raise DataDirError unless the database has the schema that this program knows."""
    version, known = schema_version(connection), load_migrations()[-1][0]
    refuse_newer(str(path.parent), version, known)
    refuse_older(str(path.parent), version, known, f"execlave-server migrate --data-dir {path.parent}")
