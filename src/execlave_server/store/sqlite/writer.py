"""Group commit: one thread puts every write that waits into one transaction and answers all of them after it."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import apsw
import structlog

from execlave_server.clock import Clock
from execlave_server.errors import UnavailableError
from execlave_server.store.batches import Label, TraceKey, remember_labels
from execlave_server.store.grouping import (
    OVERLOADED,
    STOPPING,
    WAITING_WRITES_MAX,
    Job,
    Result,
    answer_jobs,
    stale,
)
from execlave_server.store.protocol import Write, Written
from execlave_server.store.sqlite.connection import translated_errors
from execlave_server.store.sqlite.recent_keys import RecentKeys
from execlave_server.store.sqlite.transaction import Transaction
from execlave_server.store.sqlite.waiting_writes import WaitingWrites
from execlave_server.store.statements import Statement

LOCK_WITHIN_US = 5_000_000  # another process holds the write lock for milliseconds; five seconds means trouble
_LOCK_LOOK_S, _LOCK_LOOK_S_MAX = 0.000_2, 0.02  # between two tries to get it; the worker holds it some milliseconds

log = structlog.get_logger()


class Writer:
    """The one thread that writes. `submit` may be called from one event loop."""

    def __init__(
        self,
        connection: apsw.Connection,
        statements: Mapping[str, Statement],
        clock: Clock,
        *,
        on_commit: Callable[[int], object] | None = None,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self._connection = connection
        connection.set_busy_handler(self._wait_for_lock)
        self._give_up_at_us = 0
        self._make_room = make_room  # frees space on a full disk; true when it did
        self._statements = statements
        self._clock = clock
        self._on_commit = on_commit  # told how many writes a commit had, on the writer's thread
        self._recent = RecentKeys()
        self._labels: dict[Label, int] = {}
        self.waiting = WaitingWrites()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._closed = False
        self.log_is_long = threading.Event()  # set by the checkpointer

    def start(self, recent: set[TraceKey]) -> None:
        """Begin, knowing the keys of the newest traces."""
        self._recent.add(recent)
        self._thread.start()

    def submit(self, write: Write) -> asyncio.Future[Written]:
        """Queue a write; the future is done after its commit."""
        if self._closed:
            raise UnavailableError(STOPPING)
        if len(self.waiting) >= WAITING_WRITES_MAX:
            raise UnavailableError(OVERLOADED)
        future: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self.waiting.put(Job(write, future, self._clock.elapsed_us()))
        return future

    def stop(self) -> None:
        """Commit what waits, then end the thread. Blocks."""
        self._closed = True
        self.waiting.close()
        self._thread.join()
        while group := self.waiting.next_group():  # what slipped in while the thread was ending
            if not (loop := group[0].future.get_loop()).is_closed():
                loop.call_soon_threadsafe(answer_jobs, group, [UnavailableError(STOPPING)] * len(group))

    def _run(self) -> None:
        while group := self.waiting.next_group():
            if self.log_is_long.is_set():
                self._fold_log()
            results = self._commit(group)
            loop = group[0].future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(answer_jobs, group, results)

    def _fold_log(self) -> None:
        """Checkpoint between two commits: while commits never pause, the log can begin anew at no other moment."""
        self.log_is_long.clear()
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            pass  # the checkpointer folds it at this moment
        except apsw.Error as error:  # the log stays; the commit that follows says what is wrong with the disk
            log.warning("store.checkpoint_failed", error=str(error))

    def _wait_for_lock(self, tries: int) -> bool:
        """Called while another process has the write lock; False gives up."""
        if self._clock.elapsed_us() >= self._give_up_at_us:
            return False
        time.sleep(min(_LOCK_LOOK_S * (tries + 1), _LOCK_LOOK_S_MAX))
        return True

    def _commit(self, group: Sequence[Job]) -> list[Result]:
        # A lock that stays is waited for once: what has waited behind others for it waits no five seconds of its own.
        self._give_up_at_us = min(job.submitted_us for job in group) + LOCK_WITHIN_US
        try:
            return self._commit_together([job.write for job in group])
        except (apsw.Error, UnavailableError) as error:
            if isinstance(error.__cause__, apsw.FullError | apsw.IOError) and self._make_room():
                return self._commit(group)
            if len(group) == 1 or isinstance(error.__cause__, apsw.BusyError):
                return [error] * len(group)  # the lock is held: no single write is at fault, and each would wait again
            log.warning("store.group_commit_failed", writes=len(group), error=str(error))
            return [self._commit([job])[0] for job in group]
        except Exception as error:  # noqa: BLE001 - the thread's boundary: one bad write must not end all writing
            if len(group) == 1:
                return [error]
            return [self._commit([job])[0] for job in group]

    def _commit_together(self, writes: Sequence[Write]) -> list[Result]:
        with translated_errors():
            self._connection.execute("begin immediate")
            try:
                transaction = Transaction(
                    self._connection, self._statements, self._recent, self._labels, self._clock.now_us()
                )
                results = [_apply(transaction, write) for write in writes]
                transaction.store_accepted()
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise
        if self._on_commit:
            self._on_commit(len(writes))
        self._recent.add(transaction.new_keys)
        remember_labels(self._labels, transaction.new_labels)
        return results


def _apply(transaction: Transaction, write: Write) -> Result:
    if not all(transaction.holds(check) for check in write.checks) or not transaction.charge(write.charges):
        return stale()
    rows = [transaction.call(call) for call in write.calls]
    outcomes = transaction.accept(write.traces) if write.traces else []
    for call in write.settle(outcomes) if write.settle else ():
        transaction.call(call)
    transaction.record(write, rows)
    return Written(rows, outcomes)
