"""Whether a trace is still as it was recorded, looked at now: record, leaf, root of its batch, entry, the next entry.

It is the part of the proof that can be had in milliseconds. What anchors the entry, a head kept apart from this server,
stands in the evidence file (`export_evidence`).
"""

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from execlave_server.actions.read_stored import BatchRow
from execlave_server.actions.read_timeline import TimelineSpan
from execlave_server.actions.services import Services
from execlave_server.audit.chain import Entry, hash_of
from execlave_server.audit.events import BatchRoot, Kind
from execlave_server.audit.merkle import path_in, root_from_path, split_hashes
from execlave_server.audit.stored_rows import StoredDecision
from execlave_server.model.people import Caller
from execlave_server.store.protocol import Parameters, find_one

BATCHES_MAX = 50  # of one trace, each about a millisecond; the spans of more are said to be not looked at


class RecordProof(Struct, frozen=True):
    """One span or decision: the index of its leaf, and how many hashes lead from it to the root."""

    name: str
    index: int
    path: tuple[str, ...]
    holds: bool


class BatchProof(Struct, frozen=True):
    """One batch and the entry that recorded its root. `why` says what does not hold; None where everything does."""

    batch: int
    entry: int | None
    entry_hash: str | None
    recorded_at_us: int | None
    root: str | None
    leaves: int
    records: tuple[RecordProof, ...]
    why: str | None

    @property
    def holds(self) -> bool:
        """True where everything looked at is as it was recorded."""
        return self.why is None


class TraceEvidence(Struct, frozen=True):
    """The evidence of a trace as of `checked_at_us`; `left_out` counts batches not looked at."""

    proofs: tuple[BatchProof, ...]
    left_out: int
    checked_at_us: int

    @property
    def holds(self) -> bool:
        """True where there is evidence and all of it that was looked at holds."""
        return bool(self.proofs) and all(proof.holds for proof in self.proofs)


class _Batch(Struct, frozen=True):
    row: BatchRow
    entry: Entry | None
    following: Entry | None


async def check_trace_evidence(
    services: Services, caller: Caller, spans: Sequence[TimelineSpan], decisions: Sequence[StoredDecision]
) -> TraceEvidence:
    """Hold these spans and decisions against the audit chain."""
    numbers = {span.row.batch for span in spans} | {each.batch for each in decisions if each.batch is not None}
    batches = [await _read(services, caller, number) for number in sorted(numbers)[:BATCHES_MAX]]
    found = [batch for batch in batches if batch is not None]
    proofs = await asyncio.to_thread(lambda: tuple(_prove(caller, batch, spans, decisions) for batch in found))
    return TraceEvidence(proofs, max(0, len(numbers) - BATCHES_MAX), services.clock.now_us())


async def _read(services: Services, caller: Caller, number: int) -> _Batch | None:
    near: Parameters = {"organization": caller.organization, "after": number - 1, "last": number, "limit": 1}
    row = await find_one(services.store, BatchRow, "evidence_batches", near)
    if row is None:
        return None
    if row.audit_seq is None:
        return _Batch(row, None, None)
    scope: dict[str, int] = {"organization": caller.organization}
    entry = await find_one(services.store, Entry, "audit_entry", {**scope, "seq": row.audit_seq})
    following = await find_one(services.store, Entry, "audit_entry", {**scope, "seq": row.audit_seq + 1})
    return _Batch(row, entry, following)


def _prove(
    caller: Caller, batch: _Batch, spans: Sequence[TimelineSpan], decisions: Sequence[StoredDecision]
) -> BatchProof:
    row, entry = batch.row, batch.entry
    leaves = split_hashes(row.leaves or b"")
    recorded = _recorded(entry)
    wanted = [
        (f"span {span.span_id}", span.id - row.first_trace, _span_leaf(caller, span))
        for span in spans
        if span.row.batch == row.id
    ] + [
        (f"decision {each.id}", row.trace_count + each.position, each.leaf(caller.organization_id, caller.organization))
        for each in decisions
        if each.batch == row.id and each.position is not None
    ]
    records = tuple(_record(leaves, recorded, *one) for one in wanted)
    return BatchProof(
        batch=row.id,
        entry=entry.seq if entry else None,
        entry_hash=entry.hash.hex() if entry else None,
        recorded_at_us=entry.at_us if entry else None,
        root=recorded.root if recorded else None,
        leaves=len(leaves),
        records=records,
        why=_fault(batch, recorded, records),
    )


def _span_leaf(caller: Caller, span: TimelineSpan) -> bytes | None:
    return span.row.leaf(caller.organization_id, caller.organization, span.row.batch)


def _recorded(entry: Entry | None) -> BatchRoot | None:
    if entry is None or entry.kind != Kind.BATCH_ROOT:
        return None
    try:
        return msgspec.json.decode(entry.details, type=BatchRoot)
    except msgspec.MsgspecError:
        return None


def _record(leaves: list[bytes], recorded: BatchRoot | None, name: str, index: int, leaf: bytes | None) -> RecordProof:
    if leaf is None or not 0 <= index < len(leaves):
        return RecordProof(name, index, (), holds=False)
    path = path_in(leaves, index)
    reached = root_from_path(leaf, index, len(leaves), path)
    holds = recorded is not None and reached is not None and reached.hex() == recorded.root
    return RecordProof(name, index, tuple(each.hex() for each in path), holds=holds)


def _fault(batch: _Batch, recorded: BatchRoot | None, records: Sequence[RecordProof]) -> str | None:
    """What does not hold, nearest to the trace first."""
    entry = batch.entry
    if batch.row.audit_seq is None:
        return "It was stored before this server kept an audit chain: nothing proves it."
    if entry is None or recorded is None or recorded.batch != batch.row.id:
        return f"Entry {batch.row.audit_seq} does not record batch {batch.row.id}. Run `audit verify`."
    changed = [each.name for each in records if not each.holds]
    if changed:
        return f"Not as it was recorded: {', '.join(changed[:5])}. Run `audit verify`."
    if hash_of(entry) != entry.hash or entry.hash != batch.row.audit_hash:
        return f"Entry {entry.seq} was changed. Run `audit verify`."
    if batch.following is not None and batch.following.previous != entry.hash:
        return f"Entry {entry.seq + 1} does not follow entry {entry.seq}. Run `audit verify`."
    return None
