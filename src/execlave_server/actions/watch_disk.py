"""What is left of a nearly full disk belongs to decisions: below a mark traces are refused."""

import asyncio

import structlog

from execlave_server.errors import DiskLowError, UnavailableError
from execlave_server.store.disk import FULL_BELOW_BYTES, MIB, Disk, Reserve
from execlave_server.store.protocol import Store, integer

LOOK_EVERY_S = 1.0  # the least time between two looks at the disk: requests read only what the last one found
LOG_BYTES_MIN = 64 * MIB  # the write-ahead log grows on the disk itself; free pages in the database do not help it
RESUME_SHARE = 1.1  # of the mark: traces are taken again only clearly above it

log = structlog.get_logger()


class DiskWatch:
    """Whether there is room for more traces. Where nobody looks (in commands), there always is."""

    def __init__(self, disk: Disk, reserve: Reserve, free_bytes_min: int) -> None:
        self._disk = disk
        self._reserve = reserve
        self._free_bytes_min = free_bytes_min
        self._low = False
        self._free_bytes = 0  # without what the reserve is to have back, or it would be filled with traces

    async def look(self, store: Store) -> None:
        """Read the free space, and release or refill the reserve by it."""
        try:
            free_bytes = self._disk.free_bytes()
        except OSError as error:
            log.warning("disk.unreadable", error=str(error))
            return
        held = self._reserve.is_held
        without_reserve = free_bytes if held else max(0, free_bytes - self._reserve.size_bytes)
        if free_bytes < FULL_BELOW_BYTES:
            self._reserve.release_if_full()
        elif not held and without_reserve >= max(self._free_bytes_min, FULL_BELOW_BYTES):
            await asyncio.to_thread(self._reserve.refill)  # some file systems have to write every block
        self._free_bytes = without_reserve
        low = await self._is_low(store)
        if low != self._low:
            said = {"free_bytes": self._free_bytes, "free_bytes_min": self._free_bytes_min}
            log.warning("disk.low" if low else "disk.enough_again", **said)
        self._low = low

    def require_room(self) -> None:
        """Raises DiskLowError when traces must not be stored now."""
        if self._low:
            raise DiskLowError(
                f"The server's disk is nearly full ({self._free_bytes // MIB:,} MB free, the mark is "
                f"{self._free_bytes_min // MIB:,} MB). Traces are taken again when there is space; decisions go on."
            )

    async def _is_low(self, store: Store) -> bool:
        """Pages that a sweep freed in the database count as free, but for what the log needs."""
        wanted = int(self._free_bytes_min * (RESUME_SHARE if self._low else 1))
        if self._free_bytes >= wanted:
            return False
        if self._free_bytes < min(wanted, LOG_BYTES_MIN):
            return True
        try:
            reusable = integer((await store.rows("reusable_bytes"))[0][0])
        except UnavailableError:
            return True
        return self._free_bytes + reusable < wanted
