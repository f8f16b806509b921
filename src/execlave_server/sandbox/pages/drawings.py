"""Small drawings, as coordinates for SVG. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from execlave_server.sandbox.monitors.held_monitor import Drawn

WIDTH, HEIGHT = 720, 120  # of a drawing, in its own units
BARS = 60  # of the logs over time


class Bar(NamedTuple):
    """One bar of the logs over time."""

    x: float
    y: float
    width: float
    height: float
    logs: int
    from_ms: int


class Line(NamedTuple):
    """A monitor's value over its evaluations, with its thresholds."""

    points: str
    dots: list[tuple[float, float, float, int]]  # x, y, value, time
    critical_y: float | None
    warning_y: float | None
    least: float
    most: float


def draw_bars(times_ms: Sequence[int], from_ms: int, to_ms: int) -> list[Bar]:
    """How many logs came when."""
    span_ms = max(to_ms - from_ms, BARS)
    counts = [0] * BARS
    for time_ms in times_ms:
        counts[min(int((time_ms - from_ms) * BARS / span_ms), BARS - 1)] += 1
    most = max(counts) or 1
    width = WIDTH / BARS
    return [
        Bar(
            x=round(number * width, 2),
            y=round(HEIGHT - count / most * HEIGHT, 2),
            width=round(width - 1, 2),
            height=round(count / most * HEIGHT, 2),
            logs=count,
            from_ms=from_ms + number * span_ms // BARS,
        )
        for number, count in enumerate(counts)
    ]


def draw_values(drawn: Sequence[Drawn], critical: float, warning: float | None) -> Line | None:
    """The worst value at each evaluation; None before the first value."""
    known = [(number, each) for number, each in enumerate(drawn) if each.value is not None]
    if not known:
        return None
    values = [each.value for _, each in known if each.value is not None]
    marks = [mark for mark in (critical, warning) if mark is not None]
    least, most = min(0.0, *values, *marks), max(*values, *marks) * 1.1
    if not math.isfinite(most - least) or most <= least:
        most = least + 1.0
    step = WIDTH / max(len(drawn) - 1, 1)

    def height_of(value: float) -> float:
        return round(HEIGHT - (value - least) / (most - least) * HEIGHT, 2)

    dots = [
        (round(number * step, 2), height_of(each.value), each.value, each.at_us)
        for number, each in known
        if each.value is not None
    ]
    return Line(
        points=" ".join(f"{x},{y}" for x, y, _, _ in dots),
        dots=dots,
        critical_y=height_of(critical),
        warning_y=None if warning is None else height_of(warning),
        least=least,
        most=most,
    )
