"""What a log says of a facet: an attribute with `@`, a reserved attribute, or a tag's key."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from execlave_server.datadog.attributes import Attributes, text_of, values_at

RESERVED = frozenset({"status", "host", "service", "source", "trace_id", "message"})
FACET_CHARS_MAX = 1_024  # Datadog indexes no longer value of a facet


class FacetedLog(Protocol):
    """A log after preprocessing; the reserved attributes are its own."""

    @property
    def tags(self) -> Sequence[str]:
        """Such as `env:production`."""

    @property
    def attributes(self) -> Attributes:
        """Whatever was sent beside."""


def facet_values(log: FacetedLog, facet: str) -> list[str]:
    """The values to group by: none where it has none, several for an array or a repeated tag."""
    return [text_of(value)[:FACET_CHARS_MAX] for value in raw_values(log, facet)]


def raw_values(log: FacetedLog, facet: str) -> list[Any]:
    """The same, as they are."""
    if facet.startswith("@"):
        return [value for value in values_at(log.attributes, facet[1:]) if not isinstance(value, Mapping)]
    if facet in RESERVED:
        value = getattr(log, facet)
        return [] if value is None else [value]
    return list(dict.fromkeys(tag[len(facet) + 1 :] for tag in log.tags if tag.startswith(f"{facet}:")))


def measure_of(log: FacetedLog, measure: str) -> float | None:
    """The number a log carries at `measure`; None where it carries none."""
    for value in raw_values(log, measure if measure.startswith("@") else f"@{measure}"):
        if isinstance(value, bool):
            continue
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            continue
    return None
