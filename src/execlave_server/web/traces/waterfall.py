"""Where each span's bar stands: geometry of a timeline, in thousandths of its width."""

from typing import NamedTuple

from execlave_server.actions.read_timeline import Timeline, TimelineSpan
from execlave_server.model.traces import TraceStatus

WIDTH = 1_000
BAR_WIDTH_MIN = 6  # so that what took a millisecond of a minute can be seen
DEPTH_SHOWN_MAX = 12  # deeper spans stand no further right
_TONES = {
    TraceStatus.SUCCESS: "good",
    TraceStatus.ERROR: "bad",
    TraceStatus.TIMEOUT: "bad",
    TraceStatus.POLICY_BLOCKED: "bad",
    TraceStatus.LIMIT_EXCEEDED: "warn",
    TraceStatus.FLAGGED_FOR_REVIEW: "warn",
    TraceStatus.EFFECT_UNCONFIRMED: "warn",
}


class Bar(NamedTuple):
    """A span with its bar. `starts_ms` is since the beginning of the timeline."""

    span: TimelineSpan
    name: str
    level: int
    x: float
    width: float
    tone: str
    starts_ms: int

    @property
    def is_stopped(self) -> bool:
        """True where governance stopped it."""
        return self.span.status in {TraceStatus.POLICY_BLOCKED, TraceStatus.LIMIT_EXCEEDED}


class Waterfall(NamedTuple):
    """The bars in reading order, and how long everything took."""

    bars: list[Bar]
    total_ms: float


def draw_waterfall(timeline: Timeline) -> Waterfall:
    """The bars of a timeline. A span that says it began before its trace's second did is drawn where it says."""
    begin_ms = min(span.started_at_ms for span in timeline.spans)
    total_ms = max(span.started_at_ms - begin_ms + span.duration_ms for span in timeline.spans) or 1.0
    return Waterfall([_bar(span, begin_ms, total_ms) for span in timeline.spans], total_ms)


def name_of(span: TimelineSpan) -> str:
    """What a span is called: its name, its type, or else its id."""
    return span.log.span_name or span.row.span_type or span.span_id[:24]


def _bar(span: TimelineSpan, begin_ms: int, total_ms: float) -> Bar:
    starts_ms = span.started_at_ms - begin_ms
    width = max(span.duration_ms / total_ms * WIDTH, BAR_WIDTH_MIN)
    x = min(starts_ms / total_ms * WIDTH, WIDTH - min(width, WIDTH))
    return Bar(
        span=span,
        name=name_of(span),
        level=min(span.depth, DEPTH_SHOWN_MAX),
        x=round(x, 1),
        width=round(min(width, WIDTH), 1),
        tone=_TONES[span.status],
        starts_ms=starts_ms,
    )
