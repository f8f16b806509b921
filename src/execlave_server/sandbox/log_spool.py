import bisect
import itertools
import os
import tempfile
from array import array
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import msgspec

from execlave_server.sandbox.limits import PAGE_BYTES_MAX


class StoredLog(msgspec.Struct, omit_defaults=True):
    """One log as it is given back: its place in arrival order, the accepted request that brought it, its bytes."""

    sequence: int
    request: int
    log: msgspec.Raw
    truncated: bool = False


class LogSpool:
    """Logs in arrival order, in a file without a name; memory holds 12 bytes a log, whatever its length."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - held open until close()
        self._forget()

    def _forget(self) -> None:
        self._bounds = array("Q", [0])  # log n lies between bounds n - 1 and n
        self._requests = array("I")
        self._truncated: set[int] = set()  # sequence numbers; each stands for a megabyte on disk

    @property
    def total(self) -> int:
        """How many logs are held."""
        return len(self._requests)

    def append(self, logs: Sequence[msgspec.Raw | bytes], request: int, truncated: AbstractSet[int]) -> None:
        """Add one request's logs; `truncated` holds positions in `logs`."""
        self._write(b"".join(logs), self._bounds[-1])
        self._truncated.update(self.total + 1 + position for position in truncated)
        bounds = itertools.accumulate(map(len, logs), initial=self._bounds[-1])
        next(bounds)  # the bound already held
        self._bounds.extend(bounds)
        self._requests.extend(itertools.repeat(request, len(logs)))

    def _write(self, data: bytes, offset: int) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._file.fileno(), left, offset)
            offset += written
            left = left[written:]

    def page(self, after: int, limit: int) -> list[StoredLog]:
        """Up to `limit` logs that follow number `after`; fewer when they are long, but never none while some follow."""
        first = min(after, self.total)
        last = min(first + limit, self.total)
        fitting = bisect.bisect_right(self._bounds, self._bounds[first] + PAGE_BYTES_MAX, first, last + 1) - 1
        last = min(last, max(fitting, first + 1))
        start = self._bounds[first]
        data = memoryview(os.pread(self._file.fileno(), self._bounds[last] - start, start))
        return [
            StoredLog(
                sequence=index + 1,
                request=self._requests[index],
                log=msgspec.Raw(data[self._bounds[index] - start : self._bounds[index + 1] - start]),
                truncated=index + 1 in self._truncated,
            )
            for index in range(first, last)
        ]

    def clear(self) -> int:
        """Forget every log; returns how many there were."""
        forgotten = self.total
        os.ftruncate(self._file.fileno(), 0)
        self._forget()
        return forgotten

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()
