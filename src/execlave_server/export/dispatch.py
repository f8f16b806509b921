"""The logs of some leased batches on their way: what to send next, and what each answer settles. Pure."""

from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from execlave_server.export.leases import Lease, all_bits, bits_of
from execlave_server.export.payloads import split_payload


@dataclass(slots=True)
class Progress:
    """How far one batch is. `first` is where its unsettled logs begin in the cargo, `positions` where in the batch."""

    lease: Lease
    first: int
    positions: Sequence[int]
    settled: int = field(init=False)
    accepted: int = field(init=False)
    parked: int = field(init=False)
    written: int = field(init=False)  # what of `settled` the ledger knows
    late: int = 0
    sent_bytes: int = 0

    def __post_init__(self) -> None:
        self.settled = self.written = self.lease.settled
        self.accepted, self.parked = self.lease.accepted, self.lease.parked

    @property
    def done(self) -> bool:
        """True when every log is accepted or parked."""
        return self.settled == all_bits(self.lease.log_count)

    def between(self, start: int, end: int) -> range:
        """The part of the cargo between two indexes that is this batch's."""
        return range(max(start, self.first), min(end, self.first + len(self.positions)))


@dataclass(frozen=True, slots=True)
class Cargo:
    """The unsettled logs of some leases, in order. `late` has the indexes of those that were re-stamped."""

    logs: Sequence[bytes]
    batches: Sequence[Progress]
    late: AbstractSet[int]


@dataclass(frozen=True, slots=True)
class Refused:
    """A single log that was refused for good."""

    lease: Lease
    position: int
    log: bytes


class Dispatch:
    """Sends pieces in order; a piece that is refused or too large comes back as two halves."""

    def __init__(self, cargo: Cargo) -> None:
        self._cargo = cargo
        self._pieces = deque(split_payload(cargo.logs))

    @property
    def piece(self) -> Sequence[bytes] | None:
        """The logs to send now, or None when all are settled."""
        if not self._pieces:
            return None
        start, end = self._pieces[0]
        return self._cargo.logs[start:end]

    @property
    def is_last(self) -> bool:
        """True when nothing remains after the present piece."""
        return len(self._pieces) == 1

    @property
    def batches(self) -> Sequence[Progress]:
        """How far each batch is."""
        return self._cargo.batches

    def accept(self) -> None:
        """The present piece was accepted."""
        start, end = self._pieces.popleft()
        for batch in self._cargo.batches:
            part = batch.between(start, end)
            if part:
                batch.settled |= bits_of(batch.positions[part.start - batch.first : part.stop - batch.first])
                batch.accepted += len(part)
                batch.sent_bytes += sum(map(len, self._cargo.logs[part.start : part.stop]))
                batch.late += sum(index in self._cargo.late for index in part) if self._cargo.late else 0

    def refuse(self) -> Refused | None:
        """The present piece was refused: halve it; a single log is settled as parked, and returned."""
        start, end = self._pieces.popleft()
        if end - start > 1:
            middle = (start + end) // 2
            self._pieces.extendleft([(middle, end), (start, middle)])
            return None
        batch = next(batch for batch in self._cargo.batches if batch.between(start, end))
        position = batch.positions[start - batch.first]
        batch.settled |= bits_of([position])
        batch.parked += 1
        return Refused(batch.lease, position, self._cargo.logs[start])
