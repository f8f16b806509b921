"""What the database's own triggers refuse, done by whoever owns the database."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import apsw
import asyncpg

from execlave_server.settings import Settings


@contextmanager
def without_triggers(connection: apsw.Connection) -> Iterator[None]:
    """One transaction in which no trigger fires; they are all there again after it."""
    with connection:
        triggers = list(connection.execute("select name, sql from sqlite_schema where type = 'trigger'"))
        for name, _ in triggers:
            connection.execute(f"drop trigger {name}")
        yield
        for _, definition in triggers:
            connection.execute(definition)


async def tamper(settings: Settings, statement: str) -> None:
    """Run a statement on an installation's database, on either engine, while no trigger fires."""
    if not settings.database_url:
        with closing(apsw.Connection(str(settings.database))) as connection:
            connection.set_busy_timeout(5_000)
            with without_triggers(connection):
                connection.execute(statement)
        return
    session = await asyncpg.connect(settings.database_url)
    try:
        async with session.transaction():
            await session.execute("set local session_replication_role = replica")
            await session.execute(statement)
    finally:
        await session.close()
