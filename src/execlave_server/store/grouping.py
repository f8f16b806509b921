"""Group commit, as far as it is the same on every engine: what waits, how much goes together, who is answered what."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from execlave_server.store.protocol import StaleError, Write, Written

WRITES_PER_COMMIT_MAX = 512  # a group is what waits; the limits keep one commit from delaying the next one long
TRACES_PER_COMMIT_MAX = 4_000
WAITING_WRITES_MAX = 10_000  # beyond this the server says it is overloaded instead of growing
OVERLOADED = "The server is overloaded: too many writes wait for the database. Try again shortly."
STOPPING = "The server is stopping. Try again on the next one."

Result: TypeAlias = Written | BaseException


@dataclass(slots=True)
class Job:
    """A write that waits, and where its answer goes."""

    write: Write
    future: asyncio.Future[Written]
    submitted_us: int  # on the clock that is never set

    @property
    def trace_count(self) -> int:
        """How many traces it brings."""
        return len(self.write.traces.items) if self.write.traces else 0


def stale() -> StaleError:
    """The result of a write one of whose checks does not hold."""
    return StaleError("What this was decided on has changed meanwhile. Decide again.")


def answer_jobs(group: Sequence[Job], results: Sequence[Result]) -> None:
    """Give each job its result; one whose request was cancelled needs none, and its commit stands."""
    for job, result in zip(group, results, strict=True):
        if job.future.done():
            continue
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
