"""A data directory into a file while it is in use, and back into a new one. Never the key-encryption key."""

import os
from pathlib import Path

from execlave_server import __version__
from execlave_server.app.database import require_database, uses_postgres
from execlave_server.app.installation import PEPPER, PEPPER_BOUND_TO
from execlave_server.app.key_file import key_file
from execlave_server.clock import Clock
from execlave_server.errors import BackupError, DataDirError
from execlave_server.settings import SETTINGS_FILE, Settings
from execlave_server.store.sqlite import migrate_database
from execlave_server.store.sqlite.backup import (
    BackupNote,
    Report,
    find_secret,
    new_file,
    read_backup,
    read_note,
    write_backup,
)
from execlave_server.vault.envelope import Vault
from execlave_server.vault.key_encryption_key import open_key_file

__all__ = ["BackupNote", "Report", "back_up", "restore"]


def back_up(settings: Settings, clock: Clock, to: Path, report: Report) -> BackupNote:
    """Write a consistent copy of the database and of `settings.toml` to a new file. Raises BackupError."""
    _require_sqlite(settings, "pg_dump, or base backups with WAL archiving where every second counts,")
    require_database(settings)
    if to.exists():
        raise BackupError(f"{to} exists already, and is not replaced. Choose another name.")
    text = settings.data_dir / SETTINGS_FILE
    said = text.read_text() if text.exists() else None
    with new_file(to) as part:
        return write_backup(
            settings.database, part, made_at_us=clock.now_us(), version=__version__, settings=said, report=report
        )


def restore(settings: Settings, clock: Clock, backup: Path, report: Report) -> BackupNote:
    """Make a new data directory from a backup, up to date and checked.

    Raises DataDirError where there is one already, SecretError when the key-encryption key does not open it,
    BackupError when the file cannot be restored.
    """
    _require_sqlite(settings, "pg_restore, or recovery to a point in time,")
    for name in ("", "-wal", "-journal"):
        if settings.database.with_name(settings.database.name + name).exists():
            raise DataDirError(
                f"{settings.data_dir} is a data directory already. Restore into another, or move it away."
            )
    read_note(backup)
    _require_key(settings, backup)
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(f"The data directory {settings.data_dir} cannot be made: {error.strerror}.") from error
    with new_file(settings.database) as part:
        note = read_backup(backup, part, report)
        migrate_database(part.path, clock)
        if note.settings is not None:
            _write_settings(settings.data_dir / SETTINGS_FILE, note.settings)
    return note


def _require_key(settings: Settings, backup: Path) -> None:
    sealed = find_secret(backup, PEPPER)
    if sealed is None:
        raise BackupError(f"{backup} is of a data directory that was not fully initialised.")
    Vault(open_key_file(key_file(settings))).open(sealed, bound_to=PEPPER_BOUND_TO)


def _write_settings(path: Path, text: str) -> None:
    """Write the settings of the backup, unless there are others already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _require_sqlite(settings: Settings, instead: str) -> None:
    if uses_postgres(settings):
        raise BackupError(f"This command is for SQLite. The database is PostgreSQL: use {instead} there.")
