"""The disk under the data directory: how much is free, and a file of space that is given up when none is."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

MIB = 1 << 20
FULL_BELOW_BYTES = 4 * MIB  # less than one large commit needs: as good as full

log = structlog.get_logger()


class Disk(Protocol):
    """Where the database is."""

    def free_bytes(self) -> int:
        """How much a process without privileges may still write. Raises OSError."""


class FolderDisk:
    """The disk that a folder is on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def free_bytes(self) -> int:
        """How much a process without privileges may still write. Raises OSError."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize


class Reserve:
    """A file whose blocks are really allocated. It is removed when the disk is full, and made again when it is not."""

    def __init__(self, path: Path, size_bytes: int, disk: Disk) -> None:
        self._path = path
        self.size_bytes = size_bytes
        self._disk = disk
        self._lock = threading.Lock()  # the writer's thread releases, the watch refills

    @property
    def is_held(self) -> bool:
        """True while the file is there, whole."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        return found.st_size >= self.size_bytes > 0

    def release_if_full(self) -> bool:
        """Give the space back to a full disk; True when that was done."""
        with self._lock:
            try:
                if not self.is_held or self._disk.free_bytes() >= FULL_BELOW_BYTES:
                    return False
                self._path.unlink()
            except OSError as error:
                log.warning("disk.reserve_not_released", error=str(error))
                return False
        log.warning("disk.full", released_bytes=self.size_bytes, remedy="free space; decisions go on for a while")
        return True

    def refill(self) -> None:
        """Allocate the file anew; where there is not enough space after all, it is left for later."""
        with self._lock:
            if self.is_held or not self.size_bytes:
                return
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    os.posix_fallocate(descriptor, 0, self.size_bytes)
                finally:
                    os.close(descriptor)
            except OSError as error:
                log.warning("disk.reserve_not_made", error=str(error))
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)
