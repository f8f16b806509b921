"""From a log as it was sent to the log that is searched: Datadog's default preprocessing, and the platform's tags."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from execlave_server.datadog.attributes import values_at
from execlave_server.datadog.log_dates import read_time_us
from execlave_server.datadog.preprocess import DATE_KEYS, preprocess
from execlave_server.datadog.tags import stored_tags
from execlave_server.sandbox.prepared_log import PreparedLog

PLATFORM_TAGS = ("datadog.submission_auth:api_key", "datadog.index:main")
NO_PIPELINE_TAG = "datadog.pipelines:false"  # where none matches

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=float).decode


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a request came, and the tags in its query string."""

    arrived_us: int
    ddtags: str = ""


def prepare_log(sent: bytes, sequence: int, arrival: Arrival) -> PreparedLog:
    """The log after preprocessing, before any pipeline."""
    attributes = decode_attributes(sent)
    arrived_ms = arrival.arrived_us // 1_000
    log = preprocess(attributes, arrived_ms)
    timestamp_ms = log.timestamp_ms
    if timestamp_ms == arrived_ms:  # it has no date, or one that is read here alone
        timestamp_ms = syslog_date_ms(attributes, arrival.arrived_us) or timestamp_ms
    tags = dict.fromkeys(log.tags)
    if arrival.ddtags:
        tags |= dict.fromkeys(stored_tags(arrival.ddtags))
    return PreparedLog(
        sequence=sequence,
        timestamp_ms=timestamp_ms,
        message=log.message,
        status=log.status.value,
        host=log.host,
        service=log.service,
        source=log.source,
        trace_id=log.trace_id,
        span_id=log.span_id,
        tags=[*tags, *PLATFORM_TAGS],
        attributes=log.attributes,
    )


def decode_attributes(sent: bytes) -> dict[str, Any]:
    """The log's JSON; what the intake took and this decoder cannot hold is a log with that text as its message."""
    try:
        return _decode(sent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"message": sent.decode(errors="replace")}


def read_date_ms(value: object, arrived_us: int) -> int:
    """A time in epoch milliseconds; the arrival where it is none that Datadog reads."""
    time_us = read_time_us(value)
    if time_us is None and isinstance(value, str):
        time_us = read_syslog_us(value, arrived_us)
    return int((arrived_us if time_us is None else time_us) // 1_000)


def syslog_date_ms(attributes: dict[str, Any], arrived_us: int) -> int | None:
    """Epoch milliseconds of a log whose date is an RFC 3164 one; None for every other log."""
    value = next((value for key in DATE_KEYS for value in values_at(attributes, key)), None)
    if not isinstance(value, str) or not value[:1].isalpha():
        return None
    time_us = read_syslog_us(value, arrived_us)
    return None if time_us is None else int(time_us // 1_000)


def read_syslog_us(text: str, arrived_us: int) -> float | None:
    """An RFC 3164 date such as `Oct 11 22:14:15`, which has no year: the one that is nearest to the arrival, UTC."""
    arrived = datetime.fromtimestamp(arrived_us / 1_000_000, UTC)
    moments: list[datetime] = []
    for year in (arrived.year - 1, arrived.year, arrived.year + 1):
        try:
            moment = datetime.strptime(f"{year} {text.strip()} +0000", "%Y %b %d %H:%M:%S %z")
        except ValueError:
            continue
        moments.append(moment)
    if not moments:
        return None
    return min(moments, key=lambda moment: abs(moment - arrived)).timestamp() * 1_000_000


def as_text(value: object) -> str:
    """Text as it is, anything else as JSON; nothing for what is absent."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
