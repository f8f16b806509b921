"""Every row of every table, as they are: what moving from another database writes, in one transaction."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from execlave_server.errors import DataDirError
from execlave_server.store.postgres.connection import Connection, close, connect, translated_errors
from execlave_server.store.postgres.migrate import require_schema
from execlave_server.store.protocol import Durability, Row

_OF_THE_DATABASE = {"migrations", "commit_marks"}  # they tell of this database, not of what it keeps
_TABLES = """
    select relname from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
      and not relispartition order by relname
"""
_COLUMNS = """
    select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
      and attgenerated = '' order by attnum
"""
_REFERENCES = """
    select distinct conrelid::regclass::text, confrelid::regclass::text from pg_constraint
    where contype = 'f' and conrelid <> confrelid
"""
_NUMBERED = """
    select attrelid::regclass::text, attname from pg_attribute join pg_class on pg_class.oid = attrelid
    where attidentity <> '' and relnamespace = current_schema()::regnamespace
"""
_INT64 = 1 << 64


class WholeTables:
    """Writes into an empty database of the current schema; nothing stays unless the whole context succeeds."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def filling(cls, url: str) -> AsyncIterator["WholeTables"]:
        """One transaction, committed at the end. Raises DataDirError when the database is not empty."""
        connection = await connect(url, Durability.FULL)
        try:
            with translated_errors():
                await require_schema(connection)
                async with connection.transaction():
                    tables = cls(connection)
                    names = await tables.names()
                    await tables._require_empty(names)
                    for name in names:
                        await connection.execute(f'alter table "{name}" disable trigger user')  # rows come as they were
                    yield tables
                    for name in names:
                        await connection.execute(f'alter table "{name}" enable trigger user')
                    await tables._go_on_numbering()
        finally:
            await close(connection)

    async def names(self) -> list[str]:
        """The tables of an installation, those that others refer to first."""
        left = [row[0] for row in await self._connection.fetch(_TABLES) if row[0] not in _OF_THE_DATABASE]
        references = [tuple(row) for row in await self._connection.fetch(_REFERENCES)]
        ordered: list[str] = []
        while left:
            free = [name for name in left if all(to not in left for of, to in references if of == name)]
            ordered += free or left
            left = [name for name in left if name not in ordered]
        return ordered

    async def columns(self, table: str) -> list[str]:
        """The columns of a table."""
        return [row[0] for row in await self._connection.fetch(_COLUMNS, f'"{table}"')]

    async def make_day(self, day: int) -> None:
        """Make the partition of a day of traces."""
        await self._connection.execute("select make_trace_partition($1)", day)

    async def insert(self, table: str, columns: Sequence[str], rows: list[Row]) -> list[Row]:
        """Write rows; returns them as they were written.

        SQLite may hold a repeat that came too late to be recognised, here it may fall on the day of the first: its
        span key is changed, which only means that a third one is compared with the first.
        """
        try:
            async with self._connection.transaction():
                await self._connection.copy_records_to_table(table, records=rows, columns=columns)
        except asyncpg.UniqueViolationError:
            if table != "traces":
                raise
        else:
            return rows
        place, written = columns.index("span_key"), []
        for row in rows:
            try:
                async with self._connection.transaction():
                    await self._connection.copy_records_to_table(table, records=[row], columns=columns)
            except asyncpg.UniqueViolationError:
                changed = (*row[:place], _moved(row[place], row[columns.index("id")]), *row[place + 1 :])
                await self._connection.copy_records_to_table(table, records=[changed], columns=columns)
                written.append(changed)
            else:
                written.append(row)
        return written

    async def steps(self, table: str, columns: Sequence[str], size: int) -> AsyncIterator[list[Row]]:
        """The rows that are there now, so many at a time."""
        names = ", ".join(f'"{column}"' for column in columns)
        await self._connection.execute(f'declare "every_{table}" no scroll cursor for select {names} from "{table}"')  # noqa: S608 - the schema's own names
        while step := await self._connection.fetch(f'fetch forward {size} from "every_{table}"'):
            yield [tuple(row) for row in step]
        await self._connection.execute(f'close "every_{table}"')

    async def _require_empty(self, names: Sequence[str]) -> None:
        for name in names:
            if await self._connection.fetchval(f'select exists (select from "{name}")'):  # noqa: S608 - as above
                raise DataDirError(
                    f"The database to copy to is not empty: there are rows in {name}. Copy into a new database."
                )

    async def _go_on_numbering(self) -> None:
        for table, column in await self._connection.fetch(_NUMBERED):
            await self._connection.execute(
                f"select setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 0) + 1, false) "  # noqa: S608 - as above
                f"from {table}"
            )
        await self._connection.execute("select setval('trace_ids', coalesce(max(id), 0) + 1, false) from traces")


def _moved(key: object, row_id: object) -> int:
    if not isinstance(key, int) or not isinstance(row_id, int):
        raise TypeError("keys and ids of traces are integers")
    moved = (key + row_id) % _INT64
    return moved - _INT64 if moved >= _INT64 // 2 else moved
