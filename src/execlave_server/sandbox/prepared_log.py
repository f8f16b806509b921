from typing import Any

import msgspec


class PreparedLog(msgspec.Struct, array_like=True, gc=False):
    """A log as Datadog holds it after preprocessing and pipelines. Times are epoch milliseconds."""

    sequence: int
    timestamp_ms: int
    message: str
    status: str
    host: str | None
    service: str | None
    source: str | None
    trace_id: str | None
    span_id: str | None
    tags: list[str]
    attributes: dict[str, Any]
