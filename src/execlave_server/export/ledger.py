"""What became of each leased batch, on its way into the outbox as one short transaction every so often."""

from collections.abc import Sequence
from dataclasses import dataclass

from execlave_server.datadog.answers import Answer
from execlave_server.export.dispatch import Progress, Refused
from execlave_server.export.leases import Lease, bits_to_store
from execlave_server.store.protocol import Call, Value


@dataclass(frozen=True, slots=True)
class Ending:
    """How one request ended, in the terms of the ledger."""

    answer: Answer
    status: int | None = None
    text: str = ""
    wait_us: int = 0
    latency_us: int = 0


class Ledger:
    """Collects results for one destination. Every call carries the fence it was leased under."""

    def __init__(self, destination: int) -> None:
        self._destination = destination
        self._calls: list[Call] = []

    def take(self) -> list[Call]:
        """The results so far; they are this caller's now."""
        calls, self._calls = self._calls, []
        return calls

    def put_back(self, calls: Sequence[Call]) -> None:
        """Results that could not be written, to be tried again first."""
        self._calls = [*calls, *self._calls]

    def settle(self, batch: Progress, ending: Ending, now_us: int) -> None:
        """Write how far a batch is, if that is news; one whose logs are all accepted or parked is done."""
        if batch.settled == batch.written:
            return
        batch.written = batch.settled
        how_far: dict[str, Value] = {
            "accepted": batch.accepted,
            "parked": batch.parked,
            "settled": bits_to_store(batch.settled) if batch.parked or not batch.done else None,
            "late": batch.late,
            "sent_bytes": batch.sent_bytes,
            "latency_us": ending.latency_us,
        }
        batch.late = batch.sent_bytes = 0  # the ledger adds them up
        if batch.done:
            ended: dict[str, Value] = {"status": ending.status, "answer": ending.text or None, "now_us": now_us}
            self._add("mark_done", batch.lease, how_far | ended)
        else:
            self._add("mark_progress", batch.lease, how_far)

    def wait(self, lease: Lease, ending: Ending, due_at_us: int) -> None:
        """A batch waits for its next attempt."""
        self._add("mark_waiting", lease, {"due_at_us": due_at_us, "status": ending.status, "answer": ending.text})

    def extend(self, lease: Lease, until_us: int) -> None:
        """More of a batch is on its way: it is held a while longer."""
        self._add("extend_lease", lease, {"until_us": until_us})

    def release(self, lease: Lease, now_us: int) -> None:
        """A batch that was not tried is due again."""
        self._add("release_lease", lease, {"now_us": now_us})

    def park(self, refused: Refused, reason: str, ending: Ending, now_us: int) -> None:
        """A log is kept, with the answer that refused it; for good once a later one is accepted."""
        kept: dict[str, Value] = {
            "position": refused.position,
            "reason": reason,
            "status": ending.status,
            "answer": ending.text,
            "payload": refused.log,
            "now_us": now_us,
        }
        self._add("park_log", refused.lease, kept)

    def confirm_parked(self) -> None:
        """A log was accepted after those that are parked: they stay parked until a person requeues them."""
        self._calls.append(Call("confirm_parked", {"destination": self._destination}))

    def everything_due(self, now_us: int) -> None:
        """The way is open again: what waits for its next attempt is due now."""
        self._calls.append(Call("make_waiting_due", {"destination": self._destination, "now_us": now_us}))

    def hold(self, reason: str, seen_at_us: int, now_us: int) -> None:
        """The destination is held, unless another connection took over since it was seen."""
        held: dict[str, Value] = {
            "destination": self._destination,
            "seen_at_us": seen_at_us,
            "reason": reason,
            "now_us": now_us,
        }
        self._calls.append(Call("hold_destination", held))

    def resume(self, now_us: int) -> None:
        """The destination is held no more, and what waits is due."""
        self._calls.append(Call("resume_destination", {"destination": self._destination, "now_us": now_us}))
        self.everything_due(now_us)

    def _add(self, statement: str, lease: Lease, more: dict[str, Value]) -> None:
        identity: dict[str, Value] = {"destination": self._destination, "batch": lease.batch, "fence": lease.fence}
        self._calls.append(Call(statement, identity | more))
