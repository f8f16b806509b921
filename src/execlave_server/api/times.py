from datetime import UTC, datetime

from execlave_server.errors import ValidationFailedError
from execlave_server.model.traces import EPOCH

LAST_YEAR = 9_999  # of the calendar: with another zone, or rounded, a time in it may have no date


def iso(time_us: int | None) -> str | None:
    """Epoch microseconds as ISO 8601 with milliseconds, UTC."""
    if time_us is None:
        return None
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def microseconds(time: datetime) -> int:
    """Epoch microseconds of a time; one without a zone is UTC. Raises ValidationFailedError for year 1 or 9999."""
    if not 1 < time.year < LAST_YEAR:
        raise ValidationFailedError(f"The year {time.year} is not one that times are kept for.")
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
