"""What the query of a log monitor says."""

import operator
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

MINUTE_US = 60_000_000


class Aggregation(StrEnum):
    """What a monitor makes of the logs in its window."""

    COUNT = "count"
    CARDINALITY = "cardinality"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"
    PC75 = "pc75"
    PC90 = "pc90"
    PC95 = "pc95"
    PC98 = "pc98"
    PC99 = "pc99"

    @property
    def rank(self) -> float | None:
        """The quantile it asks for, from 0 to 1; None for what is no quantile."""
        if self is Aggregation.MEDIAN:
            return 0.5
        return int(self[2:]) / 100 if self.startswith("pc") else None


class Comparator(StrEnum):
    """How a value is held against a threshold."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    EQUAL = "=="
    UNEQUAL = "!="

    def holds(self, value: float, threshold: float) -> bool:
        """Whether a value has crossed a threshold."""
        return _COMPARISONS[self](value, threshold)

    @property
    def upwards(self) -> bool | None:
        """True where a larger value is worse, False where a smaller one is, None where neither."""
        return {">": True, ">=": True, "<": False, "<=": False}.get(self)


_COMPARISONS: Mapping[Comparator, Callable[[float, float], bool]] = MappingProxyType(
    {
        Comparator.ABOVE: operator.gt,
        Comparator.AT_LEAST: operator.ge,
        Comparator.BELOW: operator.lt,
        Comparator.AT_MOST: operator.le,
        Comparator.EQUAL: operator.eq,
        Comparator.UNEQUAL: operator.ne,
    }
)


class MonitorQuery(Struct, frozen=True):
    """`measure` and the names of `group_by` carry an `@` where they are attributes and none where they are tags."""

    search: str
    indexes: tuple[str, ...]
    aggregation: Aggregation
    measure: str | None
    group_by: tuple[str, ...]
    window_us: int
    comparator: Comparator
    threshold: float

    @property
    def window_minutes(self) -> int:
        """The length of the window."""
        return self.window_us // MINUTE_US
