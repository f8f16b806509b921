"""Charts: geometry that fits, words beside it, and nothing that a strict policy refuses."""

import re
import xml.etree.ElementTree as ET

import pytest

from execlave_server.web.charts import HEIGHT, WIDTH, Series, bar_chart, line_chart, plain_figure, sparkline

HOURS = [f"{hour:02}:00" for hour in range(24)]
RISING = Series("Traces", [float(hour) for hour in range(24)])


def svg_of(chart: str) -> ET.Element:
    """The chart's own SVG; the whole must be well formed."""
    figure = ET.fromstring(chart)  # noqa: S314 - our own
    found = figure if figure.tag == "svg" else figure.find("svg")
    assert found is not None
    return found


def numbers(path: str) -> list[tuple[float, float]]:
    """The points of a path."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


@pytest.mark.parametrize(
    "values",
    [[0.0] * 24, [1e-9] * 24, [None] * 24, [1e12] * 24, [None, 3.0] * 12, [7.0, *[None] * 23]],
    ids=["nought", "tiny", "none", "huge", "gaps", "one"],
)
@pytest.mark.parametrize("draw", [line_chart, bar_chart])
def test_every_point_is_inside(draw, values):
    """Whatever the values, what is drawn stays within the view box."""
    svg = svg_of(draw("Traces", HOURS, [Series("Traces", values)]))
    points = [point for path in svg.iter("path") for point in numbers(path.attrib["d"])]
    boxes = [tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height")) for rect in svg.iter("rect")]

    assert all(0 <= x <= WIDTH + 0.2 and 0 <= y <= HEIGHT for x, y in points)
    assert all(0 <= x <= x + w <= WIDTH and 0 <= y <= y + h <= HEIGHT for x, y, w, h in boxes)


def test_a_higher_value_is_higher_up():
    """The line goes up to the right, from the axis to below the top."""
    (line,) = svg_of(line_chart("Traces", HOURS, [RISING])).findall("path")
    heights = [y for _, y in numbers(line.attrib["d"])]

    assert heights == sorted(heights, reverse=True)
    assert len(heights) == 24


def test_a_gap_is_not_drawn_over():
    """A value that is missing breaks the line in two."""
    svg = svg_of(line_chart("Traces", list("abcde"), [Series("x", [1, 2, None, 4, 5])]))

    assert [len(numbers(path.attrib["d"])) for path in svg.findall("path")] == [2, 2]


def test_bars_stand_on_one_another():
    """The second series begins where the first ends."""
    svg = svg_of(bar_chart("Outcomes", ["a"], [Series("good", [3]), Series("bad", [1], tone="bad")]))
    first, second = svg.findall("rect")

    assert float(second.attrib["y"]) + float(second.attrib["height"]) == pytest.approx(
        float(first.attrib["y"]), abs=0.2
    )
    assert [rect.attrib["class"] for rect in (first, second)] == ["bar s0", "bar tone-bad"]


@pytest.mark.parametrize("draw", [line_chart, bar_chart])
def test_what_it_shows_is_said_too(draw):
    """A chart has a title, a description with the figures, and a table with each of them."""
    chart = draw("Traces an hour", HOURS, [RISING])
    svg, figure = svg_of(chart), ET.fromstring(chart)  # noqa: S314 - our own

    assert svg.attrib["role"] == "img"
    assert svg.findtext("title") == "Traces an hour"
    assert svg.findtext("desc") == "00:00 to 23:00. Traces: from 0 to 23, last 23."
    assert len(list(figure.iter("tr"))) == 25


def test_labels_do_not_crowd():
    """Under the axis stand the first, the last, and few between."""
    texts = [text.text for text in svg_of(line_chart("Traces", HOURS, [RISING])).iter("text")]
    under = [text for text in texts if text in HOURS]

    assert (under[0], under[-1]) == ("00:00", "23:00")
    assert len(under) <= 8


def test_what_others_named_is_text():
    """A title, label or name with markup in it is escaped."""
    evil = '"><script>alert(1)</script>'
    for chart in (line_chart(evil, [evil], [Series(evil, [1])]), bar_chart(evil, [evil], [Series(evil, [1])] * 2)):
        assert "<script" not in chart
    assert "<script" not in sparkline(evil, [1, 2])


def test_there_is_no_style_attribute():
    """The policy refuses inline styles, so charts have none."""
    drawn = line_chart("a", HOURS, [RISING], area=True) + bar_chart("b", HOURS, [RISING]) + sparkline("c", [1, None, 2])

    assert "style" not in drawn
    assert "on" + "load" not in drawn


def test_nothing_at_all_is_a_chart():
    """No labels, no values: an empty chart that says so."""
    assert svg_of(line_chart("Traces", [], [Series("Traces", [])])).findtext("desc") == "No data."
    assert svg_of(bar_chart("Traces", [], [])).findtext("title") == "Traces"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.25, "0.25"), (12.5, "12.5"), (950, "950"), (1_200, "1.2k"), (3e6, "3M"), (2e9, "2G")],
)
def test_figures_are_short(value, said):
    """An axis says a number in a few characters."""
    assert plain_figure(value) == said
