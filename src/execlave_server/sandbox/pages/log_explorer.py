"""What the log explorer shows: facets with counts, a page of logs, one log in full."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from execlave_server.datadog.attributes import text_of
from execlave_server.datadog.facets import facet_values
from execlave_server.sandbox.attribute_paths import read_path
from execlave_server.sandbox.pages.drawings import Bar, draw_bars
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.search_logs import LogFilter, open_filter
from execlave_server.sandbox.state import SandboxState

FACETS = (
    "status",
    "service",
    "source",
    "env",
    "@status",
    "@execlave.status",
    "@agent_id",
    "@span_type",
    "@autonomy_level",
    "@agent_status",
    "@environment",
    "@model",
)
FACET_VALUES_MAX = 8  # shown of one facet
FACET_LOGS_MAX = 20_000  # newest matching logs that are counted for facets: keeps a page under a second
PAGE_LOGS = 50
RANGES = (
    ("now-5m", "Past 5 minutes"),
    ("now-15m", "Past 15 minutes"),
    ("now-1h", "Past hour"),
    ("now-4h", "Past 4 hours"),
    ("now-1d", "Past day"),
)


@dataclass(slots=True)
class FacetValue:
    """One value of a facet, and the search that narrows down to it."""

    value: str
    count: int
    query: str


@dataclass(slots=True)
class Explored:
    """What the page shows of a search."""

    bars: list[Bar] = field(default_factory=list)
    facets: list[tuple[str, list[FacetValue]]] = field(default_factory=list)
    matched: int = 0
    counted_all: bool = True
    from_ms: int = 0
    to_ms: int = 0


class Leaf(msgspec.Struct):
    """One line of the attribute tree."""

    depth: int
    name: str
    text: str | None  # None: an object, its members follow
    query: str | None


async def explore(state: SandboxState, wanted: LogFilter, from_ms: int, to_ms: int) -> Explored:
    """Facets and bars over the newest matching logs."""
    matches, places = open_filter(state, wanted)
    counters: dict[str, Counter[str]] = {facet: Counter() for facet in FACETS}
    times_ms: list[int] = []
    counted_all = True
    async for log in state.index.walk(places[::-1]):
        if not matches(log):
            continue
        if len(times_ms) >= FACET_LOGS_MAX:
            counted_all = False
            break
        times_ms.append(log.timestamp_ms)
        for facet, counter in counters.items():
            counter.update(facet_values(log, facet))
    facets = [
        (
            facet,
            [
                FacetValue(value, count, narrow(wanted.query, facet, value))
                for value, count in counter.most_common(FACET_VALUES_MAX)
            ],
        )
        for facet, counter in counters.items()
        if counter
    ]
    bars = draw_bars(times_ms, from_ms, to_ms)
    return Explored(bars, facets, len(times_ms), counted_all, from_ms, to_ms)


def narrow(query: str, facet: str, value: str) -> str:
    """The search with one more condition."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    term = f"{facet}:{value}" if value.replace("_", "").replace("-", "").isalnum() else f'{facet}:"{quoted}"'
    before = "" if query.strip() in {"", "*"} else f"({query}) " if " OR " in query else f"{query} "
    return query if term in query.split() else before + term


def tree(attributes: dict[str, Any]) -> list[Leaf]:
    """The attributes as lines, each value with the search for it."""
    return list(branch(attributes, 0, ""))


def branch(value: dict[str, Any], depth: int, prefix: str) -> Iterable[Leaf]:
    """The lines of one object."""
    for name, held in value.items():
        path = f"{prefix}{name}"
        if isinstance(held, dict):
            yield Leaf(depth, name, None, None)
            yield from branch(held, depth + 1, f"{path}.")
        elif isinstance(held, str | int | float):
            text = text_of(held)
            yield Leaf(depth, name, text, narrow("", f"@{path}", text))
        else:
            yield Leaf(depth, name, msgspec.json.encode(held).decode(), None)


def trace_url(log: PreparedLog) -> str | None:
    """The link back to the trace, when it is a link."""
    url = read_path(log.attributes, "execlave.trace_url")
    return url if isinstance(url, str) and url.startswith(("http://", "https://")) else None


def whole_json(log: PreparedLog) -> str:
    """The log as one JSON text."""
    shown = {
        "message": log.message,
        "status": log.status,
        "host": log.host,
        "service": log.service,
        "source": log.source,
        "tags": log.tags,
        "attributes": log.attributes,
    }
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def logs_link(**arguments: str | int | None) -> str:
    """The explorer with these arguments."""
    given = {name.rstrip("_"): value for name, value in arguments.items() if value not in {None, ""}}
    return f"/logs?{urlencode(given)}"
