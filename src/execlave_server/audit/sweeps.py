"""What retention removed, as the chain says it: which batches, and that they were the recorded ones."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from execlave_server.audit.chain import Entry
from execlave_server.audit.events import BatchRoot, Kind, Sweep, SweptRange
from execlave_server.audit.findings import Code, Finding
from execlave_server.audit.merkle import Frontier, append, frontier_root, leaf_hash, root


def swept_range(batches: Sequence[tuple[int, str]]) -> SweptRange:
    """The range for an entry: the ids and roots (hexadecimal) of an organization's neighbouring batches, ascending."""
    tree = root([leaf_hash(bytes.fromhex(batch_root)) for _, batch_root in batches])
    return SweptRange(batches=len(batches), first=batches[0][0], last=batches[-1][0], root=tree.hex())


class _Passing:
    """A swept range while its batch roots pass by."""

    def __init__(self, entry: int, claimed: SweptRange) -> None:
        self.entry = entry
        self.claimed = claimed
        self.count = 0
        self.frontier: Frontier = ()

    def passed(self, batch_root: str) -> None:
        self.frontier = append(self.frontier, self.count, leaf_hash(bytes.fromhex(batch_root)))
        self.count += 1

    @property
    def agrees(self) -> bool:
        return (self.count, frontier_root(self.frontier).hex()) == (self.claimed.batches, self.claimed.root)


class Sweeps:
    """The sweep entries, read before the chain passes: a sweep stands behind the batches that it removed."""

    def __init__(self, entries: Iterable[Entry], *, sees_all: bool) -> None:
        self._sees_all = sees_all  # the chain passes from its beginning, so that every swept batch is counted
        self._unmet: dict[int, bytes] = {}
        self._ranges: list[_Passing] = []
        self._done: list[_Passing] = []
        for entry in entries:
            self._unmet[entry.seq] = entry.hash
            self._ranges += _ranges_of(entry)
        self._ranges.sort(key=lambda passing: passing.claimed.first, reverse=True)

    def passed(self, recorded: BatchRoot, seq: int) -> int | None:
        """The later entry whose sweep removed the batch of entry `seq`, or None. Batches come in ascending order."""
        while self._ranges and self._ranges[-1].claimed.last < recorded.batch:
            self._done.append(self._ranges.pop())
        if not self._ranges or self._ranges[-1].claimed.first > recorded.batch or self._ranges[-1].entry < seq:
            return None
        self._ranges[-1].passed(recorded.root)
        return self._ranges[-1].entry

    def feed(self, entry: Entry) -> Iterator[Finding]:
        """Each sweep read beforehand must be met in the chain, as it was read."""
        if entry.kind != Kind.SWEPT:
            return
        if self._unmet.pop(entry.seq, None) != entry.hash:
            where = f"entry {entry.seq}"
            yield Finding(Code.SWEEP_MISMATCH, where, "changed while it was read", "verify again")

    def finish(self) -> Iterator[Finding]:
        """Sweeps that are not in the chain, or that removed other batches than they say."""
        for seq in self._unmet:
            yield Finding(Code.SWEEP_MISMATCH, f"entry {seq}", "is a sweep outside the chain", "it proves nothing")
        for passing in [*self._done, *self._ranges]:
            if self._sees_all and not passing.agrees:
                claimed = passing.claimed
                why = (
                    f"it claims {claimed.batches} batches under {claimed.root}; the chain has {passing.count} or others"
                )
                where = f"entry {passing.entry}, batches {claimed.first} to {claimed.last}"
                yield Finding(Code.SWEEP_MISMATCH, where, "swept other batches than were recorded", why)


def _ranges_of(entry: Entry) -> list[_Passing]:
    try:
        sweep = msgspec.json.decode(entry.details, type=Sweep)
    except msgspec.MsgspecError:
        return []  # the chain says that this entry was changed
    return [_Passing(entry.seq, swept) for swept in sweep.ranges]
