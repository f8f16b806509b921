from datetime import UTC, datetime

from execlave_server.model.traces import EPOCH


def iso(time_us: int | None) -> str | None:
    """Epoch microseconds as ISO 8601 with milliseconds, UTC."""
    if time_us is None:
        return None
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def microseconds(time: datetime) -> int:
    """Epoch microseconds of a time; one without a zone is UTC."""
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
