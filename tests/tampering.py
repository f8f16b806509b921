"""What the database's own triggers refuse, done by whoever owns the database."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw


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
