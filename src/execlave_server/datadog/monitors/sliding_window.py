"""What lies in a monitor's window, kept by the minute: a log is added once, and a minute leaves as a whole."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from execlave_server.datadog.monitors.monitor_query import Aggregation

QUANTILE_ERROR = 0.01  # relative; numbers are counted in buckets this wide, so that a window of any traffic stays small
_GAMMA = (1 + QUANTILE_ERROR) / (1 - QUANTILE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_SMALLEST = 1e-9  # what is nearer to zero counts as zero


class Window(Protocol):
    """The measured values of one group. Minutes are whole minutes since the epoch; `None` is an empty window."""

    def add(self, minute: int, value: float | str) -> None:
        """Count one log; one from before the window is forgotten at once."""

    def slide(self, first: int, last: int) -> None:
        """Let the window be the minutes `first` to `last`, only forwards: the older are forgotten, the newer wait."""

    def value(self) -> float | None:
        """The aggregate of the window; None where no log lies in it."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept at all, neither in the window nor waiting for it."""


def open_window(aggregation: Aggregation) -> Window:
    """An empty window of an aggregation."""
    if aggregation in {Aggregation.SUM, Aggregation.AVG, Aggregation.MIN, Aggregation.MAX}:
        return Numbers(aggregation)
    return Tallies(aggregation)


class Tallies:
    """Counts by key, with the window's total kept beside: one key (count), the values (cardinality), or buckets."""

    def __init__(self, aggregation: Aggregation) -> None:
        self._aggregation = aggregation
        self._minutes: dict[int, Counter[float | str]] = {}
        self._total: Counter[float | str] = Counter()
        self._first, self._last = 0, -1

    def add(self, minute: int, value: float | str) -> None:
        """Count one log; one from before the window is forgotten at once."""
        if minute < self._first:
            return
        key = self._key(value)
        self._minutes.setdefault(minute, Counter())[key] += 1
        if minute <= self._last:
            self._total[key] += 1

    def slide(self, first: int, last: int) -> None:
        """Let the window be the minutes from `first` to `last`."""
        for minute in _present(self._minutes, self._last + 1, last + 1):
            self._total.update(self._minutes[minute])
        for minute in _present(self._minutes, self._first, first):
            for key, count in self._minutes.pop(minute).items():
                self._total[key] -= count
                if not self._total[key]:
                    del self._total[key]
        self._first, self._last = first, last

    def value(self) -> float | None:
        """The count, the number of distinct values, or the quantile."""
        if not self._total:
            return None
        if self._aggregation is Aggregation.CARDINALITY:
            return float(len(self._total))
        rank = self._aggregation.rank
        return float(self._total.total()) if rank is None else _quantile(self._total, rank)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._minutes

    def _key(self, value: float | str) -> float | str:
        if self._aggregation is Aggregation.COUNT:
            return 0.0
        if self._aggregation is Aggregation.CARDINALITY:
            return value
        return _bucket(float(value))


class Numbers:
    """Sum, count, least and greatest of each minute, folded anew for each value, so that no error of sums builds up."""

    def __init__(self, aggregation: Aggregation) -> None:
        self._aggregation = aggregation
        self._minutes: dict[int, tuple[int, float, float, float]] = {}
        self._first, self._last = 0, -1

    def add(self, minute: int, value: float | str) -> None:
        """Count one log; one from before the window is forgotten at once."""
        if minute < self._first:
            return
        number = float(value)
        count, total, least, greatest = self._minutes.get(minute, (0, 0.0, number, number))
        self._minutes[minute] = (count + 1, total + number, min(least, number), max(greatest, number))

    def slide(self, first: int, last: int) -> None:
        """Let the window be the minutes from `first` to `last`."""
        for minute in _present(self._minutes, self._first, first):
            del self._minutes[minute]
        self._first, self._last = first, last

    def value(self) -> float | None:
        """The aggregate."""
        inside = [each for minute, each in self._minutes.items() if self._first <= minute <= self._last]
        if not inside:
            return None
        counts, totals, leasts, greatests = zip(*inside, strict=True)
        match self._aggregation:
            case Aggregation.SUM:
                return math.fsum(totals)
            case Aggregation.MIN:
                return float(min(leasts))
            case Aggregation.MAX:
                return float(max(greatests))
            case _:
                return math.fsum(totals) / float(sum(counts))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._minutes


def _present(minutes: Mapping[int, object], first: int, end: int) -> list[int]:
    """The minutes from `first` up to `end` that hold something, by whichever way is shorter."""
    if end - first < len(minutes):
        return [minute for minute in range(first, end) if minute in minutes]
    return [minute for minute in minutes if first <= minute < end]


def _bucket(number: float) -> float:
    """A bucket's number with the sign of what it holds; 0 holds zero."""
    if abs(number) < _SMALLEST:
        return 0.0
    place = math.ceil(math.log(abs(number) / _SMALLEST) / _LOG_GAMMA) + 1
    return math.copysign(place, number)


def _quantile(total: Mapping[float | str, int], rank: float) -> float:
    """The value at a rank, off by at most `QUANTILE_ERROR` of it."""
    below = rank * (sum(total.values()) - 1)
    seen = 0
    buckets = sorted(float(key) for key in total)
    for bucket in buckets:
        seen += total[bucket]
        if seen > below:
            break
    if not bucket:
        return 0.0
    middle = 2 * _SMALLEST * _GAMMA ** (abs(bucket) - 1) / (_GAMMA + 1)
    return math.copysign(middle, bucket)
