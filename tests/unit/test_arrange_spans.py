"""Spans in reading order."""

from dataclasses import dataclass

from execlave_server.actions.arrange_spans import arrange_spans


@dataclass(frozen=True)
class Span:
    id: int
    span_id: str
    parent_span_id: str | None = None
    started_at_ms: int = 0


def drawn(*spans: Span) -> list[str]:
    """The arranged spans, indented."""
    return [f"{'  ' * depth}{span.span_id}" for span, depth in arrange_spans(spans)]


def test_children_follow_their_parent_wherever_they_were_received():
    """A child that was received first, as the SDK sends it, stands below its parent."""
    assert drawn(Span(1, "leaf", "mid"), Span(2, "mid", "top"), Span(3, "top")) == ["top", "  mid", "    leaf"]


def test_siblings_go_by_their_start_and_then_by_receiving():
    """Of the same second, which is all Python's timestamps say, the one received first comes first."""
    spans = [Span(1, "later", "top", 2_000), Span(3, "c", "top"), Span(2, "b", "top"), Span(4, "top")]

    assert drawn(*spans) == ["top", "  b", "  c", "  later"]


def test_a_span_whose_parent_is_not_there_stands_at_the_top():
    """A parent that was never sent leaves its children where they can be seen; a span is no child of itself."""
    assert drawn(Span(1, "lost", "nobody"), Span(2, "own", "own")) == ["lost", "own"]


def test_a_circle_is_shown_once():
    """Spans that name each other end nowhere, but each is shown exactly once, with what hangs below."""
    found = arrange_spans([Span(1, "a", "b"), Span(2, "b", "a"), Span(3, "c", "b"), Span(4, "top")])

    assert sorted(span.id for span, _ in found) == [1, 2, 3, 4]
    assert drawn(Span(1, "a", "b"), Span(2, "b", "a"), Span(3, "c", "b"), Span(4, "top"))[0] == "top"


def test_the_same_span_id_twice_is_shown_twice():
    """Two records may carry one span id: both are shown, what hangs below them once."""
    assert drawn(Span(1, "x"), Span(2, "x"), Span(3, "y", "x")) == ["x", "  y", "x"]


def test_deep_nesting_is_no_recursion():
    """Ten thousand levels are arranged like ten."""
    spans = [Span(number, f"s{number}", f"s{number - 1}" if number else None) for number in range(10_000)]

    assert [depth for _, depth in arrange_spans(spans)] == list(range(10_000))
