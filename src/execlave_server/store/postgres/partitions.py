"""The day partitions of traces: made ahead of time, and how many of them a retry is looked for in."""

from collections.abc import Mapping

from execlave_server.store.batches import RECENT_TRACES_MIN
from execlave_server.store.postgres.connection import Connection
from execlave_server.store.postgres.transaction import DAY_US, fetch
from execlave_server.store.protocol import integer
from execlave_server.store.statements import Statement

DAYS_AHEAD = 3  # made with the first commit of a day, so that no commit of the next one waits for it
LOOK_AGAIN_US = 3_600_000_000  # how long the answer to "which day had the 262,144th newest trace" is good enough


class Partitions:
    """Which days have a partition, as far as this process knows, and the oldest one to look for duplicates in."""

    def __init__(self, statements: Mapping[str, Statement]) -> None:
        self._statements = statements
        self._made: set[int] = set()
        self._oldest_recent_day = 0
        self._looked_at_us: int | None = None

    async def prepare(self, connection: Connection, now_us: int) -> int:
        """Make what is missing for today and the days ahead; the oldest day in which a repeat is recognised.

        That is yesterday, or the day of the 262,144th newest trace where that is longer ago.
        """
        today = now_us // DAY_US
        for day in range(today, today + DAYS_AHEAD + 1):
            if day not in self._made:
                await fetch(connection, self._statements["make_partition"], {"day": day})
                self._made.add(day)
        if self._looked_at_us is None or not 0 <= now_us - self._looked_at_us < LOOK_AGAIN_US:
            wanted = {"traces": RECENT_TRACES_MIN}
            found = await fetch(connection, self._statements["oldest_recent_trace"], wanted)
            self._oldest_recent_day = integer(found[0][0]) // DAY_US if found else 0
            self._looked_at_us = now_us
        return min(today - 1, self._oldest_recent_day)
