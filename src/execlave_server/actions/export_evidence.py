"""One file that proves a trace and its decisions with this server gone."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from execlave_server.actions.read_stored import BatchRow
from execlave_server.actions.services import Services
from execlave_server.actions.sign_head import sign_present_head
from execlave_server.audit.chain import Entry, history_path
from execlave_server.audit.events import BatchRoot, Kind
from execlave_server.audit.evidence import (
    Content,
    ProvedEntry,
    ProvedRecord,
    decision_parts,
    make_evidence,
    trace_parts,
)
from execlave_server.audit.head import SignedHead
from execlave_server.audit.merkle import (
    Frontier,
    append,
    frontier_root,
    leaf_hash,
    path_in,
    sibling_ranges,
    split_hashes,
)
from execlave_server.audit.stored_rows import StoredDecision, StoredTrace
from execlave_server.errors import ConflictError, NotFoundError
from execlave_server.model.organizations import Organization
from execlave_server.model.traces import identify, unpack_item
from execlave_server.store.protocol import Parameters, Store, find_one, integer

SPANS_MAX = 1_000  # of one trace, in one file
HASHES_PER_PAGE = 5_000


async def export_evidence(
    services: Services, organization: Organization, trace_id: str, heads: Sequence[SignedHead] = ()
) -> bytes:
    """The evidence of every span of a trace and of its decisions, anchored on the newest of `heads` or the present one.

    Raises NotFoundError, and ConflictError for a trace that nothing proves, or that is newer than the heads.
    """
    collected = _Collected(services.store, organization)
    await collected.collect(trace_id)
    ours = [head for head in heads if head.organization == organization.id]
    head = max(ours, key=lambda each: each.seq) if heads and ours else await sign_present_head(services, organization)
    if head is None or (heads and not ours):
        raise NotFoundError(f"There is no head of {organization.id} to anchor the evidence on.")
    newest = max(collected.entries)
    if head.seq < newest:
        raise ConflictError(
            f"The trace is recorded in entry {newest}, and the newest head is of entry {head.seq}. Take a newer head."
        )
    anchor = await collected.entry(head.seq)
    if anchor is None or anchor.hash.hex() != head.hash:
        raise ConflictError(f"Entry {head.seq} is not the one that the head is of. Run `audit verify --head`.")
    return make_evidence(collected.records, await collected.proved_entries(anchor), anchor, head)


class _Collected:
    """The records of a trace, and the entries that they stand on."""

    def __init__(self, store: Store, organization: Organization) -> None:
        self._store = store
        self._organization = organization
        self.records: list[ProvedRecord] = []
        self.entries: dict[int, Entry] = {}

    async def collect(self, trace_id: str) -> None:
        """Read everything about a trace."""
        key = identify(self._organization.id, trace_id, "").trace_key
        wanted: Parameters = {**self._scope, "trace_key": key, "trace_id": trace_id, "limit": SPANS_MAX}
        for trace in await self._store.find(StoredTrace, "spans_of_trace", wanted):
            await self._add_trace(trace)
        mentioned = await self._store.find(StoredDecision, "decisions_of_trace", {**self._scope, "trace_id": trace_id})
        for decision in mentioned:
            await self._add_decision(decision)
        if not self.records:
            raise NotFoundError(f"There is no trace {trace_id} in {self._organization.id}.")

    @property
    def _scope(self) -> dict[str, int]:
        return {"organization": self._organization.number}

    async def entry(self, seq: int) -> Entry | None:
        """An entry."""
        return await find_one(self._store, Entry, "audit_entry", {**self._scope, "seq": seq})

    async def _add_trace(self, trace: StoredTrace) -> None:
        batch = await self._batch(trace.batch)
        index, path = _place(batch, trace.id - batch.first_trace)
        if trace.leaf(self._organization.id, self._organization.number, batch.id) != _leaf(batch, index):
            raise ConflictError(f"Span {trace.span_id} is not as it was recorded. Run `audit verify`.")
        content: Content | None = None
        if trace.erased is None and trace.salt is not None:
            content = trace_parts(trace.salt, unpack_item(trace.item), trace.log)
        record = trace.record(self._organization.id)
        self.records.append(ProvedRecord(record, batch.audit_seq or 0, index, path, content))

    async def _add_decision(self, decision: StoredDecision) -> None:
        if decision.batch is None or decision.position is None:
            return  # from before there was a chain
        batch = await self._batch(decision.batch)
        content: Content | None = None
        if decision.erased is None and decision.salt is not None:
            content = decision_parts(decision.salt, decision.action_digest, decision.violations)
        index, path = _place(batch, batch.trace_count + decision.position)
        if decision.leaf(self._organization.id, self._organization.number) != _leaf(batch, index):
            raise ConflictError(f"Decision {decision.id} is not as it was recorded. Run `audit verify`.")
        record = decision.record(self._organization.id)
        self.records.append(ProvedRecord(record, batch.audit_seq or 0, index, path, content))
        near: Parameters = {
            **self._scope,
            "after": batch.audit_seq,
            "last": (batch.audit_seq or 0) + batch.decision_count,
            "subject": f"decision:{decision.id}",
        }
        for entry in await self._store.find(Entry, "decision_entry", near):
            self.entries[entry.seq] = entry

    async def _batch(self, number: int) -> BatchRow:
        near: Parameters = {**self._scope, "after": number - 1, "last": number, "limit": 1}
        batch = await find_one(self._store, BatchRow, "evidence_batches", near)
        if batch is None or batch.audit_seq is None:
            raise ConflictError("The trace was stored before this server kept an audit chain: nothing proves it.")
        entry = await self.entry(batch.audit_seq)
        if entry is None or entry.kind != Kind.BATCH_ROOT or not _holds(entry, number):
            raise ConflictError(f"Entry {batch.audit_seq} does not record batch {number}. Run `audit verify`.")
        self.entries[entry.seq] = entry
        return batch

    async def proved_entries(self, anchor: Entry) -> list[ProvedEntry]:
        """The entries, each with its place in the history of the anchor."""
        earlier = [seq for seq in self.entries if seq < anchor.seq]
        wanted = {each for seq in earlier for each in sibling_ranges(seq - 1, anchor.seq - 1)}
        roots = await self._roots(wanted, anchor.seq - 1)
        proved = []
        for seq, entry in sorted(self.entries.items()):
            path = history_path(seq, anchor.seq, lambda *ends: roots[ends]) if seq < anchor.seq else []
            proved.append(ProvedEntry(entry, path))
        return proved

    async def _roots(self, ranges: Iterable[tuple[int, int]], size: int) -> dict[tuple[int, int], bytes]:
        """The roots over the entries of these ranges (first, stop), in one pass over the chain."""
        growing: dict[tuple[int, int], Frontier] = dict.fromkeys(ranges, ())
        after = 0
        while growing and after < size:
            page: Parameters = {**self._scope, "after": after, "last": size, "limit": HASHES_PER_PAGE}
            rows = await self._store.rows("audit_hashes", page)
            if not rows:
                break
            await asyncio.to_thread(_grow, growing, [(integer(seq), hash_) for seq, hash_ in rows])
            after = integer(rows[-1][0])
        return {ends: frontier_root(frontier) for ends, frontier in growing.items()}


def _grow(growing: dict[tuple[int, int], Frontier], hashes: Sequence[tuple[int, object]]) -> None:
    leaves = {seq - 1: leaf_hash(bytes(hash_)) for seq, hash_ in hashes if isinstance(hash_, bytes)}
    first, stop = min(leaves), max(leaves) + 1
    for (start, end), frontier in growing.items():
        grown = frontier
        for index in range(max(start, first), min(end, stop)):
            grown = append(grown, index - start, leaves[index])
        growing[start, end] = grown


def _place(batch: BatchRow, index: int) -> tuple[int, list[bytes]]:
    try:
        return index, path_in(split_hashes(batch.leaves or b""), index)
    except ValueError as error:
        raise ConflictError(f"Batch {batch.id} is not as it was recorded. Run `audit verify`.") from error


def _leaf(batch: BatchRow, index: int) -> bytes:
    return split_hashes(batch.leaves or b"")[index]


def _holds(entry: Entry, batch: int) -> bool:
    return msgspec.json.decode(entry.details, type=BatchRoot).batch == batch
