"""Who may use a data directory at the same time: locks that the kernel drops with the process."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from execlave_server.app.database import require_database, uses_postgres
from execlave_server.app.key_file import key_file
from execlave_server.errors import DataDirError
from execlave_server.settings import Settings
from execlave_server.vault.key_encryption_key import KeyFile, open_key_file

SERVER_LOCK_WAIT_S = 15.0  # how long a new server waits for the one it replaces to finish


@contextmanager
def only_server(settings: Settings) -> Iterator[None]:
    """Hold the data directory as its one server. Waits for a predecessor; raises DataDirError when it stays.

    On PostgreSQL there may be any number of servers.
    """
    if uses_postgres(settings):
        yield
        return
    deadline = time.monotonic() + SERVER_LOCK_WAIT_S
    with _lock_file(settings.data_dir / "server.lock") as descriptor:
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise DataDirError(
                    f"Another server uses the data directory {settings.data_dir}. Stop it first; two servers share "
                    "one database only on PostgreSQL."
                )
            time.sleep(0.05)
        yield


@contextmanager
def counted_worker(settings: Settings) -> Iterator[bool]:
    """Hold the data directory as one of its workers; True for the only one, whom nobody's leases bind.

    On PostgreSQL nobody knows what runs elsewhere: the leases of the dead end by themselves.
    """
    require_database(settings)
    if uses_postgres(settings):
        yield False
        return
    with _lock_file(settings.data_dir / "worker.lock") as descriptor:
        alone = _try_lock(descriptor, fcntl.LOCK_EX)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield alone


@contextmanager
def only_rotation(settings: Settings) -> Iterator[KeyFile]:
    """Hold the key-encryption key as the one who replaces it. Raises DataDirError while somebody else does."""
    require_database(settings)
    with _lock_file(settings.data_dir / "rotation.lock") as descriptor:
        if not _try_lock(descriptor, fcntl.LOCK_EX):
            raise DataDirError("Another `secrets rotate` runs on this data directory. Wait for it to end.")
        yield open_key_file(key_file(settings))


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold a data directory while no server and no worker uses it. Raises DataDirError when one does."""
    with (
        _lock_file(settings.data_dir / "server.lock") as server,
        _lock_file(settings.data_dir / "worker.lock") as worker,
    ):
        if not (_try_lock(server, fcntl.LOCK_EX) and _try_lock(worker, fcntl.LOCK_EX)):
            raise DataDirError(f"A server or a worker uses {settings.data_dir}. Stop it first.")
        yield


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirError(f"The lock file {path} cannot be opened: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
