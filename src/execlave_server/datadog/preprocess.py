"""What Datadog makes of a JSON log before any pipeline: reserved attributes, the severity, normalised tags.

Source: Datadog's "Pipelines: preprocessing" and "Log status remapper", the latter as corrected in 2024 (d, t and v are
debug, o and s are ok). What is left open there is decided here: the first key that is present and not null wins.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.datadog.attributes import Attributes, text_of, values_at
from execlave_server.datadog.log_dates import read_time_us
from execlave_server.datadog.tags import stored_tags

DATE_KEYS = (
    "@timestamp", "timestamp", "_timestamp", "Timestamp", "eventTime", "date", "published_date", "syslog.timestamp",
)  # fmt: skip
MESSAGE_KEYS = ("message", "msg", "log")
STATUS_KEYS = ("status", "severity", "level", "syslog.severity")
HOST_KEYS = ("host", "hostname", "syslog.hostname")
SERVICE_KEYS = ("service", "syslog.appname", "dd.service")
TRACE_ID_KEYS = ("dd.trace_id", "contextMap.dd.trace_id", "named_tags.dd.trace_id", "trace_id")
SPAN_ID_KEYS = ("dd.span_id", "contextMap.dd.span_id", "named_tags.dd.span_id", "span_id")


class Severity(StrEnum):
    """The nine values of a log's reserved `status`, in syslog's order."""

    EMERGENCY = "emergency"
    ALERT = "alert"
    CRITICAL = "critical"
    ERROR = "error"
    WARN = "warn"
    NOTICE = "notice"
    INFO = "info"
    DEBUG = "debug"
    OK = "ok"


_SYSLOG = tuple(Severity)[:8]
_BEGINNINGS = (
    ("emerg", Severity.EMERGENCY),
    ("f", Severity.EMERGENCY),
    ("a", Severity.ALERT),
    ("c", Severity.CRITICAL),
    ("err", Severity.ERROR),
    ("w", Severity.WARN),
    ("n", Severity.NOTICE),
    ("i", Severity.INFO),
    ("d", Severity.DEBUG),
    ("t", Severity.DEBUG),
    ("v", Severity.DEBUG),
    ("o", Severity.OK),
    ("s", Severity.OK),
)


class Preprocessed(Struct, frozen=True):
    """A log as Datadog holds it.

    `timestamp_ms` is its own or the time of arrival. `attributes` are as sent, less the message, the ids of trace and
    span, and `ddsource` and `ddtags`, which are not searched among them.
    """

    message: str
    status: Severity
    host: str | None
    service: str | None
    source: str | None
    trace_id: str | None
    span_id: str | None
    timestamp_ms: int
    tags: list[str]
    attributes: dict[str, Any]


def preprocess(log: Mapping[str, Any], arrived_ms: int) -> Preprocessed:
    """The default preprocessing of one log, which is not changed."""
    attributes = _merge_message(dict(log))
    source = _text(attributes.pop("ddsource", None))
    given_tags = attributes.pop("ddtags", None)
    message = _take(attributes, MESSAGE_KEYS)
    trace_id, span_id = _take(attributes, TRACE_ID_KEYS), _take(attributes, SPAN_ID_KEYS)
    service = _text(_first(attributes, SERVICE_KEYS))
    tags = list(stored_tags(given_tags)) if isinstance(given_tags, str) else []
    platform = (("source", source), ("service", service))
    tags += [tag for key, value in platform if value for tag in stored_tags(f"{key}:{value.replace(',', '_')}")]
    return Preprocessed(
        message=_text(message) or "",
        status=remap_status(_first(attributes, STATUS_KEYS)),
        host=_text(_first(attributes, HOST_KEYS)),
        service=service,
        source=source,
        trace_id=_text(trace_id),
        span_id=_text(span_id),
        timestamp_ms=_timestamp_ms(attributes, arrived_ms),
        tags=list(dict.fromkeys(tags)),
        attributes=attributes,
    )


def remap_status(value: object) -> Severity:
    """The severity that a status becomes, whatever it is: a syslog number, a word, or nothing, which is info."""
    if isinstance(value, bool):
        return Severity.INFO
    if isinstance(value, int):
        return _SYSLOG[value] if 0 <= value < len(_SYSLOG) else Severity.INFO
    if not isinstance(value, str):
        return Severity.INFO
    if len(value) == 1 and value in "01234567":
        return _SYSLOG[int(value)]
    lowered = value.lower()
    return next((severity for beginning, severity in _BEGINNINGS if lowered.startswith(beginning)), Severity.INFO)


def _merge_message(attributes: dict[str, Any]) -> dict[str, Any]:
    """A message that is a JSON object itself is taken apart; what the log says beside it stays."""
    message = attributes.get("message")
    if not isinstance(message, str) or not message.lstrip().startswith("{"):
        return attributes
    try:
        inner = msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return attributes
    if any(inner.get(key) is not None for key in MESSAGE_KEYS):
        del attributes["message"]
    return {**inner, **attributes}


def _first(attributes: Attributes, keys: tuple[str, ...]) -> Any:
    """The value of the first key that is there; of an array its first."""
    return next((value for key in keys for value in values_at(attributes, key)), None)


def _take(attributes: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The same, and the key is an attribute no more."""
    for key in keys:
        for value in values_at(attributes, key):
            _remove(attributes, key)
            return value
    return None


def _remove(attributes: dict[str, Any], path: str) -> None:
    """Remove a path, dotted or nested, without changing the objects that were sent."""
    if path in attributes:
        del attributes[path]
        return
    dot = path.find(".")
    while dot >= 0:
        inner = attributes.get(path[:dot])
        if isinstance(inner, dict) and any(True for _ in values_at(inner, path[dot + 1 :])):
            attributes[path[:dot]] = inner = dict(inner)
            _remove(inner, path[dot + 1 :])
            if not inner:
                del attributes[path[:dot]]
            return
        dot = path.find(".", dot + 1)


def _text(value: object) -> str | None:
    """A reserved attribute is text, whatever was sent; an object is none."""
    return text_of(value) if isinstance(value, str | int | float) else None


def _timestamp_ms(attributes: Attributes, arrived_ms: int) -> int:
    time_us = read_time_us(_first(attributes, DATE_KEYS))
    if time_us is None or not abs(time_us) < TIME_US_MAX:
        return arrived_ms
    return int(time_us // 1_000)


TIME_US_MAX = 253_402_300_800_000_000  # the year 10000
