"""Every row of every table, as they are: what moving to another database reads."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from execlave_server.store.protocol import Durability, Row, integer
from execlave_server.store.sqlite.connection import connect, translated_errors
from execlave_server.store.sqlite.engine import require_schema

_WITH_TIME = """
    select {columns}, b.received_at_us from {table} t join batches b on b.id = t.batch
"""


class WholeTables:
    """Reads a database of the current schema in one snapshot. Names of tables and columns are the schema's own."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, Durability.FULL, read_only=True)
        require_schema(self._connection, path)
        self._connection.execute("begin")

    def close(self) -> None:
        """End the snapshot."""
        self._connection.close()

    def columns(self) -> dict[str, list[str]]:
        """The columns of each table."""
        with translated_errors():
            tables = self._connection.execute(
                "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by name"
            )
            return {
                str(table): [str(row[1]) for row in self._connection.execute(f'pragma table_info("{table}")')]
                for (table,) in tables.fetchall()
            }

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with translated_errors():
            return integer(self._connection.execute(f'select count(*) from "{table}"').fetchall()[0][0])  # noqa: S608 - the schema's own name

    def steps(self, table: str, columns: Sequence[str], size: int, *, of_batches: bool) -> Iterator[list[Row]]:
        """The rows, so many at a time; `of_batches` adds the receive time of each row's batch at the end."""
        names = ", ".join(f't."{column}"' for column in columns)
        pattern = _WITH_TIME if of_batches else "select {columns} from {table} t"
        with translated_errors():
            cursor = self._connection.execute(pattern.format(columns=names, table=f'"{table}"'))
            while step := list(islice(cursor, size)):
                yield step
