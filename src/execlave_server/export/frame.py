"""What a destination puts around each log: service, tags and time before it, evidence, lateness and the link after."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from urllib.parse import quote, urlencode

import msgspec

from execlave_server.datadog.event_times import is_taken, restamped_members
from execlave_server.datadog.logs import frame_head, frame_log
from execlave_server.export.dispatch import Cargo, Progress
from execlave_server.export.leases import Lease
from execlave_server.model.destinations import Destination
from execlave_server.store.protocol import Row, Store, integer

TIMESTAMP_BYTES = 32  # digits, commas and braces
LINK_BYTES = 300  # a link's usual parts beside its base
ANCHOR_BYTES = 120  # the names, a number and 64 hexadecimal digits
_PLACE = itemgetter(0, 1)  # (which lease, which log of it)


class Frame:
    """Reads a destination's batches as whole logs."""

    def __init__(self, destination: Destination, public_url: str) -> None:
        self._head = frame_head(destination.service, destination.ddtags)
        self._organization_id = destination.organization_id
        self._link_base = f"{public_url.rstrip('/')}/traces/" if public_url else ""
        link_bytes = len(self._link_base) + LINK_BYTES if public_url else 0
        self.bytes_per_log = len(self._head) + TIMESTAMP_BYTES + ANCHOR_BYTES + link_bytes

    async def read(self, store: Store, leases: Sequence[Lease], now_ms: int) -> Cargo:
        """The logs of some leases that are not settled yet, whole, in order."""
        wanted = {"batches": msgspec.json.encode([lease.batch for lease in leases]).decode()}
        rows = await store.rows("batch_logs_with_ids" if self._link_base else "batch_logs", wanted)
        rows.sort(key=_PLACE)
        logs: list[bytes] = []
        batches: list[Progress] = []
        late: set[int] = set()
        for place, of_batch in groupby(rows, itemgetter(0)):
            lease = leases[integer(place)]
            unsettled = [row for row in of_batch if not lease.settled >> integer(row[1]) & 1]
            seq, more, origin = None, b"", _origin_members(lease)
            batches.append(Progress(lease, len(logs), _positions(unsettled)))
            for row in unsettled:
                if row[4] != seq or not more:  # a batch of traces has one entry, each event its own
                    seq, more = row[4], _anchor(row) + origin
                log, restamped = self._frame(row, more, now_ms)
                if restamped:
                    late.add(len(logs))
                logs.append(log)
        return Cargo(logs, batches, late)

    def _frame(self, row: Row, more: bytes, now_ms: int) -> tuple[bytes, bool]:
        occurred_ms, log = integer(row[2]), row[3]
        if self._link_base and row[6] is not None:  # an event has no trace to link to
            more = self._link(row) + more
        if is_taken(occurred_ms, now_ms):
            return frame_log(self._head, occurred_ms, log, more), False  # type: ignore[arg-type]
        late = restamped_members(occurred_ms, now_ms)
        return frame_log(self._head, now_ms, log, more + late), True  # type: ignore[arg-type]

    def _link(self, row: Row) -> bytes:
        query = urlencode({"org": self._organization_id, "span": str(row[7])})
        link = f"{self._link_base}{quote(str(row[6]), safe='')}?{query}"
        return b',"trace_url":' + msgspec.json.encode(link)


def _positions(rows: Sequence[Row]) -> Sequence[int]:
    """Where some rows are in their batch; a range where nothing is missing, which is the usual case."""
    positions = [integer(row[1]) for row in rows]
    whole = range(positions[0], positions[0] + len(positions)) if positions else range(0)
    return whole if positions and positions[-1] == whole.stop - 1 else positions


def _anchor(row: Row) -> bytes:
    """The entry of the audit chain that holds the batch's root, or is the event's; nothing from before the chain."""
    seq, entry_hash = row[4:6]
    if seq is None or not isinstance(entry_hash, bytes):
        return b""
    return b',"audit_seq":%d,"audit_hash":"%b"' % (integer(seq), entry_hash.hex().encode())


def _origin_members(lease: Lease) -> bytes:
    """A log that is sent again or late on purpose says so."""
    return b"" if lease.origin == "live" else b',"%b":true' % lease.origin.encode()
