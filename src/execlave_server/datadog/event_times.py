"""Which times Datadog takes of a log, and what ours says where its own would not do."""

LATE_AFTER_MS = (17 * 60 + 30) * 60_000  # Datadog drops what is older than 18 h after answering 202; leave half an hour
AHEAD_AT_MOST_MS = 2 * 60 * 60_000  # its date remapper takes times up to 2 h ahead


def is_taken(occurred_ms: int, sent_ms: int) -> bool:
    """Whether a log may keep its own time when it is sent at this moment."""
    return sent_ms - LATE_AFTER_MS <= occurred_ms <= sent_ms + AHEAD_AT_MOST_MS


def restamped_members(occurred_ms: int, sent_ms: int) -> bytes:
    """What a log that is stamped with the moment of sending says under `execlave`."""
    return b',"event_timestamp":%d,"late":%b' % (occurred_ms, b"true" if occurred_ms < sent_ms else b"false")
