"""Charts as SVG, drawn here: geometry in attributes, colour by class, the same figures as a table for who cannot see.

All functions are pure. `None` among the values is a gap. A series has the colour of its `tone` (good, bad, warn,
quiet), else of its place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 200  # units of the view box; the page scales it
_TOP, _BOTTOM = 16, 22  # room for the highest label, and for those under the axis
_TICKS_GOAL = 4
_LABELS_MAX = 7  # under the axis; more would touch
_BAR_GAP = 0.25  # of a bar's place
SPARK_WIDTH, SPARK_HEIGHT = 112, 24

Figure = Callable[[float], str]
"""How a value is written."""


@dataclass(frozen=True)
class Series:
    """Values in the order of the labels, under one name."""

    name: str
    values: Sequence[float | None]
    tone: str = ""


def plain_figure(value: float) -> str:
    """A number short enough for an axis: 950, 1.2k, 3.4M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.1f}".removesuffix(".0") + unit
    return f"{value:.2f}".rstrip("0").rstrip(".")


def line_chart(
    title: str, labels: Sequence[str], series: Sequence[Series], *, area: bool = False, figure: Figure = plain_figure
) -> Markup:
    """Lines over equally spaced labels, with what is under them where `area`."""
    top = _scale_top(max(_known(series), default=0.0))
    marks = []
    for place, each in enumerate(series):
        points = [
            (_x_of_point(at, len(labels)), None if value is None else _y(value, top))
            for at, value in enumerate(each.values)
        ]
        for run in _runs(points):
            path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run)
            if area:
                closed = f"{path}L{run[-1][0]:.1f} {_y(0, top):.1f}L{run[0][0]:.1f} {_y(0, top):.1f}Z"
                marks.append(Markup('<path class="area {}" d="{}"/>').format(_colour(each, place), closed))
            marks.append(Markup('<path class="line {}" d="{}"/>').format(_colour(each, place), path))
    return _chart(title, labels, series, top, marks, figure=figure, x_of=_x_of_point)


def bar_chart(title: str, labels: Sequence[str], series: Sequence[Series], *, figure: Figure = plain_figure) -> Markup:
    """A bar for each label, the series stacked on one another."""
    totals = [sum(each.values[at] or 0 for each in series) for at in range(len(labels))]
    top = _scale_top(max(totals, default=0.0))
    step = WIDTH / max(len(labels), 1)
    marks = []
    for at, label in enumerate(labels):
        below = 0.0
        for place, each in enumerate(series):
            value = each.values[at] or 0
            if value <= 0:
                continue
            y, bottom = _y(below + value, top), _y(below, top)
            below += value
            marks.append(
                Markup(
                    '<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"><title>{}: {} {}</title></rect>'
                ).format(
                    _colour(each, place),
                    f"{at * step + step * _BAR_GAP / 2:.1f}",
                    f"{y:.1f}",
                    f"{step * (1 - _BAR_GAP):.1f}",
                    f"{max(bottom - y, 0.8):.1f}",
                    label,
                    figure(value),
                    each.name,
                )
            )
    return _chart(title, labels, series, top, marks, figure=figure, x_of=_x_of_bar)


def sparkline(title: str, values: Sequence[float | None], tone: str = "") -> Markup:
    """A small line in the text; its title says what it shows."""
    known = [value for value in values if value is not None]
    top = max(known, default=0.0) or 1.0
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    points = [
        (at * step, None if value is None else SPARK_HEIGHT - 2 - value / top * (SPARK_HEIGHT - 4))
        for at, value in enumerate(values)
    ]
    paths = [
        Markup('<path class="line {}" d="{}"/>').format(
            f"tone-{tone}" if tone else "s0", "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run)
        )
        for run in _runs(points)
    ]
    return Markup(
        '<svg class="sparkline" role="img" viewBox="0 0 {} {}" preserveAspectRatio="none"><title>{}</title>{}</svg>'
    ).format(SPARK_WIDTH, SPARK_HEIGHT, title, Markup("").join(paths))


def _chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    top: float,
    marks: Sequence[Markup],
    *,
    figure: Figure,
    x_of: Callable[[int, int], float],
) -> Markup:
    return Markup(
        '<figure class="chart"><figcaption>{}{}</figcaption>'
        '<svg role="img" viewBox="0 0 {} {}"><title>{}</title><desc>{}</desc>{}{}{}</svg>{}</figure>'
    ).format(
        title,
        _legend(series),
        WIDTH,
        HEIGHT,
        title,
        _describe(labels, series, figure),
        _rules(top, figure),
        Markup("").join(marks),
        _axis(labels, x_of),
        _table(title, labels, series, figure),
    )


def _legend(series: Sequence[Series]) -> Markup:
    if len(series) < 2:  # noqa: PLR2004 - one needs no telling apart
        return Markup("")
    items = [
        Markup(
            '<li><svg viewBox="0 0 10 10" aria-hidden="true">'
            '<rect class="bar {}" width="10" height="10" rx="2"/></svg>{}</li>'
        ).format(_colour(each, place), each.name)
        for place, each in enumerate(series)
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _rules(top: float, figure: Figure) -> Markup:
    """Lines across at round values, each with its value above its left end."""
    step = _scale_step(top)
    drawn = []
    for count in range(round(top / step) + 1):
        y = _y(count * step, top)
        drawn.append(
            Markup('<line class="rule" x1="0" x2="{}" y1="{}" y2="{}"/>').format(WIDTH, f"{y:.1f}", f"{y:.1f}")
        )
        if count:
            drawn.append(Markup('<text x="0" y="{}">{}</text>').format(f"{y - 4:.1f}", figure(count * step)))
    return Markup("").join(drawn)


def _axis(labels: Sequence[str], x_of: Callable[[int, int], float]) -> Markup:
    """Labels under the axis: as many as fit; at phone width the first and the last stay."""
    count = len(labels)
    every = max(1, math.ceil(count / _LABELS_MAX))
    shown = sorted({*range(0, count, every), count - 1} if count else set())
    if len(shown) > 1 and shown[-1] - shown[-2] < every:
        del shown[-2]
    drawn = []
    for at in shown:
        anchor = "start" if at == 0 else "end" if at == count - 1 else "middle"
        minor = Markup("") if at in {0, count - 1} else Markup(' class="minor"')
        x = 0 if at == 0 else WIDTH if at == count - 1 else x_of(at, count)
        drawn.append(
            Markup('<text x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(
                f"{x:.1f}", HEIGHT - 4, anchor, minor, labels[at]
            )
        )
    return Markup("").join(drawn)


def _describe(labels: Sequence[str], series: Sequence[Series], figure: Figure) -> str:
    """What there is to see, in a sentence a series."""
    if not labels:
        return "No data."
    sentences = [f"{labels[0]} to {labels[-1]}."]
    for each in series:
        known = [value for value in each.values if value is not None]
        said = f"from {figure(min(known))} to {figure(max(known))}, last {figure(known[-1])}" if known else "no data"
        sentences.append(f"{each.name}: {said}.")
    return " ".join(sentences)


def _table(title: str, labels: Sequence[str], series: Sequence[Series], figure: Figure) -> Markup:
    head = Markup("").join(Markup('<th scope="col" class="number">{}</th>').format(each.name) for each in series)
    rows = [
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            label,
            Markup("").join(
                Markup('<td class="number">{}</td>').format("" if (value := each.values[at]) is None else figure(value))
                for each in series
            ),
        )
        for at, label in enumerate(labels)
    ]
    return Markup(
        '<details><summary>As a table</summary><div class="scroll"><table><caption class="unseen">{}</caption>'
        '<thead><tr><th scope="col">When</th>{}</tr></thead><tbody>{}</tbody></table></div></details>'
    ).format(title, head, Markup("").join(rows))


def _colour(series: Series, place: int) -> Markup:
    return escape(f"tone-{series.tone}" if series.tone else f"s{place % 6}")


def _known(series: Sequence[Series]) -> list[float]:
    return [value for each in series for value in each.values if value is not None]


def _x_of_point(at: int, count: int) -> float:
    return at * WIDTH / max(count - 1, 1)


def _x_of_bar(at: int, count: int) -> float:
    return (at + 0.5) * WIDTH / count


def _y(value: float, top: float) -> float:
    return _TOP + (1 - value / top) * (HEIGHT - _TOP - _BOTTOM)


def _scale_step(top: float) -> float:
    """The distance of round values that gives about four lines: 1, 2 or 5 times a power of ten."""
    rough = top / _TICKS_GOAL
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _scale_top(most: float) -> float:
    """The first round value at or above the highest; 1 where there is nothing above nought."""
    if most <= 0:
        return 1.0
    step = _scale_step(most)
    return math.ceil(most / step * 0.999999) * step


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The points without the gaps; one that stands alone becomes a dot of a line."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run if len(run) > 1 else [run[0], (run[0][0] + 0.1, run[0][1])] for run in runs if run]
