"""A stored batch against the entry that recorded its root."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from msgspec import Struct

from execlave_server.audit.chain import Entry
from execlave_server.audit.events import BatchRoot
from execlave_server.audit.findings import Code, Finding
from execlave_server.audit.merkle import root, split_hashes

_ADDED = {"decision": Code.DECISION_ADDED, "event": Code.EVENT_ADDED}
STRANGERS_MAX = 100  # rows of a batch that nobody recorded, reported one by one


class StoredRow(NamedTuple):
    """A trace, decision or event's log as it is now. `position` is its leaf's index; no `leaf`: it cannot be made.

    `size` is of its log, in bytes; None where that is not as it was committed, or where there is no log.
    """

    position: int
    leaf: bytes | None
    name: str
    size: int | None = None


class StoredBatch(Struct, frozen=True):
    """A batch as stored. `leaves` are the leaf hashes kept beside it, 32 bytes each: traces, decisions, events.

    `rows` are read once, in order of position; a row whose position no leaf has was added. `anchor` is the number and
    hash of the entry that its row names; `span` how many ids it has for its traces.
    """

    id: int
    received_at_us: int
    traces: int
    decisions: int
    leaves: bytes
    rows: Iterable[StoredRow]
    anchor: tuple[int | None, bytes | None]
    span: int
    log_bytes: int = 0
    events: int = 0


def check_batch(batch: StoredBatch, recorded: BatchRoot, entry: Entry) -> Iterator[Finding]:
    """What of a batch is not as its entry recorded it, row by row where that can be told."""
    where = f"batch {batch.id}"
    stored = (batch.received_at_us, batch.traces, batch.decisions, batch.events)
    if stored != (entry.at_us, recorded.traces, recorded.decisions, recorded.events):
        why = f"entry {entry.seq} recorded {_counts(recorded)} at {entry.at_us}"
        yield Finding(Code.BATCH_CHANGED, where, "has another time or other counts", why)
    if batch.anchor != (entry.seq, entry.hash) or batch.span != batch.traces:
        why = f"entry {entry.seq} recorded it, with a trace for each of its ids"
        yield Finding(Code.BATCH_CHANGED, where, "names another entry, or other rows", why)
    leaves = split_hashes(batch.leaves)
    if root(leaves).hex() == recorded.root and len(leaves) == recorded.leaves:
        yield from _check_rows(batch, recorded, leaves, entry)
    else:
        yield from _check_without_leaves(batch, recorded, entry)


def check_unanchored(batch: StoredBatch) -> Finding:
    """A batch that came after the chain began, without a root in it."""
    why = f"no entry of the chain has its root; it holds {batch.traces} traces and {batch.decisions} decisions"
    return Finding(
        Code.BATCH_UNANCHORED, f"batch {batch.id}", "was never recorded, or its entry was tampered with", why
    )


def _check_rows(batch: StoredBatch, recorded: BatchRoot, leaves: list[bytes], entry: Entry) -> Iterator[Finding]:
    """The leaves kept are the recorded ones, so each row answers for itself."""
    expected = 0
    strangers = 0
    sizes: list[int] = []
    for row in batch.rows:
        if row.size is not None:
            sizes.append(row.size)
        if row.position >= len(leaves) or row.position < expected:
            strangers += 1
            if strangers <= STRANGERS_MAX:
                yield _added(batch, recorded, row)
            continue
        yield from _missing(batch, recorded, entry, range(expected, row.position))
        expected = row.position + 1
        if row.leaf != leaves[row.position]:
            code = _changed(recorded, row.position)
            why = f"it does not hash to leaf {row.position} of the batch, whose root is in entry {entry.seq}"
            yield Finding(code, f"batch {batch.id}, {row.name}", "was changed", why)
    yield from _missing(batch, recorded, entry, range(expected, len(leaves)))
    if len(sizes) == recorded.traces + recorded.events and sum(sizes) != batch.log_bytes and not strangers:
        yield Finding(Code.BATCH_CHANGED, f"batch {batch.id}", "has another size", f"its logs have {sum(sizes)} bytes")


def _check_without_leaves(batch: StoredBatch, recorded: BatchRoot, entry: Entry) -> Iterator[Finding]:
    """The leaves kept are not the recorded ones: the rows alone may still make the recorded root."""
    where = f"batch {batch.id}"
    rows = list(islice(batch.rows, recorded.leaves + 1))
    whole = [row.position for row in rows] == list(range(recorded.leaves))
    if whole and root([row.leaf or b"" for row in rows]).hex() == recorded.root:
        why = f"its rows still make the root in entry {entry.seq}"
        yield Finding(Code.BATCH_CHANGED, where, "has other leaf hashes beside it", why)
        return
    why = f"neither its rows nor the leaf hashes beside them make the root {recorded.root} in entry {entry.seq}"
    yield Finding(Code.BATCH_CHANGED, where, "was changed, in which row cannot be told", why)


def _missing(batch: StoredBatch, recorded: BatchRoot, entry: Entry, positions: range) -> Iterator[Finding]:
    """The rows that no leaf at these positions has, as at most one range of each kind."""
    first_decision = min(max(recorded.traces, positions.start), positions.stop)
    first_event = min(max(recorded.traces + recorded.decisions, positions.start), positions.stop)
    why = f"entry {entry.seq} recorded {_counts(recorded)}"
    for code, word, gone in (
        (Code.TRACE_MISSING, "traces", range(positions.start, first_decision)),
        (Code.DECISION_MISSING, "decisions", range(first_decision, first_event)),
        (Code.EVENT_MISSING, "events", range(first_event, positions.stop)),
    ):
        if gone:
            where = f"batch {batch.id}, {word} at positions {gone.start} to {gone.stop - 1}"
            yield Finding(code, where, "are not there", why)


def _added(batch: StoredBatch, recorded: BatchRoot, row: StoredRow) -> Finding:
    code = _ADDED.get(row.name.partition(" ")[0], Code.TRACE_ADDED)
    why = f"the batch was recorded with {recorded.leaves} leaves, and none of them is at position {row.position}"
    return Finding(code, f"batch {batch.id}, {row.name}", "was added later", why)


def _changed(recorded: BatchRoot, position: int) -> Code:
    if position < recorded.traces:
        return Code.TRACE_CHANGED
    return Code.DECISION_CHANGED if position < recorded.traces + recorded.decisions else Code.EVENT_CHANGED


def _counts(recorded: BatchRoot) -> str:
    counts = f"{recorded.traces} traces and {recorded.decisions} decisions"
    return f"{counts} and {recorded.events} events" if recorded.events else counts
