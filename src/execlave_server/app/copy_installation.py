"""Moves an installation from SQLite to PostgreSQL: everything or nothing, and checked before it counts."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from execlave_server.app.database import require_database
from execlave_server.app.locks import alone
from execlave_server.clock import Clock
from execlave_server.errors import DataDirError
from execlave_server.settings import Settings
from execlave_server.store import postgres
from execlave_server.store.postgres.whole_tables import WholeTables as Target
from execlave_server.store.protocol import Row, Value, integer
from execlave_server.store.sqlite.whole_tables import WholeTables as Source

ROWS_PER_STEP = 2_000  # a few megabytes of traces
_DAY_US = postgres.DAY_US
_NUL, _NUL_SHOWN = "\0", "\u2400"  # PostgreSQL keeps no NUL in a text; this is its symbol
_SUM = 1 << 128

Report = Callable[[int, int], object]


@dataclass(slots=True)
class TableSum:
    """Rows and a checksum of them that does not depend on their order."""

    rows: int = 0
    sum: int = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows in."""
        for row in rows:
            self.rows += 1
            self.sum = (self.sum + int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest())) % _SUM


async def copy_installation(source: Settings, url: str, clock: Clock, report: Report) -> dict[str, int]:
    """Copy the SQLite installation of a data directory into an empty PostgreSQL database; rows by table.

    Nothing may serve the source meanwhile. `report` is told (rows done, rows in all); each row counts twice, since
    it is read back. Raises DataDirError when the source is in use, the target not empty, or a check fails.
    """
    require_database(source)
    with alone(source), closing(Source(source.database)) as tables:
        await postgres.create_database(url, clock)
        async with Target.filling(url) as target:
            return await _copy(tables, target, report)


async def _copy(source: Source, target: Target, report: Report) -> dict[str, int]:
    of_source, names = source.columns(), await target.names()
    columns = {name: await target.columns(name) for name in names}
    _require_same(of_source, columns)
    expected = {name: source.count(name) for name in names}
    in_all, done = 2 * sum(expected.values()), 0
    written = {name: TableSum() for name in names}
    days: set[int] = set()
    for name in names:
        is_traces = name == "traces"
        order = _in_order(columns[name])
        wanted = order[:-1] if is_traces else order
        for step in source.steps(name, wanted, ROWS_PER_STEP, of_batches=is_traces):
            rows = [_as_text_allows(row) for row in step]
            if is_traces:
                rows = [(*row[:-1], integer(row[-1]) // _DAY_US) for row in rows]
                for day in {integer(row[-1]) for row in rows} - days:
                    await target.make_day(day)
                    days.add(day)
            written[name].add(await target.insert(name, order, rows))
            done += len(rows)
            report(done, in_all)
    for name in names:
        found = TableSum()
        async for rows in target.steps(name, _in_order(columns[name]), ROWS_PER_STEP):
            found.add(rows)
            done += len(rows)
            report(done, in_all)
        if found != written[name] or found.rows != expected[name]:
            raise DataDirError(
                f"The copy of {name} differs from what was read: {expected[name]} rows there, {found.rows} here. "
                "Nothing was copied. Run `execlave-server doctor` on the data directory, then copy again."
            )
    return expected


def _in_order(columns: Sequence[str]) -> list[str]:
    """The columns, and last the day of a trace, which SQLite does not have."""
    return sorted(columns, key=lambda column: column == "day")


def _require_same(source: dict[str, list[str]], target: dict[str, list[str]]) -> None:
    """Raise DataDirError unless both schemas have the same tables and columns, but for how each divides traces."""
    for name in sorted((source.keys() - {"migrations"}) | target.keys()):
        here = set(source.get(name, ())) - ({"bucket"} if name == "traces" else set())
        there = set(target.get(name, ())) - ({"day"} if name == "traces" else set())
        if here != there:
            raise DataDirError(f"The schemas differ in {name}: {', '.join(sorted(here ^ there))}. Nothing was copied.")


def _as_text_allows(row: Row) -> Row:
    if any(isinstance(value, str) and _NUL in value for value in row):
        return tuple(_shown(value) for value in row)
    return row


def _shown(value: Value) -> Value:
    return value.replace(_NUL, _NUL_SHOWN) if isinstance(value, str) else value
