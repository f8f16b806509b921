import json
from datetime import UTC, datetime, timedelta

import pytest

from execlave_server.datadog.log_dates import event_time_us
from execlave_server.sandbox.limits import LOG_AGE_US_MAX, LOG_BYTES_MAX, LOGS_PER_REQUEST_MAX
from execlave_server.sandbox.refusals import RefusedError
from execlave_server.sandbox.sort_logs import read_batch, sort_logs

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1_000_000)
HOURS_18_MS = LOG_AGE_US_MAX // 1_000


def time_of(log: dict) -> float | None:
    """The event time read from one log."""
    return event_time_us(read_batch(json.dumps(log).encode()).dates[0])


@pytest.mark.parametrize(
    ("body", "logs"),
    [
        (b"{}", []),
        (b" { } ", []),
        (b"[]", []),
        (b'{"message":"a"}', [b'{"message":"a"}']),
        (b' [ {"message" : "a"} ,\n{} ] ', [b'{"message" : "a"}', b"{}"]),
        (b'[{"n":1e400,"big":123456789012345678901234567890}]', None),
        ('[{"message":"é\\u00e9😀"}]'.encode(), None),
    ],
)
def test_reads_logs_as_the_bytes_they_came_in(body, logs):
    """An object is one log, an array its entries, each byte for byte; `{}` and `[]` carry none."""
    batch = read_batch(body)

    assert [bytes(log) for log in batch.logs] == (logs if logs is not None else [body[1:-1]])
    assert len(batch.dates) == len(batch.logs)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is not JSON: "),
        (b"[", "the body is not JSON: "),
        (b'{"message":"a"', "the body is not JSON: "),
        (b'[{"message":"a"}] x', "the body is not JSON: "),
        (b'[{"message":"a",}]', "the body is not JSON: "),
        (b'[{"message":"\\x"}]', "the body is not JSON: "),
        (b'[{"message":"\xff"}]', "the body is not UTF-8: invalid start byte at byte 13"),
        (b'"text"', "must be a log object or an array of them: Expected `object`, got `str`"),
        (b"7", "must be a log object or an array of them: Expected `object`, got `int`"),
        (b"null", "must be a log object or an array of them: Expected `object`, got `null`"),
        (b'[{"message":"a"}, "text"]', r"Expected `object`, got `str` - at `\$\[1\]`"),
        (b"[[]]", r"Expected `object`, got `array` - at `\$\[0\]`"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_refuses_what_is_not_logs(body, detail):
    """Broken JSON, broken UTF-8, JSON without end and entries that are not objects are a 400 that says which."""
    with pytest.raises(RefusedError, match=detail) as refused:
        read_batch(body)

    assert refused.value.status == 400


def test_refuses_more_entries_than_an_array_may_hold():
    """1,000 entries are taken; one more is a 413, whatever the entries are."""
    assert len(read_batch(b"[" + b"{}," * (LOGS_PER_REQUEST_MAX - 1) + b"{}]").logs) == 1_000

    with pytest.raises(RefusedError) as refused:
        read_batch(b"[" + b"1," * LOGS_PER_REQUEST_MAX + b"1]")

    assert refused.value.status == 413


@pytest.mark.parametrize(
    "value",
    [
        NOW_US // 1_000,
        NOW_US / 1_000,
        str(NOW_US // 1_000),
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000000000Z",
        "2026-03-01T13:00:00+01:00",
        "2026-03-01 12:00:00",
    ],
)
def test_reads_epoch_milliseconds_and_iso_8601(value):
    """A date is epoch milliseconds or ISO 8601, UTC where it names no offset."""
    assert time_of({"timestamp": value}) == NOW_US


@pytest.mark.parametrize("value", [None, True, "", "yesterday", "9" * 5_000, [], {}, ["2026-03-01T12:00:00Z"]])
def test_takes_an_unreadable_date_for_none(value):
    """A date that cannot be read counts as no date, which means the time of arrival."""
    assert time_of({"timestamp": value}) is None


def test_takes_the_first_date_attribute_in_datadogs_order():
    """The first of Datadog's date attributes decides, whatever the order in the log and however poor its value."""
    names = ["@timestamp", "timestamp", "_timestamp", "Timestamp", "eventTime", "date", "published_date"]
    log = {name: 1_000 + place for place, name in reversed(list(enumerate(names)))}

    for place, name in enumerate(names):
        assert time_of(log) == (1_000 + place) * 1_000
        del log[name]

    assert time_of({"message": "no date"}) is None
    assert time_of({"@timestamp": "poor", "timestamp": 5}) is None


@pytest.mark.parametrize("body", [b'{"timestamp":%b}', b'[{"timestamp":%b}]'])
@pytest.mark.parametrize("value", ["1e400", "-1e400", "123456789012345678901234567890"])
def test_survives_dates_beyond_all_numbers(body, value):
    """A number no clock shows is still a date: far ahead, or far behind."""
    fates = sort_logs(read_batch(body % value.encode()), NOW_US)

    assert (len(fates.kept), fates.dropped_too_old) == ((0, 1) if value.startswith("-") else (1, 0))


def test_drops_only_what_is_older_than_eighteen_hours():
    """A log is dropped past 18 hours of age; at 18 hours, in the future or without a date it is kept."""
    now_ms = NOW_US // 1_000
    times = [now_ms - HOURS_18_MS - 1, now_ms - HOURS_18_MS, now_ms, now_ms + 10 * HOURS_18_MS, "no date"]
    times.append((NOW - timedelta(hours=19)).isoformat())
    logs = [json.dumps({"timestamp": time}).encode() for time in times]

    fates = sort_logs(read_batch(b"[" + b",".join(logs) + b"]"), NOW_US)

    assert [bytes(log) for log in fates.kept] == logs[1:5]
    assert fates.dropped_too_old == 2


def test_truncates_only_what_is_over_a_megabyte():
    """A log of exactly 1,000,000 bytes is left alone; one byte more is cut, and its place noted."""
    frame = len(b'{"message":""}')
    fits, long = (
        json.dumps({"message": "m" * n}, separators=(",", ":")).encode()
        for n in (
            LOG_BYTES_MAX - frame,
            LOG_BYTES_MAX - frame + 1,
        )
    )

    fates = sort_logs(read_batch(b"[{},%b,%b]" % (fits, long)), NOW_US)

    assert bytes(fates.kept[1]) == fits
    assert bytes(fates.kept[2]) == fits
    assert fates.truncated == {2}
