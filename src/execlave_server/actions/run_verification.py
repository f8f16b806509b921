"""Verifications that somebody started from a page: in the background, one at a time, half of the time at rest."""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from execlave_server.actions.verify_evidence import Kept, Verified, verify_evidence
from execlave_server.clock import Clock
from execlave_server.store.protocol import Store

log = structlog.get_logger()


@dataclass
class Run:
    """One verification of an organization: how far it is, and in the end what it found."""

    began_at_us: int
    done: int = 0
    total: int = 0
    ended_at_us: int | None = None
    verified: Verified | None = None
    failed: bool = False


@dataclass
class Verifications:
    """The newest verification of each organization in this process."""

    _runs: dict[int, Run] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def of(self, organization: int) -> Run | None:
        """The one that runs, or else the last."""
        return self._runs.get(organization)

    def start(self, store: Store, clock: Clock, organization: int) -> Run:
        """Begin one, unless one runs already."""
        run = self._runs.get(organization)
        if run is not None and run.ended_at_us is None:
            return run
        run = self._runs[organization] = Run(clock.now_us())
        task = asyncio.get_running_loop().create_task(self._verify(store, clock, organization, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def _verify(self, store: Store, clock: Clock, organization: int, run: Run) -> None:
        rested_at = time.monotonic()

        def report(done: int, total: int) -> None:
            """Called in the verifying thread: decisions come first, so it rests as long as it has worked."""
            nonlocal rested_at
            run.done, run.total = done, total
            time.sleep(time.monotonic() - rested_at)
            rested_at = time.monotonic()

        try:
            async with self._turn:
                rested_at = time.monotonic()
                run.verified = await verify_evidence(store, organization, Kept(), report)
        except Exception as error:  # the boundary of a task: the page says that it failed, the log why
            run.failed = True
            log.exception("audit.verification_failed", error=str(error))
        finally:
            run.ended_at_us = clock.now_us()
