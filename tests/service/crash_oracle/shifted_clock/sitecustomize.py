"""With this folder on PYTHONPATH the product lives in a time that the oracle chooses: microseconds in a mapped file."""

import mmap
import os
import struct
from pathlib import Path

if clock_file := os.environ.get("ORACLE_CLOCK_FILE"):
    from execlave_server.clock import SystemClock

    with Path(clock_file).open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    machine_us = SystemClock.now_us

    def now_us(self: SystemClock) -> int:
        """The machine's time, and what the oracle adds to it."""
        return machine_us(self) + struct.unpack("<q", offset[:8])[0]

    SystemClock.now_us = now_us  # type: ignore[method-assign]
