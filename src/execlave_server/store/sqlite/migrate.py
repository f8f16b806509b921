"""Numbered migrations, each applied once and in order."""

import apsw

from execlave_server.clock import Clock
from execlave_server.store.migrations import Migration, refuse_newer
from execlave_server.store.migrations import load_migrations as load


def load_migrations() -> list[Migration]:
    """Every migration, in order."""
    return load("sqlite")


def migrate(connection: apsw.Connection, clock: Clock) -> list[str]:
    """Bring the schema up to date; the names of the migrations applied.

    Raises DataDirError when the database was made by a newer version.
    """
    migrations = load_migrations()
    applied: list[str] = []
    if schema_version(connection) == migrations[-1][0]:
        return applied
    refuse_newer("This data directory", schema_version(connection), migrations[-1].number)
    with connection:
        connection.execute(
            "create table if not exists migrations "
            "(number integer primary key, name text not null, applied_at_us integer not null) strict"
        )
    for number, name, sql in migrations:
        connection.execute("begin immediate")
        try:
            done = connection.execute("select 1 from migrations where number = ?", (number,)).fetchone()
            if not done:
                connection.execute(sql)
                connection.execute("insert into migrations values (?, ?, ?)", (number, name, clock.now_us()))
                applied.append(name)
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")
    return applied


def schema_version(connection: apsw.Connection) -> int:
    """The number of the newest migration applied; 0 for a database that has none."""
    if not connection.table_exists("main", "migrations"):
        return 0
    return int(connection.execute("select coalesce(max(number), 0) from migrations").get)
