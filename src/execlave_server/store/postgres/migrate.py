"""Numbered migrations, each applied once and in order, by one server at a time."""

import asyncpg

from execlave_server.clock import Clock
from execlave_server.errors import DataDirError
from execlave_server.store.migrations import load_migrations, refuse_newer, refuse_older
from execlave_server.store.postgres.connection import Connection

NO_INSTALLATION = "There is no installation in the database yet. Make one: execlave-server init"
_WHERE = "The database"
_LOCK = "select pg_advisory_lock(1163412800, 1)"
_UNLOCK = "select pg_advisory_unlock(1163412800, 1)"
_LIST = (
    "create table if not exists migrations "
    "(number bigint primary key, name text not null, applied_at_us bigint not null)"
)


async def migrate(connection: Connection, clock: Clock, *, create: bool) -> list[str]:
    """Bring the schema up to date; the names of the migrations applied.

    Several servers may do so at once: one does, the others wait. Raises DataDirError when the database was made by a
    newer version, or where there is none and none is to be made.
    """
    migrations = load_migrations("postgres")
    applied: list[str] = []
    await connection.execute("set lock_timeout = 0")  # a predecessor may need its time
    await connection.execute(_LOCK, timeout=None)
    try:
        version = await schema_version(connection)
        refuse_newer(_WHERE, version, migrations[-1].number)
        if version == migrations[-1].number:
            return applied
        if version == 0 and not create:
            raise DataDirError(NO_INSTALLATION)
        await connection.execute(_LIST)
        for migration in migrations:
            if migration.number <= version:
                continue
            async with connection.transaction():
                await connection.execute(migration.sql, timeout=None)
                row = (migration.number, migration.name, clock.now_us())
                await connection.execute("insert into migrations values ($1, $2, $3)", *row)
            applied.append(migration.name)
    finally:
        await connection.execute(_UNLOCK)
    return applied


async def schema_version(connection: Connection) -> int:
    """The number of the newest migration applied; 0 for a database that has none."""
    try:
        return int(await connection.fetchval("select coalesce(max(number), 0) from migrations"))
    except asyncpg.UndefinedTableError:
        return 0


async def require_schema(connection: Connection) -> None:
    """Raise DataDirError unless the database has the schema that this program knows."""
    version, known = await schema_version(connection), load_migrations("postgres")[-1].number
    refuse_newer(_WHERE, version, known)
    if version == 0:
        raise DataDirError(NO_INSTALLATION)
    refuse_older(_WHERE, version, known, "execlave-server migrate")
