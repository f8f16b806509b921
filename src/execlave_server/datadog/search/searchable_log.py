"""A stored trace as Datadog would hold its log, so that a search means the same on both sides."""

import msgspec

from execlave_server.datadog.logs import frame_head, frame_log
from execlave_server.datadog.preprocess import Preprocessed, preprocess
from execlave_server.datadog.search.match_log import SearchableLog

SERVICE_DEFAULT = "execlave"  # what a destination's service is unless it says otherwise


def searchable_log(
    middle: bytes, occurred_at_ms: int, *, service: str = SERVICE_DEFAULT, ddtags: str = "", tail: bytes = b""
) -> SearchableLog:
    """The log of a stored trace, put together as for a destination with this service and these tags.

    `tail` is what sending adds to `execlave`, such as `,"late":true`. Without it those members are missing.
    """
    log = frame_log(frame_head(service, ddtags), occurred_at_ms, middle, tail)
    return searchable(preprocess(msgspec.json.decode(log), occurred_at_ms))


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
