"""Who failed again and again is left alone for a while, and then tried by one."""

from collections.abc import Callable

FAILURES_MAX = 5  # in a row
OPEN_US = 30_000_000  # how long nobody is sent there


class CircuitBreaker:
    """Closed: all are admitted. Open: nobody is. Half open: one is, and what becomes of it decides.

    `elapsed_us` is a clock that never goes back.
    """

    def __init__(self, elapsed_us: Callable[[], int]) -> None:
        self._elapsed_us = elapsed_us
        self._failures = 0
        self._open_until_us = 0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """True from the last failure that was too many until a success."""
        return self._failures >= FAILURES_MAX

    def admits(self) -> bool:
        """Whether to go now. Whoever is admitted says how it ended: `succeeded`, `failed` or `gave_up`."""
        if not self.is_open:
            return True
        if self._probing or self._elapsed_us() < self._open_until_us:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """All are admitted again."""
        self._failures, self._probing = 0, False

    def failed(self) -> None:
        """One more in a row."""
        self._failures += 1
        self._probing = False
        self._open_until_us = self._elapsed_us() + OPEN_US

    def gave_up(self) -> None:
        """It was not waited for: that says nothing."""
        self._probing = False
