"""The moments in which something accepted by Datadog may not have been written down, and may rightly come again."""

import bisect
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness import Sandbox

SAMPLE_S = 0.05
AROUND_S = 0.5  # an answer is written down within 0.1 s and a commit, on a machine that others use as well


@dataclass
class Exposures:
    """Spans of time, each with what made it; and how many logs the sandbox held at which moment."""

    sandbox: Sandbox
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    _times: list[float] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)

    def add(self, kind: str, start: float, end: float) -> None:
        """Note a span of `time.monotonic`."""
        self.spans.append((kind, start, end))

    @contextmanager
    def during(self, kind: str) -> Iterator[None]:
        """Note the time inside the `with`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.add(kind, start, time.monotonic())

    def sample(self, stopping: threading.Event) -> None:
        """Watch the sandbox fill until told to stop; nothing arrives after that."""
        while not stopping.wait(SAMPLE_S):
            self._look()
        self._look()

    def _look(self) -> None:
        before = time.monotonic()
        count = self.sandbox.stats()["logs"]
        self._times.append(before)
        self._counts.append(count)

    def exposed(self) -> list[range]:
        """The sequence numbers of logs that arrived around an exposure, as ranges apart from each other."""
        merged: list[range] = []
        spans = ((self._before(start - AROUND_S), self._after(end + AROUND_S)) for _, start, end in self.spans)
        for first, last in sorted(spans):
            if merged and first <= merged[-1].stop:
                merged[-1] = range(merged[-1].start, max(merged[-1].stop, last + 1))
            else:
                merged.append(range(first, last + 1))
        return merged

    def kinds(self) -> Counter[str]:
        """How often each happened."""
        return Counter(kind for kind, _, _ in self.spans)

    def _before(self, moment: float) -> int:
        """The sequence number of the first log that may have arrived after a moment."""
        index = bisect.bisect_right(self._times, moment) - 1
        return 1 if index < 0 else self._counts[index] + 1

    def _after(self, moment: float) -> int:
        """The sequence number of the last log that may have arrived before a moment."""
        index = bisect.bisect_left(self._times, moment) + 1
        return self._counts[min(index, len(self._counts) - 1)]


def is_within(number: int, ranges: list[range]) -> bool:
    """Whether one of these ordered, separate ranges holds a number."""
    index = bisect.bisect_right(ranges, number, key=lambda each: each.start) - 1
    return index >= 0 and number in ranges[index]
