"""Opening a SQLite file the one right way, and turning its errors into ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from execlave_server.errors import DataDirError, UnavailableError
from execlave_server.store.protocol import Durability

BUSY_TIMEOUT_MS = 5_000  # another process holds the write lock for milliseconds; five seconds means trouble
READER_CACHE_KIB = 4_000  # reads touch few pages twice
WAL_FILE_BYTES_MAX = 64 << 20  # what a log that begins anew keeps of its file: longer than it should grow
AFFECTED_FROM = (3, 7, 0)  # the WAL-reset fault: a checkpoint beside a writer could lose a commit
AFFECTED_TO = (3, 51, 2)


def refuse_affected_sqlite(version: str) -> None:
    """Raise DataDirError when a SQLite version has the WAL-reset fault of 3.7.0 to 3.51.2."""
    number = tuple(int(part) for part in version.split(".")[:3])
    if AFFECTED_FROM <= number <= AFFECTED_TO:
        raise DataDirError(
            f"SQLite {version} can lose a commit when a checkpoint runs beside a writer (fixed in 3.51.3). "
            "Install an apsw wheel of 3.51.3 or newer."
        )


def connect(
    path: Path, durability: Durability, *, read_only: bool = False, cache_kib: int = READER_CACHE_KIB
) -> apsw.Connection:
    """A connection to an existing database, in WAL mode, that never checkpoints by itself."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    try:
        connection = apsw.Connection(str(path), flags=flags, statementcachesize=500)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if not read_only:
            connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {durability.value}")
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute(f"pragma journal_size_limit = {WAL_FILE_BYTES_MAX}")
        connection.execute(f"pragma cache_size = -{cache_kib}")
        connection.execute("pragma foreign_keys = on")
    except apsw.Error as error:
        raise DataDirError(
            f"The database {path} cannot be opened: {error}. "
            "Check that the file is a SQLite database, that this user may write to its folder, and that the disk works."
        ) from error
    return connection


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the database cannot do now into UnavailableError; programming errors pass."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise UnavailableError(f"The database is locked by another process ({error}). Try again.") from error
    except apsw.FullError as error:
        raise UnavailableError("The disk is full: nothing more can be committed until space is freed.") from error
    except (apsw.ReadOnlyError, apsw.IOError, apsw.CantOpenError, apsw.CorruptError, apsw.NotADBError) as error:
        raise UnavailableError(
            f"The database cannot be written ({error}). Check the disk and the data directory's permissions."
        ) from error
