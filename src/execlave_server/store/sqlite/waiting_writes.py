"""What waits for the writer, and what goes into the next commit: decisions before traces."""

import threading
from collections import deque

from execlave_server.store.grouping import TRACES_PER_COMMIT_MAX, WRITES_PER_COMMIT_MAX, Job

# A request of the SDK, some 2 ms: what a decision that comes while traces are committed waits for. Where none comes, a
# group is what waits.
TRACES_BESIDE_DECISIONS_MAX = 100


class WaitingWrites:
    """Writes in two lines, each in the order they came: traces, and everything else.

    An agent waits for a decision, nobody acts on the answer to a trace. So traces are committed when nothing else
    waits, or after a group of the others, so that neither line keeps the other waiting for ever.
    """

    def __init__(self) -> None:
        self._decisions: deque[Job] = deque()
        self._traces: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._decisions_went = False

    def __len__(self) -> int:
        return len(self._decisions) + len(self._traces)

    def put(self, job: Job) -> None:
        """Let a write wait."""
        with self._changed:
            line = self._traces if job.trace_count and not job.write.decision else self._decisions
            line.append(job)
            self._changed.notify()

    def close(self) -> None:
        """No more will come: once nothing waits, the next group is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def next_group(self) -> list[Job]:
        """What is committed together next; blocks until there is something."""
        with self._changed:
            while not (self._decisions or self._traces or self._closed):
                self._changed.wait()
            if self._decisions and not (self._traces and self._decisions_went):
                self._decisions_went = True
                return _taken(self._decisions, TRACES_PER_COMMIT_MAX)
            most = TRACES_BESIDE_DECISIONS_MAX if self._decisions_went else TRACES_PER_COMMIT_MAX
            self._decisions_went = False
            return _taken(self._traces, most)


def _taken(line: deque[Job], traces_max: int) -> list[Job]:
    """The first writes of a line, as far as one commit goes; the first one always."""
    group: list[Job] = []
    traces = 0
    while line and len(group) < WRITES_PER_COMMIT_MAX:
        traces += line[0].trace_count
        if group and traces > traces_max:
            break
        group.append(line.popleft())
    return group
