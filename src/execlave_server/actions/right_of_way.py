"""Decisions go first: an agent waits for each, while nobody acts on the answer to a trace."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from execlave_server.clock import Clock

SLICE_US_MAX = 400  # of other work in one go: what a decision that comes meanwhile waits at most
LATELY_US = 200_000  # where decisions are made so often, commits of other work are kept short too
WAIT_S_MAX = 0.005  # for decisions, before each slice: however many there are, traces keep a twelfth of the time


class RightOfWay:
    """Who may go on, within one event loop.

    Long work is done in slices. Before each it waits in line behind the other long work, and until no decision is being
    made: one that has gone to the store gets the interpreter for itself, which its many short statements would each
    have to wait for otherwise. Where decisions come often the same goes for a commit of other work, since the next
    decision waits for its end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._line = asyncio.Lock()
        self._deciding = 0
        self._committing = 0
        self._decided_us = -LATELY_US
        self._free = asyncio.Event()
        self._free.set()

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """While a decision is being made."""
        self._deciding += 1
        self._free.clear()
        try:
            yield
        finally:
            self._deciding -= 1
            self._decided_us = self._clock.elapsed_us()
            self._look()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """While other work is with the store."""
        self._committing += 1
        self._free.clear()
        try:
            yield
        finally:
            self._committing -= 1
            self._look()

    def _look(self) -> None:
        if not self._deciding and not self._committing:
            self._free.set()

    async def give_way(self) -> "Slice":
        """Let what has arrived go first; the slice that may be worked next."""
        async with self._line:
            await asyncio.sleep(0)
            lately = self._clock.elapsed_us() - self._decided_us < LATELY_US
            if self._deciding or (self._committing and lately):
                with suppress(TimeoutError):
                    async with asyncio.timeout(WAIT_S_MAX):
                        await self._free.wait()
        return Slice(self._clock)


class Slice:
    """A short while for work that would take long as a whole."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends_us = clock.elapsed_us() + SLICE_US_MAX

    @property
    def is_over(self) -> bool:
        """True when it is time to give way again."""
        return self._clock.elapsed_us() >= self._ends_us
