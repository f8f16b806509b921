"""What the processes behind `serve` share: an event loop with a patient collector, and an eye on their parent."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
import uvloop

GC_THRESHOLDS = (50_000, 20, 50)  # with the defaults a batch of traces set off dozens of collections
ORPHAN_EXIT_S = 8.0  # a process whose parent died is gone by then, whatever it does

log = structlog.get_logger()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main task to its end."""
    gc.collect()
    gc.freeze()  # what is imported stays: the collector need not walk it again and again
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def watch_parent(descriptor: int | None, stop: Callable[[], object]) -> None:
    """Call `stop` when the other end of a pipe closes, which a parent's death does; then make sure of it."""
    if descriptor is None:
        return

    def wait() -> None:
        os.read(descriptor, 1)
        log.info("process.parent_gone")
        stop()
        threading.Event().wait(ORPHAN_EXIT_S)
        os._exit(1)

    threading.Thread(target=wait, name="watch-parent", daemon=True).start()
