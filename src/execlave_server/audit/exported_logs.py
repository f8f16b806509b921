"""Logs as they come out of Datadog: an archive's lines, an answer of the search API, or the sandbox's list."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from execlave_server.audit.verify import LogAnchor

_LAYERS = ("data", "log", "attributes", "content")  # what the forms wrap a log in


def log_anchors(lines: Iterable[bytes]) -> Iterator[LogAnchor | None]:
    """The anchor of each log, None for a log that carries none. Each line is JSON: a log, or a page of logs.

    Raises msgspec.MsgspecError for a line that is no JSON.
    """
    for line in lines:
        if line.strip():
            for log in _logs_in(msgspec.json.decode(line)):
                yield _anchor_of(log)


def _logs_in(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, list):
        for each in found:
            yield from _logs_in(each)
    elif isinstance(found, dict):
        if "execlave" not in found and (inner := next((found[name] for name in _LAYERS if name in found), None)):
            yield from _logs_in(inner)
        else:
            yield found


def _anchor_of(log: dict[str, Any]) -> LogAnchor | None:
    try:
        anchor = msgspec.convert(log.get("execlave"), LogAnchor)
    except msgspec.ValidationError:
        return None
    return anchor if anchor.event or (anchor.trace_id and anchor.span_id) else None
