"""A database copied while it is in use, into one file that stands by itself; and back.

The copy is one snapshot: a read transaction is held from its first page to its last, since a copy that lets go of it
begins anew whenever another process commits. The write-ahead log grows by what is committed meanwhile.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import apsw
from msgspec import Struct

from execlave_server.errors import BackupError
from execlave_server.store.protocol import Durability
from execlave_server.store.sqlite.connection import connect
from execlave_server.store.sqlite.migrate import load_migrations, schema_version

PAGES_PER_STEP = 1_024  # 4 MB: some milliseconds, after which the progress is told
SYNC_EVERY_STEPS = 8  # a copy written back in one piece at the end would stall the commits beside it

Report = Callable[[str, int, int | None], object]
"""Told what is being done, how many pages are, and how many there are."""


class BackupNote(Struct, frozen=True):
    """What a backup says about itself, in a table of its own."""

    made_at_us: int
    version: str
    settings: str | None
    trace_count: int


@dataclass(frozen=True, slots=True)
class Part:
    """A file being written, under a name of its own until it is whole."""

    path: Path
    _descriptor: int

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fdatasync(self._descriptor)


@contextmanager
def new_file(target: Path) -> Iterator[Part]:
    """A file that gets its name when the context ends well, and is gone when it does not. Raises BackupError."""
    path = target.with_name(target.name + ".part")
    with _failures(target):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _own(descriptor, path)
        try:
            yield Part(path, descriptor)
            with _failures(target):
                os.fsync(descriptor)
                _give_name(path, target)
        except BaseException:
            for suffix in ("", "-wal", "-shm", "-journal"):
                with suppress(OSError):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)


def _own(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BackupError(f"{path} is being written by another command.") from error
    os.fchmod(descriptor, 0o600)
    os.ftruncate(descriptor, 0)  # what one that was killed left


def _give_name(path: Path, target: Path) -> None:
    if target.exists():
        raise BackupError(f"{target} exists already, and is not replaced. Choose another name.")
    path.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_backup(
    database: Path, part: Part, *, made_at_us: int, version: str, settings: str | None, report: Report
) -> BackupNote:
    """Copy a database that may be in use, and check the copy. Raises BackupError."""
    with (
        _failures(part.path),
        closing(connect(database, Durability.NORMAL, read_only=True)) as source,
        closing(_open_copy(part.path)) as copy,
    ):
        _copy_pages(source, copy, part, report)
        copy.execute("pragma journal_mode = delete")  # one file, which can be read where nothing can be written
        trace_count = _check(copy, part, report)
        note = BackupNote(made_at_us, version, settings, trace_count)
        copy.execute(
            "create table backup (made_at_us integer, version text, settings text, trace_count integer) strict"
        )
        copy.execute("insert into backup values (?, ?, ?, ?)", (made_at_us, version, settings, trace_count))
    return note


def read_note(backup: Path) -> BackupNote:
    """What a backup says about itself. Raises BackupError for another file, or one of a newer version."""
    with _failures(backup), closing(_open_backup(backup)) as source:
        return _note(source, backup)


def find_secret(backup: Path, name: str) -> bytes | None:
    """A sealed secret out of a backup."""
    with _failures(backup), closing(_open_backup(backup)) as source:
        found = source.execute("select sealed from sealed_secrets where name = ?", (name,)).fetchone()
        return bytes(found[0]) if found else None


def read_backup(backup: Path, part: Part, report: Report) -> BackupNote:
    """Copy a backup, as a database again, and check it. Raises BackupError."""
    with (
        _failures(backup),
        closing(_open_backup(backup)) as source,
        closing(_open_copy(part.path)) as copy,
    ):
        note = _note(source, backup)
        _copy_pages(source, copy, part, report)
        copy.execute("drop table backup")
        trace_count = _check(copy, part, report)
    if trace_count != note.trace_count:
        raise BackupError(f"The backup {backup} has {trace_count:,} traces, not the {note.trace_count:,} it had.")
    return note


def _note(source: apsw.Connection, backup: Path) -> BackupNote:
    if not source.table_exists("main", "backup"):
        raise BackupError(
            f"{backup} was not made by `execlave-server backup`; a bare copy of a database may lack commits."
        )
    version, known = schema_version(source), load_migrations()[-1][0]
    if version > known:
        raise BackupError(
            f"{backup} was made by a newer execlave-server (its schema is {version}, this program knows {known}). "
            "Restore it with that version or a newer one."
        )
    row = source.execute("select made_at_us, version, settings, trace_count from backup").fetchone()
    if row is None:
        raise BackupError(f"{backup} is not complete. Restore another backup.")
    return BackupNote(*row)


def _open_backup(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)


def _open_copy(part: Path) -> apsw.Connection:
    copy = apsw.Connection(str(part), flags=apsw.SQLITE_OPEN_READWRITE)
    copy.execute("pragma journal_mode = off")  # what is not finished is thrown away
    copy.execute("pragma synchronous = off")  # synced here, piece by piece
    return copy


def _copy_pages(source: apsw.Connection, copy: apsw.Connection, part: Part, report: Report) -> None:
    source.execute("begin")
    source.execute("select count(*) from sqlite_schema").fetchone()  # the snapshot is that of the first read
    with copy.backup("main", source, "main") as pages:
        steps = 0
        while not pages.done:
            pages.step(PAGES_PER_STEP)
            report("copy", pages.page_count - pages.remaining, pages.page_count)
            steps += 1
            if steps % SYNC_EVERY_STEPS == 0:
                part.sync()
    source.execute("rollback")


def _check(copy: apsw.Connection, part: Part, report: Report) -> int:
    """How many traces a copy has, after making sure that it is whole."""
    report("check", 0, None)
    path = part.path
    (found,) = copy.execute("pragma quick_check(1)").fetchone() or ("nothing",)
    if found != "ok":
        said = " ".join(str(found).split())
        raise BackupError(f"The copy {path} is damaged: {said}. Check the disks, and the database with `doctor`.")
    counted, stored = copy.execute(
        "select (select coalesce(sum(trace_count), 0) from batches), (select count(*) from traces)"
    ).fetchone() or (0, 0)
    if counted != stored:
        raise BackupError(f"The copy {path} holds {stored:,} traces, its batches say {counted:,}.")
    return int(stored)


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.NotADBError, apsw.CantOpenError) as error:
        raise BackupError(f"{path} cannot be opened as a backup: {error}.") from error
    except apsw.FullError as error:
        raise BackupError(f"There is not enough space for {path}. Free some, or choose another disk.") from error
    except (apsw.Error, OSError) as error:
        raise BackupError(f"{path} could not be copied: {error}. Nothing was left behind.") from error
