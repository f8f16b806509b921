"""A stored trace as Datadog would hold its log, so that a search means the same on both sides."""

import msgspec

from execlave_server.datadog.logs import frame_head, frame_log
from execlave_server.datadog.preprocess import Preprocessed, preprocess, remap_status
from execlave_server.datadog.search.match_log import SearchableLog

SERVICE_DEFAULT = "execlave"  # what a destination's service is unless it says otherwise


class StoredLogs:
    """Reads logs as a destination with this service and these tags would send them."""

    def __init__(self, service: str = SERVICE_DEFAULT, ddtags: str = "") -> None:
        self._head = frame_head(service, ddtags)
        self._decode = msgspec.json.Decoder(dict[str, object]).decode
        self.common = self._read_any(b'"execlave":{', 0)
        """What all of them have in common, and nothing else."""

    def read(self, middle: bytes, occurred_at_ms: int, tail: bytes = b"") -> SearchableLog:
        """The log of a stored trace. `tail` is what sending adds to `execlave`, such as `,"late":true`.

        What `log_middle` makes needs no search for reserved attributes: it has `message`, `trace_id` and `status`.
        """
        said = self._decode(b"{%b%b}}" % (middle, tail))
        message, trace_id, status = said.pop("message", None), said.pop("trace_id", None), said.get("status")
        if not isinstance(message, str) or not isinstance(trace_id, str) or "{" in message:
            return self._read_any(middle, occurred_at_ms, tail)  # a message that is an object would be taken apart
        common = self.common
        return SearchableLog(
            message=message,
            status=remap_status(status),
            host=common.host,
            service=common.service,
            source=common.source,
            trace_id=trace_id,
            timestamp_ms=occurred_at_ms,
            tags=common.tags,
            attributes={**common.attributes, **said, "timestamp": occurred_at_ms},
        )

    def _read_any(self, middle: bytes, occurred_at_ms: int, tail: bytes = b"") -> SearchableLog:
        log = frame_log(self._head, occurred_at_ms, middle, tail)
        return searchable(preprocess(msgspec.json.decode(log), occurred_at_ms))


def searchable_log(
    middle: bytes, occurred_at_ms: int, *, service: str = SERVICE_DEFAULT, ddtags: str = "", tail: bytes = b""
) -> SearchableLog:
    """One log; for many see `StoredLogs`."""
    return StoredLogs(service, ddtags).read(middle, occurred_at_ms, tail)


def searchable(log: Preprocessed) -> SearchableLog:
    """What of a preprocessed log is searched."""
    return SearchableLog(
        message=log.message,
        status=log.status,
        host=log.host,
        service=log.service,
        source=log.source,
        trace_id=log.trace_id,
        timestamp_ms=log.timestamp_ms,
        tags=log.tags,
        attributes=log.attributes,
    )
