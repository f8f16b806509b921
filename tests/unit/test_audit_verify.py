import tracemalloc
from dataclasses import dataclass
from dataclasses import replace as replace_row

import msgspec
import pytest
from msgspec.structs import replace

from audit_ledger import ORGANIZATION, Ledger
from execlave_server.audit.batches import StoredBatch
from execlave_server.audit.chain import Event, Head, hash_of, next_entry
from execlave_server.audit.events import Kind, SignIn
from execlave_server.audit.findings import Code
from execlave_server.audit.head import head_line, is_signed, read_heads
from execlave_server.audit.records import TraceRecord
from execlave_server.audit.verify import LogAnchor, Range, Verification, verify_logs


@pytest.fixture
def ledger():
    """Six batches of three traces and two decisions."""
    return Ledger().fill(6, decisions=2)


def verify(ledger, *, heads=(), check_signature=None, start=None, stored_head=None):
    """What a verification finds, as codes and places, and its summary."""
    verification = Verification(
        start or Head(ORGANIZATION),
        sweeps=ledger.sweeps(),
        heads=heads,
        check_signature=check_signature,
        stored_head=stored_head,
    )
    entries = ledger.entries[start.seq :] if start else ledger.entries
    found = [(finding.code, finding.where) for finding in verification.run(entries, ledger.stored())]
    return found, verification.summary


def test_what_nobody_touched_verifies(ledger):
    """Nothing is found, and the summary says how much was looked at."""
    found, summary = verify(ledger)

    assert found == []
    assert (summary.entries, summary.batches, summary.leaves) == (24, 6, 30)
    assert (summary.newest_entry, summary.anchored_entries, summary.swept, summary.unanchored) == (24, 0, [], [])


TRACE_CHANGES = {
    "trace_id": "tr_x",
    "span_id": "sx",
    "status": "policy_blocked",
    "agent": "other",
    "environment": "staging",
    "span_type": "llm",
    "occurred_at_ms": 1,
    "cost_usd": 9.0,
    "decision_id": "dec_x",
    "salt": bytes(16),
    "item": b"{}",
    "log": b"{}",
}


@pytest.mark.parametrize("column", TRACE_CHANGES)
def test_each_changed_column_of_a_trace_is_found(ledger, column):
    """The finding names the very trace."""
    rows = ledger.batches[2].rows
    rows[1] = replace_row(rows[1], **{column: TRACE_CHANGES[column]})

    found, _ = verify(ledger)

    assert found == [(Code.TRACE_CHANGED, f"batch 5, trace {rows[1].trace_id}")]


DECISION_CHANGES = {
    "decision_id": "dec_x",
    "trace_id": None,
    "outcome": "allowed",
    "agent": "other",
    "api_key": "key_2",
    "environment": "staging",
    "latency_us": 1,
    "decided_at_us": 1,
    "action_digest": "cd" * 32,
    "violations": "[]",
    "salt": bytes(16),
    "policies": (),
}


@pytest.mark.parametrize("column", DECISION_CHANGES)
def test_each_changed_column_of_a_decision_is_found(ledger, column):
    """The finding names the very decision."""
    rows = ledger.batches[2].rows
    rows[4] = replace_row(rows[4], **{column: DECISION_CHANGES[column]})

    found, _ = verify(ledger)

    assert found == [(Code.DECISION_CHANGED, f"batch 5, decision {rows[4].decision_id}")]


def test_missing_rows_are_found(ledger):
    """Rows that are gone are named by their positions, traces and decisions apart."""
    ledger.batches[0].rows[0] = None
    ledger.batches[1].rows[2:4] = [None, None]
    ledger.batches[2].rows[4] = None

    found, _ = verify(ledger)

    assert found == [
        (Code.TRACE_MISSING, "batch 1, traces at positions 0 to 0"),
        (Code.TRACE_MISSING, "batch 3, traces at positions 2 to 2"),
        (Code.DECISION_MISSING, "batch 3, decisions at positions 3 to 3"),
        (Code.DECISION_MISSING, "batch 5, decisions at positions 4 to 4"),
    ]


def test_added_rows_are_found(ledger):
    """A row that no leaf has was added later."""
    ledger.batches[1].rows += [ledger.trace("tr_new", "s1"), ledger.batches[0].rows[3]]

    found, _ = verify(ledger)

    assert found == [(Code.TRACE_ADDED, "batch 3, trace tr_new"), (Code.DECISION_ADDED, "batch 3, decision dec_0_0")]


def test_leaf_hashes_that_were_changed_are_found(ledger):
    """With the leaf hashes changed the rows are still held against the root, row and leaf changed together too."""
    other = bytes(32)
    ledger.batches[1].leaves = other + ledger.batches[1].leaves[32:]
    ledger.batches[3].leaves = ledger.batches[3].leaves[:-1]
    ledger.batches[4].leaves += other
    ledger.batches[5].rows[0] = ledger.trace("tr_x", "sx")
    leaf = next(iter(ledger.stored()[5].rows)).leaf
    ledger.batches[5].leaves = leaf + ledger.batches[5].leaves[32:]

    verification = Verification(Head(ORGANIZATION))
    found = [(each.where, each.what) for each in verification.run(ledger.entries, ledger.stored())]

    assert found == [
        ("batch 3", "has other leaf hashes beside it"),
        ("batch 7", "has other leaf hashes beside it"),
        ("batch 9", "has other leaf hashes beside it"),
        ("batch 11", "was changed, in which row cannot be told"),
    ]


@pytest.mark.parametrize("column", ["received_at_us", "traces", "decisions"])
def test_a_changed_batch_row_is_found(ledger, column):
    """The batch's time and counts are those of its entry."""
    setattr(ledger.batches[2], column, 1)

    found, _ = verify(ledger)

    assert found == [(Code.BATCH_CHANGED, "batch 5")]


def test_a_missing_batch_is_told_from_a_swept_one(ledger):
    """What retention removed is no finding; the summary names the entry. What merely is gone is one."""
    sweep = ledger.sweep(0, 2)
    del ledger.batches[1]

    found, summary = verify(ledger)

    assert found == [(Code.BATCH_MISSING, "batch 7")]
    assert summary.swept == [Range(1, 3, 2, sweep.seq)]


def test_a_sweep_covers_only_what_it_names_and_what_is_older(ledger):
    """A sweep that claims other roots, or stands before a batch, explains nothing."""
    sweep = ledger.sweep(0, 2)
    ledger.fill(1)
    ranges = msgspec.json.decode(sweep.details)
    ranges["ranges"][0]["last"] = 13  # the batch of the entry after it
    wide = replace(sweep, details=msgspec.json.encode(ranges, order="sorted").decode())
    ledger.entries[sweep.seq - 1] = wide
    del ledger.batches[-1]

    found, _ = verify(ledger)

    assert (Code.ENTRY_CHANGED, f"entry {sweep.seq}") in found
    assert (Code.BATCH_MISSING, "batch 13") in found
    assert (Code.SWEEP_MISMATCH, f"entry {sweep.seq}, batches 1 to 13") in found


def test_sweeps_must_stand_in_the_chain(ledger):
    """A sweep that is not in the chain is a finding, and so are rows that stayed although a sweep removed them."""
    elsewhere = Ledger().fill(6, decisions=2)
    entry = elsewhere.sweep(0, 1)
    stayed = ledger.batches[1]
    ledger.sweep(1, 2)
    ledger.batches.insert(1, stayed)
    verification = Verification(Head(ORGANIZATION), sweeps=[replace(entry, seq=99), *ledger.sweeps()])

    found = [(finding.code, finding.where) for finding in verification.run(ledger.entries, ledger.stored())]

    assert found == [
        (Code.BATCH_REMAINS, "batch 1"),
        (Code.BATCH_REMAINS, "batch 3"),
        (Code.SWEEP_MISMATCH, "entry 99"),
    ]


def test_unanchored_batches(ledger):
    """Batches older than the chain are a range that nothing proves; a later one without an entry was slipped in."""

    def plain(number):
        return StoredBatch(number, 1, 2, 0, b"", (), (None, None), 2)

    verification = Verification(Head(ORGANIZATION))
    batches = [plain(-2), plain(-1), *ledger.stored()[:3], plain(6), *ledger.stored()[3:], plain(99)]

    found = [(finding.code, finding.where) for finding in verification.run(ledger.entries, batches)]

    assert found == [(Code.BATCH_UNANCHORED, "batch 6"), (Code.BATCH_UNANCHORED, "batch 99")]
    assert verification.summary.unanchored == [Range(-2, -1, 2)]


def test_a_batch_recorded_by_a_changed_entry_is_unanchored(ledger):
    """What a changed entry says of a batch is not what was recorded, and nothing else is blamed for it."""
    place = ledger.batches[1].entry - 1
    details = ledger.entries[place].details.replace('"batch":3', '"batch":8')
    ledger.entries[place] = replace(ledger.entries[place], details=details)

    found, _ = verify(ledger)

    assert found == [(Code.ENTRY_CHANGED, f"entry {place + 1}"), (Code.BATCH_UNANCHORED, "batch 3")]


def test_verifying_goes_on_from_a_head(ledger):
    """What was verified up to a head need not be read again, sweeps of older batches included."""
    head = ledger.head
    count = len(ledger.batches)
    ledger.fill(2)
    ledger.sweep(1, 3)
    older = Ledger(head=ledger.head, entries=ledger.entries, batches=ledger.batches[count - 2 :], key=ledger.key)

    found, summary = verify(older, start=head)

    assert found == []
    assert summary.batches == 2


def test_removing_the_newest_entries_is_found_against_a_head(ledger):
    """A chain cut at its end agrees with itself; the head kept apart knows of more."""
    early, late = ledger.signed_head(), None
    ledger.fill(2)
    late = ledger.signed_head()
    kept = Ledger(entries=ledger.entries[: early.seq + 1], batches=ledger.batches[:6], key=ledger.key)

    alone, _ = verify(kept)
    against, summary = verify(kept, heads=[early, late], check_signature=ledger.key.check)

    assert alone == []
    assert against == [(Code.CHAIN_CUT, f"entries {early.seq + 2} to {late.seq}")]
    assert summary.anchored_entries == early.seq


def test_rewriting_history_at_equal_length_is_found_against_a_head(ledger):
    """Another history of the same length agrees with itself, and not with the head kept apart."""
    head = ledger.signed_head()
    forged = Ledger(key=ledger.key)
    forged.now_us += 1
    forged.fill(6, decisions=2)

    alone, _ = verify(forged)
    against, summary = verify(forged, heads=[head], check_signature=ledger.key.check)

    assert len(forged.entries) == len(ledger.entries)
    assert alone == []
    assert against == [(Code.HEAD_MISMATCH, f"entry {head.seq}")]
    assert summary.anchored_entries == 0


def test_the_stored_head_is_where_the_chain_ends(ledger):
    """Whoever removes the newest entries and leaves the head's row is found without any help from outside."""
    kept = Ledger(entries=ledger.entries[:-1], batches=ledger.batches)

    assert verify(ledger, stored_head=ledger.head)[0] == []
    assert verify(kept, stored_head=ledger.head)[0] == [(Code.HEAD_MISMATCH, "the stored head")]
    assert verify(ledger, stored_head=replace(ledger.head, frontier=(bytes(32),)))[0] != []


@dataclass
class ErasedRow:
    """A trace whose content and salt were deleted: its columns, and its record kept in their place."""

    kept: TraceRecord
    status: str
    name = "trace erased"

    def record(self):
        """The record with the facts that its columns hold now."""
        return replace(self.kept, status=self.status)


def test_erased_rows_still_verify(ledger):
    """Without content and salt the digests in the kept record still make the leaf; a changed column is found."""
    row = ledger.batches[2].rows[0]
    erased = ledger.batches[2].rows[0] = ErasedRow(row.record(), row.status)

    assert verify(ledger)[0] == []
    erased.status = "policy_blocked"
    assert verify(ledger)[0] == [(Code.TRACE_CHANGED, "batch 5, trace erased")]


def test_a_head_must_be_signed_by_the_server(ledger):
    """A head with a changed field or of another key vouches for nothing; a head file is read as it was written."""
    head = ledger.signed_head()
    stranger = Ledger().fill(6, decisions=2).signed_head()
    heads = read_heads(head_line(head) + b"\n" + head_line(replace(head, at_us=1)) + head_line(stranger))
    heads += [replace(head, signature="zz"), replace(head, organization="org_2")]

    found, summary = verify(ledger, heads=heads, check_signature=ledger.key.check)

    assert is_signed(heads[0], ledger.key.check)
    assert found == [(Code.HEAD_SIGNATURE, f"head of entry {head.seq}")] * 3
    assert summary.anchored_entries == head.seq


def logs_of(ledger):
    """What the logs of all traces carry in Datadog."""
    return [
        LogAnchor(batch.entry, ledger.entries[batch.entry - 1].hash.hex(), row.trace_id, row.span_id)
        for batch in ledger.batches
        for row in batch.rows[: batch.traces]
    ]


def verify_against(logs, ledger):
    """What the logs know better than the ledger."""
    hashes = {entry.seq: entry.hash for entry in ledger.entries}
    stored = {
        (batch.entry, row.trace_id, row.span_id)
        for batch in ledger.batches
        for row in batch.rows[: batch.traces]
        if row
    }
    found = verify_logs(logs, hashes.get, lambda log: (log.audit_seq, log.trace_id, log.span_id) in stored)
    return [(finding.code, finding.where) for finding in found]


def test_the_logs_in_datadog_know_what_was_removed_or_rewritten(ledger):
    """Each log carries the number and hash of its batch's entry: cut and rewritten chains, and missing traces show."""
    logs = logs_of(ledger)
    forged = Ledger()
    forged.now_us += 1
    forged.fill(6, decisions=2)
    cut = Ledger(entries=ledger.entries[:21], batches=ledger.batches[:5])
    gone = ledger.batches[0].rows[1]

    assert verify_against(logs, ledger) == []
    assert verify_against(logs, cut) == [(Code.CHAIN_CUT, f"entry {ledger.batches[5].entry}")]
    assert verify_against(logs, forged) == [(Code.LOG_MISMATCH, f"entry {batch.entry}") for batch in ledger.batches]
    ledger.batches[0].rows[1] = None
    assert verify_against(logs, ledger) == [(Code.LOG_MISSING, f"trace {gone.trace_id}, span {gone.span_id}")]


def test_an_unreadable_root_is_a_finding():
    """A batch root whose details are not those of one is named, and its batch stands without."""
    ledger = Ledger().fill(1)
    entry = replace(ledger.entries[-2], details='{"batch":1,"root":"x"}')
    ledger.entries[-2:] = [replace(entry, hash=hash_of(entry))]

    found, summary = verify(ledger)

    assert found == [(Code.ENTRY_UNREADABLE, "entry 2")]  # no root was read, so the batch may be older than the chain
    assert summary.unanchored == [Range(1, 1, 1)]


def test_memory_stays_flat():
    """Ten thousand entries pass through in a few kilobytes."""

    def entries(count):
        head = Head(ORGANIZATION)
        details = SignIn(method="password", person="p1", succeeded=True)
        for at_us in range(count):
            entry = next_entry(head, Event(Kind.PERSON_SIGNED_IN, at_us, "server", "person:p1", details))
            head = head.after(entry.hash)
            yield entry

    tracemalloc.start()
    found = list(Verification(Head(ORGANIZATION)).run(entries(10_000), ()))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found == []
    assert peak_bytes < 64_000
