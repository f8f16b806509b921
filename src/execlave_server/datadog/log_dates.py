from datetime import UTC, datetime
from typing import Any

import msgspec


class LogDates(msgspec.Struct, gc=False):
    """The attributes Datadog takes a log's date from, in its order; all else in the log is skipped over."""

    at_timestamp: Any = msgspec.field(default=None, name="@timestamp")
    timestamp: Any = None
    underscore_timestamp: Any = msgspec.field(default=None, name="_timestamp")
    capital_timestamp: Any = msgspec.field(default=None, name="Timestamp")
    event_time: Any = msgspec.field(default=None, name="eventTime")
    date: Any = None
    published_date: Any = None


def event_time_us(dates: LogDates) -> float | None:
    """The log's own time in microseconds since the epoch; None when it has none that can be read."""
    for value in msgspec.structs.astuple(dates):
        if value is not None:
            return read_time_us(value)
    return None


def read_time_us(value: object) -> float | None:
    """Microseconds since the epoch from epoch milliseconds or ISO 8601; Datadog does not take epoch seconds."""
    match value:
        case bool():
            return None
        case int() | float():
            return value * 1_000
        case str():
            return read_text_us(value)
        case _:
            return None


def read_text_us(text: str) -> float | None:
    """The same for text. ISO 8601 without an offset is taken as UTC."""
    try:
        if text.isdecimal():
            return int(text) * 1_000
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() * 1_000_000
