"""The newest logs as Datadog would hold them, for search and monitors; prepared when somebody first looks."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from execlave_server.sandbox.limits import PREPARE_SLICE_LOGS, SEARCHABLE_LOGS_MIN
from execlave_server.sandbox.log_spool import LogSpool
from execlave_server.sandbox.prepare_log import Arrival, prepare_log
from execlave_server.sandbox.prepared_file import PreparedFile
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.rules_in_force import RulesInForce

TOO_DEEP = b'{"message":"this log is nested too deeply for the sandbox"}'


class Place(NamedTuple):
    """Where a log stands in time order; unique, so it serves as a cursor too."""

    timestamp_ms: int
    sequence: int


@dataclass(slots=True)
class Waiting:
    """Logs that arrived in one request and are not prepared yet, with the rules in force then."""

    first: int  # sequence number
    count: int
    arrival: Arrival
    rules: RulesInForce


class LogIndex:
    """At least the newest `SEARCHABLE_LOGS_MIN` logs, at most twice as many, on disk.

    Preparing is put off, so that the intake's work stays what it was; what a log becomes depends on the rules in force
    at its arrival alone, so the delay cannot be seen.
    """

    def __init__(self, spool: LogSpool) -> None:
        self._spool = spool
        self._preparing = asyncio.Lock()
        self.indexing_delay_us = 0
        self._start()

    def _start(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._waiting_logs = 0
        self._older, self._newer = PreparedFile(), PreparedFile()
        self._first = 1  # sequence number of the first log in the older file

    @property
    def forgotten(self) -> int:
        """How many logs are no longer searchable."""
        return self._first - 1

    @property
    def searchable(self) -> int:
        """How many logs can be searched now."""
        return len(self._older) + len(self._newer)

    @property
    def waiting(self) -> int:
        """How many logs are accepted and not searchable yet."""
        return self._waiting_logs

    def expect(self, first: int, count: int, arrival: Arrival, rules: RulesInForce) -> None:
        """Note what arrived; `first` is its first sequence number."""
        if not count:
            return
        self._waiting.append(Waiting(first, count, arrival, rules))
        self._waiting_logs += count
        while self._waiting_logs - self._waiting[0].count >= 2 * SEARCHABLE_LOGS_MIN and not rules.metrics:
            self._drop_unprepared(self._waiting.popleft())

    def _drop_unprepared(self, lost: Waiting) -> None:
        """Too many newer ones came before anybody looked."""
        self._waiting_logs -= lost.count
        self._replace_files(lost.first + lost.count)

    def _replace_files(self, first: int) -> None:
        if self.searchable:
            self._older.close()
            self._newer.close()
            self._older, self._newer = PreparedFile(), PreparedFile()
        self._first = first

    async def catch_up(self, now_us: int) -> None:
        """Prepare all that waits and whose indexing delay is over."""
        async with self._preparing:
            while self._waiting and self._waiting[0].arrival.arrived_us + self.indexing_delay_us <= now_us:
                self._prepare_slice()
                await asyncio.sleep(0)

    def _prepare_slice(self) -> None:
        waiting = self._waiting[0]
        if len(self._newer) == SEARCHABLE_LOGS_MIN:
            self._first += len(self._older)
            self._older.close()
            self._older, self._newer = self._newer, PreparedFile()
        room = SEARCHABLE_LOGS_MIN - len(self._newer)
        stored = self._spool.page(waiting.first - 1, min(waiting.count, PREPARE_SLICE_LOGS, room))
        logs = [prepare(bytes(each.log), each.sequence, waiting) for each in stored]
        waiting.first += len(logs)
        waiting.count -= len(logs)
        self._waiting_logs -= len(logs)
        if not waiting.count:
            self._waiting.popleft()
        self._newer.append(logs)

    def places(self, from_ms: int, to_ms: int) -> list[Place]:
        """The places of the logs in a time range, both ends included, oldest first."""
        found = [
            Place(timestamp_ms, sequence)
            for sequence, timestamp_ms in enumerate(self._times(), self._first)
            if from_ms <= timestamp_ms <= to_ms
        ]
        found.sort()
        return found

    def _times(self) -> Iterator[int]:
        yield from self._older.times_ms
        yield from self._newer.times_ms

    def read(self, sequence: int) -> PreparedLog | None:
        """The log with this number; None when it is not searchable."""
        index = sequence - self._first
        if not 0 <= index < self.searchable:
            return None
        older = len(self._older)
        return self._older.read(index) if index < older else self._newer.read(index - older)

    async def walk(self, places: list[Place]) -> AsyncIterator[PreparedLog]:
        """The logs at these places, other requests having their turn meanwhile."""
        for number, place in enumerate(places):
            if number % PREPARE_SLICE_LOGS == PREPARE_SLICE_LOGS - 1:
                await asyncio.sleep(0)
            log = self.read(place.sequence)
            if log is not None:  # forgotten meanwhile
                yield log

    def clear(self) -> None:
        """Forget everything, what waits included."""
        self.close()
        self._start()

    def close(self) -> None:
        """Give the disk back."""
        self._older.close()
        self._newer.close()


def prepare(sent: bytes, sequence: int, waiting: Waiting) -> PreparedLog:
    """The log after preprocessing, pipelines and metrics; of one nested too deeply for them, a log that says so."""
    try:
        log = prepare_log(sent, sequence, waiting.arrival)
        waiting.rules.apply(log, waiting.arrival.arrived_us)
    except RecursionError:
        return prepare_log(TOO_DEEP, sequence, waiting.arrival)
    return log
