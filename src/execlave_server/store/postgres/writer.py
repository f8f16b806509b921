"""Group commit on PostgreSQL: three committers, each of which puts all that waits for it into one transaction."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import structlog

from execlave_server.clock import Clock
from execlave_server.errors import ExeclaveServerError, UnavailableError
from execlave_server.store.batches import Label, remember_labels
from execlave_server.store.grouping import (
    OVERLOADED,
    STOPPING,
    TRACES_PER_COMMIT_MAX,
    WAITING_WRITES_MAX,
    WRITES_PER_COMMIT_MAX,
    Job,
    Result,
    answer_jobs,
    stale,
)
from execlave_server.store.postgres.connection import LOST, Connection, close, connect, translated_errors
from execlave_server.store.postgres.partitions import Partitions
from execlave_server.store.postgres.transaction import Transaction, fetch, metered_by
from execlave_server.store.protocol import Call, Durability, Write, Written
from execlave_server.store.statements import Statement

TRIES_MAX = 5  # of a transaction that another one crossed
SETTLE_WITHIN_S = 20.0  # longer than the database needs to notice that a session is gone
SETTLE_LOOK_S = 0.05
_CUT_OFF = tuple(error for error in (*LOST, asyncpg.InterfaceError) if error is not TimeoutError)
_CROSSED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_TRACE_INDEX = "trace_key_span_key_idx"  # how the name of each partition's unique index ends

OnCommit: TypeAlias = Callable[[int], object]

log = structlog.get_logger()


class Writer:
    """Hands each write to its committer: traces, what rests on checks or charges meters, and the rest.

    So a decision never waits behind thousands of traces, and a change of the registry, which must wait for all that
    rests on the registry, holds up nothing of its own transaction.
    """

    def __init__(
        self,
        url: str,
        durability: Durability,
        statements: Mapping[str, Statement],
        clock: Clock,
        on_commit: OnCommit | None = None,
    ) -> None:
        labels: dict[Label, int] = {}
        self._traces, self._checked, self._others = (
            Committer(url, durability, statements, clock, labels=labels, on_commit=on_commit) for _ in range(3)
        )
        self._committers = (self._traces, self._checked, self._others)
        self._closed = False

    def submit(self, write: Write) -> asyncio.Future[Written]:
        """Queue a write; the future is done after its commit."""
        if self._closed:
            raise UnavailableError(STOPPING)
        if write.traces:
            return self._traces.submit(write)
        return (self._checked if write.checks or metered_by(write) else self._others).submit(write)

    async def stop(self) -> None:
        """Commit what waits, then let go of the database."""
        self._closed = True
        await asyncio.gather(*(committer.stop() for committer in self._committers))


class Committer:
    """One connection that commits group after group."""

    def __init__(
        self,
        url: str,
        durability: Durability,
        statements: Mapping[str, Statement],
        clock: Clock,
        *,
        labels: dict[Label, int],
        on_commit: OnCommit | None,
    ) -> None:
        self._url = url
        self._on_commit = on_commit  # told how many writes a commit had
        self._durability = durability
        self._statements = statements
        self._clock = clock
        self._labels = labels
        self._partitions = Partitions(statements)
        self._id = uuid4().hex
        self._connection: Connection | None = None
        self._waiting: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None

    def submit(self, write: Write) -> asyncio.Future[Written]:
        """Queue a write."""
        if len(self._waiting) >= WAITING_WRITES_MAX:
            raise UnavailableError(OVERLOADED)
        future: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.append(Job(write, future, self._clock.elapsed_us()))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return future

    async def stop(self) -> None:
        """Commit what waits and end the connection."""
        if self._task:
            await self._task
        if self._connection:
            await close(self._connection)

    async def _run(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                results = await self._commit(group)
            except BaseException as error:  # the loop's end, or a defect: whoever waits is told
                answer_jobs(group, [error if isinstance(error, Exception) else UnavailableError(STOPPING)] * len(group))
                raise
            answer_jobs(group, results)

    def _next_group(self) -> list[Job]:
        group = [self._waiting.popleft()]
        traces = group[0].trace_count
        while self._waiting and len(group) < WRITES_PER_COMMIT_MAX:
            traces += self._waiting[0].trace_count
            if traces > TRACES_PER_COMMIT_MAX:
                break
            group.append(self._waiting.popleft())
        return group

    async def _commit(self, group: Sequence[Job]) -> list[Result]:
        try:
            return await self._commit_in_order([job.write for job in group])
        except UnavailableError as error:
            return [error] * len(group)  # no single write is at fault, and each would wait again
        except Exception as error:  # noqa: BLE001 - the committer's boundary: one bad write must not end all writing
            if len(group) == 1:
                return [error]
            log.warning("store.group_commit_failed", writes=len(group), error=str(error))
            return [(await self._commit([job]))[0] for job in group]

    async def _commit_in_order(self, writes: Sequence[Write]) -> list[Result]:
        """Commit by the order of what is written to, the same on every server; results in the order of the writes."""
        order = sorted(range(len(writes)), key=lambda number: _place(writes[number]))
        results = await self._commit_together([writes[number] for number in order])
        return [result for _, result in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]

    async def _commit_together(self, writes: Sequence[Write]) -> list[Result]:
        for tries_left in reversed(range(TRIES_MAX)):
            try:
                with translated_errors():
                    return await self._try_to_commit(writes)
            except _UnfinishedError:
                continue  # nothing was committed
            except asyncpg.UniqueViolationError as error:
                if not str(error.constraint_name).endswith(_TRACE_INDEX) or not tries_left:
                    raise
            except UnavailableError as error:
                if not isinstance(error.__cause__, _CROSSED) or not tries_left:
                    raise
            log.info("store.commit_crossed", writes=len(writes))
        raise UnavailableError("The database's connection is lost again and again. Try again shortly.")

    async def _try_to_commit(self, writes: Sequence[Write]) -> list[Result]:
        connection = await self._connected()
        entered = ""
        try:
            now_us = self._clock.now_us()
            has_traces = any(write.traces for write in writes)
            oldest_day = await self._partitions.prepare(connection, now_us) if has_traces else 0
            await connection.execute("begin")
            transaction = Transaction(
                connection, self._statements, self._labels, committer=self._id, now_us=now_us, oldest_day=oldest_day
            )
            entered = await transaction.enter(writes)
            results = [await _apply(transaction, write) for write in writes]
            await transaction.store_accepted()
            await transaction.leave_proof()
        except BaseException as error:
            await self._roll_back(connection, error)
            if connection.is_closed() and isinstance(error, _CUT_OFF):
                raise _UnfinishedError from error
            raise
        await self._finish(connection, entered, transaction.proof)
        if self._on_commit:
            self._on_commit(len(writes))
        remember_labels(self._labels, transaction.new_labels)
        return results

    async def _finish(self, connection: Connection, entered: str, proof: Call | None) -> None:
        try:
            await connection.execute("commit")
        except (*LOST, asyncpg.InterfaceError) as error:
            connection.terminate()
            log.warning("store.commit_unknown", transaction=entered, error=repr(error))
            if not await self._was_committed(entered, proof):
                raise _UnfinishedError from error

    async def _was_committed(self, transaction: str, proof: Call | None) -> bool:
        """What became of a transaction whose COMMIT got no answer.

        Raises UnavailableError when that cannot be found out in time.
        """
        try:
            async with asyncio.timeout(SETTLE_WITHIN_S):
                while True:
                    if (outcome := await self._outcome_of(transaction, proof)) is not None:
                        return outcome
                    await asyncio.sleep(SETTLE_LOOK_S)
        except TimeoutError as error:
            raise UnavailableError(
                "The database was lost during a commit, and whether it happened is not known. Send the same again: "
                "what is stored already is recognised."
            ) from error

    async def _outcome_of(self, transaction: str, proof: Call | None) -> bool | None:
        """Whether a transaction was committed; None while that is open, or nobody can be asked.

        A database that crashed forgets the transactions whose log it had not written, and gives their numbers to
        others. So a number it does not know was not committed, and one it knows must have left its own proof too.
        """
        try:
            connection = await self._connected()
            asked = {"transaction": transaction}
            ((outcome,),) = await fetch(connection, self._statements["outcome_of_transaction"], asked)
            if outcome == "committed" and proof is not None:
                return bool(await fetch(connection, self._statements[proof.statement], proof.parameters))
        except asyncpg.InvalidParameterValueError:
            return False
        except (UnavailableError, *LOST, asyncpg.InterfaceError):
            return None
        return None if outcome == "in progress" else outcome == "committed"

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url, self._durability)
            await fetch(self._connection, self._statements["forget_marks"], {})
        return self._connection

    async def _roll_back(self, connection: Connection, error: BaseException) -> None:
        try:
            if not isinstance(error, asyncpg.PostgresError | asyncpg.DataError | ExeclaveServerError):
                connection.terminate()  # cut off, or stopped in the middle: the database rolls back by itself
            elif not connection.is_closed() and connection.is_in_transaction():
                await connection.execute("rollback")
        except (*LOST, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()


class _UnfinishedError(Exception):
    """The connection was lost and nothing was committed."""


async def _apply(transaction: Transaction, write: Write) -> Result:
    for check in write.checks:
        if not await transaction.holds(check):
            return stale()
    if not await transaction.charge(write.charges):
        return stale()
    rows = [await transaction.call(call) for call in write.calls]
    outcomes = transaction.accept(write.traces) if write.traces else []
    transaction.settle(write, outcomes)
    await transaction.record(write, rows)
    return Written(rows, outcomes)


def _place(write: Write) -> tuple[int, str]:
    """What a write touches first: writes to the same place keep their order, and so do those that rest on something."""
    if write.traces or write.checks or not write.calls:
        return 0, ""
    touched = write.calls[0].parameters
    organization, row = touched.get("organization"), touched.get("agent_id") or touched.get("id") or ""
    return organization if isinstance(organization, int) else 0, str(row)
