from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], threshold: float | None = None) -> str:
    """A line of bars from the least to the greatest value; a blank where there is none.

    With a threshold the scale reaches at least to it, so that a quiet line stays low.
    """
    present = [value for value in values if value is not None]
    if not present:
        return " " * len(values)
    low = min(0.0, *present)
    high = max(*present, threshold or 0.0, low)
    return "".join(" " if value is None else _BARS[_place(value, low, high)] for value in values)


def _place(value: float, low: float, high: float) -> int:
    return 0 if high <= low else min(int((value - low) / (high - low) * len(_BARS)), len(_BARS) - 1)
