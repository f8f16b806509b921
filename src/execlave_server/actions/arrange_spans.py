"""The spans of a timeline in the order they are read: parents before their children, siblings by their start.

The Python SDK cuts timestamps to whole seconds, so that siblings often start at the same time; then the order in which
they were received decides, which is the order in which they ended.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class Nested(Protocol):
    """What is known of a span's place."""

    @property
    def id(self) -> int:
        """The order of receiving."""

    @property
    def span_id(self) -> str:
        """Its id within its trace."""

    @property
    def parent_span_id(self) -> str | None:
        """The span it is part of."""

    @property
    def started_at_ms(self) -> int:
        """When it started, as its client says."""


SpanType = TypeVar("SpanType", bound=Nested)


def arrange_spans(spans: Iterable[SpanType]) -> list[tuple[SpanType, int]]:
    """Each span once with its depth, in reading order. Spans that name each other in a circle stand at the top."""
    ordered = sorted(spans, key=lambda span: (span.started_at_ms, span.id))
    known = {span.span_id for span in ordered}
    children: dict[str | None, list[SpanType]] = {}
    for span in ordered:
        parent = span.parent_span_id
        top = parent is None or parent not in known or parent == span.span_id
        children.setdefault(None if top else parent, []).append(span)
    placed: list[tuple[SpanType, int]] = []
    seen: set[int] = set()
    _place(children.get(None, ()), children, placed, seen)
    for span in ordered:
        if span.id not in seen:  # in a circle, or below one
            _place([span], children, placed, seen)
    return placed


def _place(
    tops: Sequence[SpanType],
    children: dict[str | None, list[SpanType]],
    placed: list[tuple[SpanType, int]],
    seen: set[int],
) -> None:
    waiting = [(span, 0) for span in reversed(tops)]
    while waiting:
        span, depth = waiting.pop()
        if span.id in seen:
            continue
        seen.add(span.id)
        placed.append((span, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(span.span_id, ()))]
