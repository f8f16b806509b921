"""Moves the write-ahead log into the database file, on its own thread and connection, beside the commits."""

import threading

import apsw
import structlog

WAL_BYTES_GOAL = 1 << 20  # fold whenever so much is not: a little and often, since commits wait for the disk meanwhile
WAL_BYTES_HIGH = 32 << 20  # past this the writer folds the rest between two commits, so that the log begins anew
WAL_BYTES_WARN = 256 << 20  # a reader that stays too long keeps it growing
LOOK_EVERY_S = 0.02

log = structlog.get_logger()


class Checkpointer:
    """PASSIVE while serving (it never blocks a commit), TRUNCATE at the start and at the end."""

    def __init__(self, connection: apsw.Connection, log_is_long: threading.Event) -> None:
        self._connection = connection
        self._log_is_long = log_is_long
        self._page_bytes = int(connection.pragma("page_size"))
        self._stopping = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._run, name="store-checkpointer", daemon=True)

    def start(self) -> None:
        """Fold the log of the last run, then keep this one's short."""
        self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._thread.start()

    def stop(self) -> None:
        """Fold the log and end. Blocks."""
        self._stopping.set()
        self._thread.join()
        self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._connection.close()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            used, folded = self._checkpoint(apsw.SQLITE_CHECKPOINT_NOOP)
            if used - folded > WAL_BYTES_GOAL:
                used, folded = self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
            if used > WAL_BYTES_HIGH:
                self._log_is_long.set()
            if used > WAL_BYTES_WARN and not self._warned:
                log.warning("store.wal_large", bytes=used, remedy="look for a reader that stays in one transaction")
            self._warned = used > WAL_BYTES_WARN

    def _checkpoint(self, mode: int) -> tuple[int, int]:
        """Fold what can be folded: how many bytes of the log are in use (its file may be longer), and are folded."""
        try:
            frames, folded = self._connection.wal_checkpoint(mode=mode)
        except apsw.Error as error:  # a busy or failing disk: the log stays, the commits go on, the next look retries
            log.warning("store.checkpoint_failed", error=str(error))
            return 0, 0
        return frames * self._page_bytes, folded * self._page_bytes
