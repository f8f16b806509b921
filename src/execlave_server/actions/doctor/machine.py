"""What is wrong with the machine, the files and the database's settings. Pure."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from execlave_server.actions.doctor.findings import Code, Finding, Severity

FREE_BYTES_LOW = 1 << 30  # at 2 kB a trace half a million more; some hours in which to act
FREE_BYTES_NONE = 100 << 20  # the write-ahead log alone may take that much
WAL_BYTES_HIGH = 256 << 20  # the server warns from there as well
OTHERS_MAY = 0o077
OTHERS_MAY_WRITE = 0o022

UNSAFE_SETTINGS = {  # of PostgreSQL, or of SQLite: (name, unsafe unless it is one of these)
    "fsync": {"on"},
    "full_page_writes": {"on"},
    "synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
    "journal_mode": {"wal"},
}


class FileFacts(Struct, frozen=True):
    """A file or folder with its permission bits."""

    path: Path
    mode: int


class MachineFacts(Struct, frozen=True):
    """What the file system says. `secret_files` are those that nobody else may even read."""

    data_dir: Path
    key_file: Path
    key_inside: bool
    key_error: str | None
    secret_files: Sequence[FileFacts]
    free_bytes: int
    wal_bytes: int


def check_machine(facts: MachineFacts) -> Iterator[Finding]:
    """The key-encryption key, permissions, and room on the disk."""
    if facts.key_error:
        yield Finding(
            Code.KEK_UNUSABLE,
            Severity.ERROR,
            facts.key_error,
            "Without the key-encryption key no Datadog key and no API key can be used.",
            f"Restore {facts.key_file} from its backup, readable by its owner alone.",
        )
    if facts.key_inside:
        yield Finding(
            Code.KEK_INSIDE_DATA_DIR,
            Severity.ERROR,
            f"The key-encryption key {facts.key_file} is inside the data directory {facts.data_dir}.",
            "Whoever gets a copy of the data, such as a backup, gets the key that opens its secrets.",
            "Move it out of there, and name its new place: EXECLAVE_SERVER_KEK=file:/path.",
        )
    for file in facts.secret_files:
        if file.mode & OTHERS_MAY:
            yield _too_open(file)
    if facts.free_bytes < FREE_BYTES_LOW:
        yield Finding(
            Code.DISK_LOW,
            Severity.ERROR if facts.free_bytes < FREE_BYTES_NONE else Severity.WARNING,
            f"The disk of {facts.data_dir} has {facts.free_bytes >> 20} MiB free.",
            "When it is full nothing more is committed: traces and decisions are answered 503.",
            "Free space or enlarge the disk.",
        )
    if facts.wal_bytes > WAL_BYTES_HIGH:
        yield Finding(
            Code.WAL_LARGE,
            Severity.WARNING,
            f"The write-ahead log has {facts.wal_bytes >> 20} MiB.",
            "A reader that stays in one transaction keeps it growing, or no server runs that folds it.",
            "End the reader (a backup tool, a shell on the database), or start the server.",
        )


def check_settings(settings: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Settings of the database under which a committed trace can be lost."""
    for name, value in settings:
        safe = UNSAFE_SETTINGS.get(name)
        if safe is not None and value not in safe:
            yield Finding(
                Code.DATABASE_UNSAFE,
                Severity.ERROR,
                f"The database runs with {name} = {value}.",
                "What was answered 2xx can be lost in a crash or power cut.",
                f"Set {name} = {min(safe, key=len)} and restart the database.",
            )


def check_outcomes(table: str, outcomes: Sequence[str]) -> Iterator[Finding]:
    """What the database's own check said of a table."""
    for outcome in outcomes:
        if outcome != "ok":
            yield Finding(
                Code.DATABASE_DAMAGED,
                Severity.ERROR,
                f"The table {table} is damaged: {outcome}",
                "Rows of it may be lost or wrong.",
                "Stop the server, keep a copy of the files, restore the newest backup, and check the disk and memory.",
            )


def _too_open(file: FileFacts) -> Finding:
    writable = bool(file.mode & OTHERS_MAY_WRITE)
    owner_only = "700" if file.path.is_dir() else "600"
    return Finding(
        Code.PERMISSIONS_OPEN,
        Severity.ERROR if writable else Severity.WARNING,
        f"{file.path} can be {'changed' if writable else 'read'} by others (mode {file.mode:04o}).",
        "It holds prompts and outputs in clear, or opens the secrets.",
        f"Run: chmod {owner_only} {file.path}",
    )
