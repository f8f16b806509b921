"""Does what is stored agree with what was recorded? Entries, batches, sweeps and heads in, findings out.

Everything comes as iterables in ascending order, so that a caller reads page by page: what is held is one batch, one
head, and one line for each sweep.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from execlave_server.audit.batches import StoredBatch, check_batch, check_unanchored
from execlave_server.audit.chain import ChainCheck, Entry, Head, missing_entries
from execlave_server.audit.events import BatchRoot, Kind
from execlave_server.audit.findings import Code, Finding
from execlave_server.audit.head import SignatureCheck, SignedHead, is_signed
from execlave_server.audit.sweeps import Sweeps

RANGES_KEPT = 10_000  # of a summary's ranges; more are counted, not listed
_UNTRUSTED = frozenset({Code.ENTRY_CHANGED, Code.ENTRY_REPEATED})  # what such an entry says is not what was recorded


class Range(Struct):
    """Neighbouring batches of one fate. `entry` is the sweep's, where they were swept."""

    first: int
    last: int
    batches: int
    entry: int | None = None


@dataclass(slots=True)
class Summary:
    """What a verification went through."""

    entries: int = 0
    newest_entry: int = 0
    anchored_entries: int = 0  # up to this one a head kept apart vouches for the chain; what is newer only for itself
    batches: int = 0
    leaves: int = 0
    swept: list[Range] = field(default_factory=list)
    unanchored: list[Range] = field(default_factory=list)  # stored before there was a chain; nothing proves them


class Verification:
    """One pass over an organization's chain and batches. `summary` is whole when `run` has ended."""

    def __init__(
        self,
        start: Head,
        *,
        sweeps: Iterable[Entry] = (),
        heads: Iterable[SignedHead] = (),
        check_signature: SignatureCheck | None = None,
        stored_head: Head | None = None,
    ) -> None:
        self.summary = Summary()
        self._organization = start.organization
        self._chain = ChainCheck(start)
        self._sweeps = Sweeps(sweeps, sees_all=start.seq == 0)
        self._heads = HeadCheck((head for head in heads if head.organization == start.organization), check_signature)
        self._began = start.seq > 0  # batches without a root are older than the chain only until the first root
        self._newest_batch = 0
        self._stored_head = stored_head

    def run(self, entries: Iterable[Entry], batches: Iterable[StoredBatch]) -> Iterator[Finding]:
        """What is wrong, in the order it is met. Entries by seq, batches by id."""
        yield from self._heads.begin()
        stored = _Waiting(batches)
        for entry in entries:
            self.summary.entries += 1
            found = list(self._chain.feed(entry))
            yield from found
            yield from self._heads.feed(entry.seq, entry.hash)
            yield from self._sweeps.feed(entry)
            if entry.kind == Kind.BATCH_ROOT and not any(finding.code in _UNTRUSTED for finding in found):
                yield from self._match(entry, stored)
        while (batch := stored.next_before(None)) is not None:
            yield from self._without_root(batch)
        self.summary.newest_entry = self._chain.head.seq
        yield from self._heads.finish(self._chain.head.seq)
        yield from self._sweeps.finish()
        yield from self._check_stored_head()
        self.summary.anchored_entries = self._heads.matched

    def _match(self, entry: Entry, stored: "_Waiting") -> Iterator[Finding]:
        try:
            recorded = msgspec.json.decode(entry.details, type=BatchRoot)
        except msgspec.MsgspecError as error:
            yield Finding(Code.ENTRY_UNREADABLE, f"entry {entry.seq}", "is no batch root that can be read", str(error))
            return
        if recorded.batch <= self._newest_batch:
            why = f"batch {self._newest_batch} was recorded before it"
            yield Finding(Code.CHAIN_BROKEN, f"entry {entry.seq}", f"records batch {recorded.batch} out of order", why)
            return
        self._newest_batch = recorded.batch
        while (earlier := stored.next_before(recorded.batch)) is not None:
            yield from self._without_root(earlier)
        self._began = True
        self.summary.batches += 1
        swept_by = self._sweeps.passed(recorded, entry.seq)
        batch = stored.take(recorded.batch)
        if batch is None and swept_by is None:
            why = f"entry {entry.seq} recorded it with {recorded.leaves} leaves, and no sweep removed it"
            yield Finding(Code.BATCH_MISSING, f"batch {recorded.batch}", "is not there", why)
        elif batch is None:
            _extend(self.summary.swept, recorded.batch, swept_by)
        else:
            self.summary.leaves += recorded.leaves
            if swept_by is not None:
                why = f"entry {swept_by} says that it was swept"
                yield Finding(Code.BATCH_REMAINS, f"batch {batch.id}", "is still there", why)
            yield from check_batch(batch, recorded, entry)

    def _check_stored_head(self) -> Iterator[Finding]:
        """The head that the next entry would follow must be where the chain ends."""
        stored, end = self._stored_head, self._chain.head
        same_tree = stored is None or not end.frontier or stored.frontier == end.frontier  # none is known after a gap
        if stored is None or ((stored.seq, stored.hash) == (end.seq, end.hash) and same_tree):
            return
        why = f"it names entry {stored.seq}, {stored.hash.hex()}; the chain ends with entry {end.seq}, {end.hash.hex()}"
        yield Finding(Code.HEAD_MISMATCH, "the stored head", "is not where the chain ends", why)

    def _without_root(self, batch: StoredBatch) -> Iterator[Finding]:
        if self._began:
            yield check_unanchored(batch)
        else:
            _extend(self.summary.unanchored, batch.id, None)


class HeadCheck:
    """Holds the heads kept apart against the chain as it passes."""

    def __init__(self, heads: Iterable[SignedHead], check_signature: SignatureCheck | None) -> None:
        self._heads = sorted(heads, key=lambda head: head.seq, reverse=True)
        self._check_signature = check_signature
        self.matched = 0

    def begin(self) -> Iterator[Finding]:
        """The heads that the server has not signed; they vouch for nothing."""
        if self._check_signature is None:
            return
        heads, self._heads = self._heads, []
        for head in heads:
            if is_signed(head, self._check_signature):
                self._heads.append(head)
                continue
            why = "its signature is not of the server's key, or one of its fields was changed"
            yield Finding(Code.HEAD_SIGNATURE, f"head of entry {head.seq}", "is not signed by this server", why)

    def feed(self, seq: int, entry_hash: bytes) -> Iterator[Finding]:
        """Hold the heads of one entry against its hash."""
        while self._heads and self._heads[-1].seq <= seq:
            head = self._heads.pop()
            if head.seq < seq:
                continue  # that entry is missing, which the chain says
            if head.hash != entry_hash.hex():
                why = f"the head kept apart has the hash {head.hash}, the chain {entry_hash.hex()}"
                yield Finding(Code.HEAD_MISMATCH, f"entry {seq}", "is not the one that was here; history changed", why)
            else:
                self.matched = seq

    def finish(self, newest: int) -> Iterator[Finding]:
        """The heads beyond the end of the chain."""
        if self._heads and self._heads[0].seq > newest:
            missing = missing_entries(newest + 1, self._heads[0].seq, f"a head kept apart names {self._heads[0].seq}")
            yield Finding(Code.CHAIN_CUT, missing.where, "were removed from the end", missing.why)


class LogAnchor(Struct, frozen=True):
    """What a log exported from Datadog carries: `execlave.audit_seq`, `.audit_hash`, `.trace_id`, `.span_id`.

    The log of a governance event has `.event` instead of a span.
    """

    audit_seq: int
    audit_hash: str
    trace_id: str = ""
    span_id: str = ""
    event: str | None = None

    @property
    def about(self) -> str:
        """What the log is of, for people."""
        return f"event {self.event}" if self.event else f"trace {self.trace_id}, span {self.span_id}"


def verify_logs(
    logs: Iterable[LogAnchor],
    hash_of_entry: Callable[[int], bytes | None],
    is_recorded: Callable[[LogAnchor], bool],
) -> Iterator[Finding]:
    """What the logs in Datadog know and the chain does not.

    `hash_of_entry` is the stored hash of an entry. `is_recorded` says whether the log's trace is in the batch of that
    entry, or that batch was swept, or its event is what the entry says. Each entry is named once a run of its logs.
    """
    last: tuple[int, str] | None = None
    for log in logs:
        anchor = (log.audit_seq, log.audit_hash)
        stored = hash_of_entry(log.audit_seq)
        agrees = stored is not None and stored.hex() == log.audit_hash
        if not agrees and anchor != last:
            yield _disagreement(log, stored)
        if agrees and not is_recorded(log):
            where = log.about
            why = f"Datadog has its log, anchored in entry {log.audit_seq}"
            yield Finding(Code.LOG_MISSING, where, "is in Datadog and not here", why)
        last = anchor


def _disagreement(log: LogAnchor, stored: bytes | None) -> Finding:
    where = f"entry {log.audit_seq}"
    if stored is None:
        return Finding(Code.CHAIN_CUT, where, "was removed", f"the log of {log.about} in Datadog names it")
    why = f"the log of {log.about} in Datadog carries {log.audit_hash}, the chain {stored.hex()}"
    return Finding(Code.LOG_MISMATCH, where, "is not the one that was here; history changed", why)


class _Waiting:
    """Batches in order of id, each looked at before it is taken."""

    def __init__(self, batches: Iterable[StoredBatch]) -> None:
        self._batches = iter(batches)
        self._next = next(self._batches, None)

    def next_before(self, batch_id: int | None) -> StoredBatch | None:
        """The next batch if it is older than that one; any with None."""
        if self._next is None or (batch_id is not None and self._next.id >= batch_id):
            return None
        return self._pop()

    def take(self, batch_id: int) -> StoredBatch | None:
        """The next batch if it is that one."""
        return self._pop() if self._next is not None and self._next.id == batch_id else None

    def _pop(self) -> StoredBatch | None:
        batch, self._next = self._next, next(self._batches, None)
        return batch


def _extend(ranges: list[Range], batch: int, entry: int | None) -> None:
    if ranges and ranges[-1].entry == entry:
        ranges[-1].last = batch
        ranges[-1].batches += 1
    elif len(ranges) < RANGES_KEPT:
        ranges.append(Range(batch, batch, 1, entry))
