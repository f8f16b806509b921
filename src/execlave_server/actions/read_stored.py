"""What is stored of an organization, page by page, for what runs in a thread beside the event loop."""

import asyncio
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeVar

import msgspec
from msgspec import Struct

from execlave_server.audit.batches import StoredBatch, StoredRow
from execlave_server.audit.chain import Entry
from execlave_server.audit.events import BatchRoot, Kind, Sweep
from execlave_server.audit.merkle import Frontier, split_hashes
from execlave_server.audit.stored_rows import StoredDecision, StoredEventLog, StoredTrace
from execlave_server.audit.verify import LogAnchor
from execlave_server.model.traces import identify
from execlave_server.store.protocol import Parameters, Row, Store, Value, integer

ENTRIES_PER_PAGE = 1_000
BATCHES_PER_PAGE = 50  # with their decisions, at most 512 each
TRACES_PER_PAGE = 100  # with their items, which may be long
STRAYS_MAX = 1_000
BATCHES_REMEMBERED = 16  # the logs of an export come roughly in order
NO_LIMIT = (1 << 62) - 1

T = TypeVar("T", bound=Struct)


class EndOfChain(Struct, frozen=True):
    """How far an organization's chain and batches are, in one snapshot."""

    id: str
    seq: int
    hash: bytes
    frontier: bytes
    newest_entry: int
    newest_batch: int

    @property
    def nodes(self) -> Frontier:
        """The frontier of the tree over the entries."""
        return tuple(split_hashes(self.frontier))


class BatchRow(Struct, frozen=True):
    """A row of batches."""

    id: int
    received_at_us: int
    first_trace: int
    last_trace: int
    trace_count: int
    decision_count: int
    event_count: int
    log_bytes: int
    leaves: bytes | None
    audit_seq: int | None
    audit_hash: bytes | None


class StoredPages:
    """Reads an organization's rows. Its methods wait for the event loop: call them from another thread."""

    def __init__(self, store: Store, organization: int, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._organization = organization
        self._loop = loop
        self._organization_id = ""
        self._traces: Iterator[StoredTrace] = iter(())
        self._next: StoredTrace | None = None
        self._known: deque[tuple[int, int]] = deque()  # the ids of batches whose rows have not passed
        self._strays: list[tuple[int, int]] = []
        self._newest_trace = -NO_LIMIT
        self._keys_of = lru_cache(BATCHES_REMEMBERED)(self._read_keys)
        self._was_swept = lru_cache(BATCHES_REMEMBERED)(self._read_swept)
        self._entry = lru_cache(BATCHES_REMEMBERED)(self._read_entry)

    def end(self) -> EndOfChain:
        """How far everything is now."""
        [end] = self._find(EndOfChain, "evidence_end")
        self._organization_id = end.id
        return end

    def entries(self, last: int) -> Iterator[Entry]:
        """The chain up to an entry."""
        after = 0
        while page := self._find(Entry, "audit_entries", after=after, limit=ENTRIES_PER_PAGE):
            yield from (entry for entry in page if entry.seq <= last)
            after = page[-1].seq
            if after >= last:
                return

    def sweeps(self, *, after: int, last: int | None) -> list[Entry]:
        """The entries of sweeps."""
        found = self._find(Entry, "audit_sweeps", after=after)
        return [entry for entry in found if last is None or entry.seq <= last]

    def batches(self, end: EndOfChain) -> Iterator[StoredBatch]:
        """The batches up to the newest of a snapshot, each with its rows, which are read as they are asked for."""
        self._traces = self._read_traces()
        self._next = next(self._traces, None)
        after = -NO_LIMIT
        while rows := self._find(
            BatchRow, "evidence_batches", after=after, last=end.newest_batch, limit=BATCHES_PER_PAGE
        ):
            decisions: dict[int, list[StoredDecision]] = {}
            for decision in self._find(StoredDecision, "evidence_decisions", after=after, last=rows[-1].id):
                decisions.setdefault(decision.batch or 0, []).append(decision)
            events: dict[int, list[StoredEventLog]] = {}
            for event in self._find(StoredEventLog, "evidence_event_logs", after=after, last=rows[-1].id):
                events.setdefault(event.batch, []).append(event)
            for row in rows:
                self._known.append((row.first_trace, row.last_trace))
                yield self._batch(row, decisions.get(row.id, []), events.get(row.id, []))
            self._newest_trace = max(self._newest_trace, *(row.last_trace for row in rows))
            after = rows[-1].id

    def stray_traces(self) -> Iterator[tuple[int, str, int]]:
        """(id, trace id, batch) of rows that are in no batch of this organization, once `batches` has passed."""
        self._pass_until(self._newest_trace + 1)
        behind = (self._newest_trace + 1, NO_LIMIT)  # what was committed since is in a batch
        for first, last in (*self._strays[:STRAYS_MAX], behind):
            wanted: dict[str, Value] = {"first": first, "last": last, "limit": STRAYS_MAX}
            for row, trace_id, batch in self._rows("stray_traces", **wanted):
                yield integer(row), str(trace_id), integer(batch)

    def stray_decisions(self) -> Iterator[tuple[str, int | None]]:
        """(id, batch) of decisions that are in no batch, but for those from before the chain began."""
        first = self._find(Entry, "audit_entries", after=0, limit=1)
        after = ""
        while page := self._rows("stray_decisions", after=after, limit=ENTRIES_PER_PAGE):
            for decision, batch, decided_at_us in page:
                if batch is not None or (first and integer(decided_at_us) >= first[0].at_us):
                    yield str(decision), None if batch is None else integer(batch)
            after = str(page[-1][0])

    def stray_events(self) -> Iterator[tuple[int, int]]:
        """(batch, position) of logs of events that are in no batch."""
        for batch, position in self._rows("stray_event_logs", limit=STRAYS_MAX):
            yield integer(batch), integer(position)

    def hash_of_entry(self, seq: int) -> bytes | None:
        """The stored hash of an entry."""
        entry = self._entry(seq)
        return entry.hash if entry else None

    def has_log(self, log: LogAnchor) -> bool:
        """Whether the trace of a log is in the batch that its entry recorded, or was swept with that batch.

        The log of an event carries its own entry, which says the same.
        """
        entry = self._entry(log.audit_seq)
        if log.event is not None:
            return entry is not None and entry.kind == log.event
        if entry is None or entry.kind != Kind.BATCH_ROOT:
            return False
        batch = msgspec.json.decode(entry.details, type=BatchRoot).batch
        identity = identify(self._organization_id, log.trace_id, log.span_id)
        if (identity.trace_key, identity.span_key) in self._keys_of(batch):
            return True
        return self._was_swept(batch)

    def _batch(self, row: BatchRow, decisions: list[StoredDecision], events: list[StoredEventLog]) -> StoredBatch:
        return StoredBatch(
            id=row.id,
            received_at_us=row.received_at_us,
            traces=row.trace_count,
            decisions=row.decision_count,
            leaves=row.leaves or b"",
            rows=self._rows_of(row, decisions, events),
            anchor=(row.audit_seq, row.audit_hash),
            span=row.last_trace - row.first_trace + 1,
            log_bytes=row.log_bytes,
            events=row.event_count,
        )

    def _rows_of(
        self, row: BatchRow, decisions: list[StoredDecision], events: list[StoredEventLog]
    ) -> Iterator[StoredRow]:
        self._pass_until(row.first_trace)
        self._forget_known(row.first_trace)
        while (trace := self._next) is not None and trace.id <= row.last_trace:
            leaf = trace.leaf(self._organization_id, self._organization, row.id)
            self._next = next(self._traces, None)
            size = None if trace.erased is not None else len(trace.log)
            yield StoredRow(trace.id - row.first_trace, leaf, f"trace {trace.trace_id}, span {trace.span_id}", size)
        none = NO_LIMIT - row.trace_count
        for decision in sorted(decisions, key=lambda each: (none if each.position is None else each.position, each.id)):
            leaf = decision.leaf(self._organization_id, self._organization)
            place = none if decision.position is None else decision.position
            yield StoredRow(row.trace_count + place, leaf, f"decision {decision.id}")
        before = row.trace_count + row.decision_count
        for event in sorted(events, key=lambda each: each.position):
            leaf = event.leaf(self._organization_id, self._organization)
            yield StoredRow(before + event.position, leaf, f"event of entry {event.seq}", len(event.log))

    def _pass_until(self, first: int) -> None:
        """Pass by the rows of traces before an id; those in no batch are strays."""
        while self._next is not None and self._next.id < first:
            row = self._next.id
            self._forget_known(row)
            if not (self._known and self._known[0][0] <= row):
                self._add_stray(row)
            self._next = next(self._traces, None)

    def _forget_known(self, before: int) -> None:
        while self._known and self._known[0][1] < before:
            self._known.popleft()

    def _add_stray(self, row: int) -> None:
        if self._strays and self._strays[-1][1] == row - 1:
            self._strays[-1] = (self._strays[-1][0], row)
        else:
            self._strays.append((row, row))

    def _read_traces(self) -> Iterator[StoredTrace]:
        after = -NO_LIMIT
        while page := self._find(StoredTrace, "evidence_traces", after=after, last=NO_LIMIT, limit=TRACES_PER_PAGE):
            yield from page
            after = page[-1].id

    def _read_keys(self, batch: int) -> frozenset[tuple[Value, ...]]:
        return frozenset(self._rows("batch_keys", batch=batch))

    def _read_swept(self, batch: int) -> bool:
        ranges = (
            swept
            for each in self.sweeps(after=0, last=None)
            for swept in msgspec.json.decode(each.details, type=Sweep).ranges
        )
        return any(swept.first <= batch <= swept.last for swept in ranges)

    def _read_entry(self, seq: int) -> Entry | None:
        found = self._find(Entry, "audit_entry", seq=seq)
        return found[0] if found else None

    def _find(self, row_type: type[T], statement: str, **parameters: Value) -> list[T]:
        wanted: Parameters = {"organization": self._organization, **parameters}
        return asyncio.run_coroutine_threadsafe(self._store.find(row_type, statement, wanted), self._loop).result()

    def _rows(self, statement: str, **parameters: Value) -> list[Row]:
        wanted: Parameters = {"organization": self._organization, **parameters}
        return asyncio.run_coroutine_threadsafe(self._store.rows(statement, wanted), self._loop).result()
