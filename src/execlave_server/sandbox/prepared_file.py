import math
import os
import tempfile
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from execlave_server.sandbox.prepared_log import PreparedLog

INTEGER_MAX = 2**63 - 1  # larger ones are kept as floats, as near as those come

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PreparedLog).decode


class PreparedFile:
    """Prepared logs in a file without a name; memory holds their times and places, 16 bytes a log."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - held open until close()
        self._bounds = array("Q", [0])  # log n lies between bounds n and n + 1
        self.times_ms = array("q")

    def __len__(self) -> int:
        return len(self.times_ms)

    def append(self, logs: Sequence[PreparedLog]) -> None:
        """Add logs at the end."""
        offset = self._bounds[-1]
        parts: list[bytes] = []
        for log in logs:
            part = encode_log(log)
            parts.append(part)
            offset += len(part)
            self._bounds.append(offset)
            self.times_ms.append(log.timestamp_ms)
        data = memoryview(b"".join(parts))
        offset -= len(data)
        while data:
            written = os.pwrite(self._file.fileno(), data, offset)
            offset += written
            data = data[written:]

    def read(self, index: int) -> PreparedLog:
        """Log number `index`, from 0."""
        start = self._bounds[index]
        return _decode(os.pread(self._file.fileno(), self._bounds[index + 1] - start, start))

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()


def encode_log(log: PreparedLog) -> bytes:
    """The log as bytes. One that is nested too deeply to be kept loses its attributes, and says so."""
    try:
        try:
            return _encode(log)
        except OverflowError:
            return _encode(msgspec.structs.replace(log, attributes=fit_integers(log.attributes)))
    except RecursionError:
        return _encode(msgspec.structs.replace(log, attributes={"sandbox": "attributes nested too deeply to be kept"}))


def fit_integers(value: Any) -> Any:
    """The value with every integer that 64 bits do not hold as a float."""
    match value:
        case dict():
            return {name: fit_integers(each) for name, each in value.items()}
        case list():
            return [fit_integers(each) for each in value]
        case int() if abs(value) > INTEGER_MAX:
            try:
                return float(value)
            except OverflowError:
                return math.copysign(math.inf, value)
        case _:
            return value
