"""Outbox rows taken for sending, and which of their logs are settled. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from execlave_server.store.protocol import Row, integer


@dataclass(frozen=True, slots=True)
class Lease:
    """One outbox row taken for sending, until `until_us` (elapsed); its result is written only under the same fence.

    `settled` has one bit a log, the batch's first log lowest: set when the log was accepted or parked.
    """

    batch: int
    fence: int
    attempts: int
    log_count: int
    committed_at_us: int
    log_bytes: int
    accepted: int
    parked: int
    settled: int
    origin: str
    until_us: int

    @property
    def waiting_count(self) -> int:
        """How many of its logs are neither accepted nor parked."""
        return self.log_count - self.accepted - self.parked


def leases_from(rows: Sequence[Row], until_us: int) -> list[Lease]:
    """The leases that `lease_outbox` returned, oldest batch first."""
    return sorted((_lease(row, until_us) for row in rows), key=lambda lease: lease.batch)


def _lease(row: Row, until_us: int) -> Lease:
    batch, fence, attempts, log_count, committed_at_us, log_bytes, accepted, parked, settled, origin = row
    return Lease(
        batch=integer(batch),
        fence=integer(fence),
        attempts=integer(attempts),
        log_count=integer(log_count),
        committed_at_us=integer(committed_at_us),
        log_bytes=integer(log_bytes),
        accepted=integer(accepted),
        parked=integer(parked),
        settled=bits_from(settled if isinstance(settled, bytes) else None),
        origin=str(origin),
        until_us=until_us,
    )


def bits_from(stored: bytes | None) -> int:
    """The bits as the ledger keeps them."""
    return int.from_bytes(stored or b"", "little")


def bits_to_store(bits: int) -> bytes | None:
    """The bits for the ledger; None when none is set."""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little") if bits else None


def bits_of(positions: Sequence[int]) -> int:
    """Bits for some positions."""
    if isinstance(positions, range) and positions.step == 1:
        return ((1 << len(positions)) - 1) << positions.start
    return sum(1 << position for position in set(positions))


def all_bits(count: int) -> int:
    """Bits for every log of a batch."""
    return (1 << count) - 1
