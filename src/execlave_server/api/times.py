from datetime import UTC, datetime


def iso(time_us: int | None) -> str | None:
    """Epoch microseconds as ISO 8601 with milliseconds, UTC."""
    if time_us is None:
        return None
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
