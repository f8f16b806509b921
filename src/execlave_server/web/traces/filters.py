"""The filter of the list of traces, from an address that can be shared and back to one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from urllib.parse import urlencode

from execlave_server.actions.read_traces import NEWEST, TraceFilter
from execlave_server.errors import ValidationFailedError
from execlave_server.model.traces import EPOCH, ID_CHARS_MAX, TraceStatus
from execlave_server.web.exchange import Form

MINUTE_US = 60_000_000
PERIODS: Mapping[str, int] = MappingProxyType({
    "15m": 15 * MINUTE_US,
    "1h": 60 * MINUTE_US,
    "4h": 240 * MINUTE_US,
    "24h": 1_440 * MINUTE_US,
    "7d": 10_080 * MINUTE_US,
    "30d": 43_200 * MINUTE_US,
})  # fmt: skip
_NAMES = ("status", "agent", "environment", "type", "last", "from", "to", "query")


@dataclass(frozen=True)
class Asked:
    """What an address asks for: the filter, the cursor, and the query that says the same again."""

    wanted: TraceFilter
    before: int | None
    pairs: tuple[tuple[str, str], ...]

    @property
    def query(self) -> str:
        """The filter as a query string, without the cursor."""
        return urlencode(self.pairs)

    @property
    def is_filtered(self) -> bool:
        """True where anything narrows the list."""
        return bool(self.pairs)

    def at(self, before: int | None) -> str:
        """The query string of the page below an id."""
        return urlencode([*self.pairs, *([("before", str(before))] if before is not None else [])])


def read_filter(query: Form, now_us: int) -> Asked:
    """The filter of an address. Times are UTC. Raises ValidationFailedError naming the field."""
    pairs = tuple((name, text.strip()) for name in _NAMES for text in query.all(name) if text.strip())
    last = query["last"]
    if last and last not in PERIODS:
        raise ValidationFailedError(f"There is no period {last[:20]!r}.", fields={"last": f"use {', '.join(PERIODS)}"})
    from_us = _time(query, "from")
    wanted = TraceFilter(
        statuses=tuple(_status(text) for text in query.all("status") if text),
        agent=_text(query, "agent", ID_CHARS_MAX),
        environment=_text(query, "environment", ID_CHARS_MAX),
        span_type=_text(query, "type", ID_CHARS_MAX),
        from_us=now_us - PERIODS[last] if last and from_us is None else from_us,
        to_us=_time(query, "to"),
        query=query["query"].strip(),
    )
    return Asked(wanted, _cursor(query["before"]), pairs)


def _status(text: str) -> TraceStatus:
    try:
        return TraceStatus(text)
    except ValueError as error:
        raise ValidationFailedError("There is no such status.", fields={"status": "is not known"}) from error


def _text(query: Form, name: str, most: int) -> str:
    if len(query[name]) > most:
        reason = f"must have at most {most} characters"
        raise ValidationFailedError(f"The field {name} {reason}.", fields={name: reason})
    return query[name]


def _time(query: Form, name: str) -> int | None:
    if not query[name]:
        return None
    try:
        time = datetime.fromisoformat(query[name])
        since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH
        return since // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        reason = "must be a time, as 2026-01-31T09:30"
        raise ValidationFailedError(f"The field {name} {reason}.", fields={name: reason}) from error


def _cursor(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(NEWEST)) and int(text) <= NEWEST):
        raise ValidationFailedError("The address does not lead to a page of this list. Begin at its first page.")
    return int(text)
