"""What a destination puts around each log: its service and tags before, the link to the trace after."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec

from execlave_server.datadog.logs import frame_head, frame_log
from execlave_server.model.destinations import Destination
from execlave_server.store.protocol import Store

TIMESTAMP_BYTES = 32  # digits, commas and braces
LINK_BYTES = 300  # a link's usual parts beside its base


class Frame:
    """Reads a destination's batches as whole logs."""

    def __init__(self, destination: Destination, public_url: str) -> None:
        self._head = frame_head(destination.service, destination.ddtags)
        self._organization_id = destination.organization_id
        self._link_base = f"{public_url.rstrip('/')}/traces/" if public_url else ""
        link_bytes = len(self._link_base) + LINK_BYTES if public_url else 0
        self.bytes_per_log = len(self._head) + TIMESTAMP_BYTES + link_bytes

    async def read_logs(self, store: Store, batches: Sequence[int]) -> list[bytes]:
        """The logs of some batches, whole, in order."""
        wanted = {"batches": msgspec.json.encode(batches).decode()}
        if not self._link_base:
            rows = await store.rows("batch_logs", wanted)
            return [frame_log(self._head, timestamp, log) for timestamp, log in rows]  # type: ignore[arg-type]
        rows = await store.rows("batch_logs_with_ids", wanted)
        return [self._with_link(*row) for row in rows]  # type: ignore[arg-type]

    def _with_link(self, timestamp: int, log: bytes, trace_id: str, span_id: str) -> bytes:
        query = urlencode({"org": self._organization_id, "span": span_id})
        link = msgspec.json.encode(f"{self._link_base}{quote(trace_id, safe='')}?{query}")
        return frame_log(self._head, timestamp, log, b',"trace_url":' + link)
