from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from execlave_server.datadog.log_dates import LogDates, event_time_us
from execlave_server.sandbox.limits import LOG_AGE_US_MAX, LOG_BYTES_MAX, LOGS_PER_REQUEST_MAX
from execlave_server.sandbox.refusals import RefusedError, too_large
from execlave_server.sandbox.truncate_log import truncate_log

RAW_LOGS = msgspec.json.Decoder(list[msgspec.Raw])
RAW_LOG = msgspec.json.Decoder(msgspec.Raw)
# float_hook: a number no float can hold is a poor date, not a broken request.
DATES_OF_LOGS = msgspec.json.Decoder(list[LogDates], float_hook=float)
DATES_OF_LOG = msgspec.json.Decoder(LogDates, float_hook=float)
ATTRIBUTES = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class Batch:
    """One request's logs, as the bytes they came in, each beside its dates."""

    logs: Sequence[msgspec.Raw]
    dates: Sequence[LogDates]


@dataclass(slots=True)
class Sorted:
    """What becomes of a batch: every log is kept or counted as too old."""

    kept: list[msgspec.Raw | bytes] = field(default_factory=list)
    truncated: set[int] = field(default_factory=set)  # positions in `kept`
    dropped_too_old: int = 0


def read_batch(body: bytes) -> Batch:
    """The logs of a request's JSON: an object, or an array of objects; `{}` and `[]` carry none."""
    try:
        body.decode()  # the decoder below skips over most strings without reading them
        if body.lstrip()[:1] == b"[":
            return read_array(body)
        if not ATTRIBUTES.decode(body):
            return Batch([], [])
        return Batch([RAW_LOG.decode(body)], [DATES_OF_LOG.decode(body)])
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise RefusedError(400, "the body is nested too deeply") from error
    except msgspec.ValidationError as error:
        raise RefusedError(400, f"the body must be a log object or an array of them: {error}") from error
    except msgspec.DecodeError as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from error


def read_array(body: bytes) -> Batch:
    """The same for an array, counted before anything is made of its entries."""
    logs = RAW_LOGS.decode(body)
    if len(logs) > LOGS_PER_REQUEST_MAX:
        raise too_large()
    return Batch(logs, DATES_OF_LOGS.decode(body))


def sort_logs(batch: Batch, arrived_us: int) -> Sorted:
    """Drop what is too old on arrival and cut what is too long, as the intake does after its 202."""
    fates = Sorted()
    oldest_us = arrived_us - LOG_AGE_US_MAX
    for log, dates in zip(batch.logs, batch.dates, strict=True):
        time_us = event_time_us(dates)
        if time_us is not None and time_us < oldest_us:
            fates.dropped_too_old += 1
        elif len(log) > LOG_BYTES_MAX:
            fates.truncated.add(len(fates.kept))
            fates.kept.append(truncate_log(bytes(log)))
        else:
            fates.kept.append(log)
    return fates
