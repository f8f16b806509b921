"""Ctrl-C and the other ways in which the demo is told to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """A signal is noted in `came`; before `wait_for_us` the first one also raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.came = False
        self._at_once = True

    def wait_for_us(self) -> None:
        """From now on somebody looks at `came`."""
        self._at_once = False

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """The handler. A second signal does not disturb the ending that the first one began."""
        self.came, at_once, self._at_once = True, self._at_once, False
        if at_once:
            raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Takes Ctrl-C, a request to end, and the end of the terminal meanwhile."""
    noted = Interrupts()
    previous = {number: signal.signal(number, noted.note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
