import json
from dataclasses import replace as replace_row
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audit_ledger import ORGANIZATION, DecisionRow, Ledger, TraceRow, load_script
from execlave_server.audit import canonical, merkle, records
from execlave_server.audit.chain import Head, verify_chain
from execlave_server.audit.verify import Verification

script = load_script()
HASHES = st.binary(min_size=32, max_size=32)
STRANGER = sha256(b"no leaf of any tree here").digest()
LEAVES = st.lists(HASHES, min_size=1, max_size=200)
TEXT = st.text(max_size=40)
CONTENT = st.binary(max_size=200)


def naive_root(leaves):
    """RFC 6962, 2.1, word for word: split at the largest power of two below n."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_path(index, leaves):
    """RFC 6962, 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


@pytest.mark.parametrize("size", range(71))
def test_every_small_tree(size):
    """For each size up to seventy and each leaf, root, path and check are the RFC's, and the script's."""
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(size)]
    frontier = ()
    for number, leaf in enumerate(leaves):
        frontier = merkle.append(frontier, number, leaf)

    root = naive_root(leaves)

    assert merkle.root(leaves) == merkle.frontier_root(frontier) == root
    assert len(frontier) == size.bit_count()
    for index, leaf in enumerate(leaves):
        path = naive_path(index, leaves)
        assert merkle.path_in(leaves, index) == path
        assert merkle.root_from_path(leaf, index, size, path) == root
        assert script.climb(leaf, index, size, [one.hex() for one in path]) == root


@given(LEAVES, st.data())
def test_a_proof_holds_for_its_leaf_alone(leaves, data):
    """A proof of one leaf leads elsewhere for another leaf, another place, or with any of its hashes changed."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.path_in(leaves, index)
    root = merkle.root(leaves)
    size = len(leaves)

    assert merkle.root_from_path(leaves[index], index, size, path) == root == naive_root(leaves)
    assert merkle.root_from_path(STRANGER, index, size, path) != root
    other_place = data.draw(st.integers(0, size).filter(lambda place: place != index))
    if other_place < size and len(set(leaves)) == size:
        assert merkle.root_from_path(leaves[index], other_place, size, path) != root
    if path:
        level = data.draw(st.integers(0, len(path) - 1))
        assert merkle.root_from_path(leaves[index], index, size, [*path[:level], STRANGER, *path[level + 1 :]]) != root


def standard_json(record):
    """A record's canonical JSON, made again by the standard library from what it decodes to."""
    decoded = json.loads(msgspec.json.encode(record))
    return json.dumps(decoded, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


TRACES = st.builds(
    TraceRow,
    trace_id=TEXT,
    span_id=TEXT,
    status=TEXT,
    agent=TEXT,
    environment=TEXT,
    span_type=TEXT,
    occurred_at_ms=st.integers(),
    cost_usd=st.none() | st.floats(),
    decision_id=st.none() | TEXT,
    salt=st.binary(min_size=16, max_size=16),
    item=CONTENT,
    log=CONTENT,
)
DECISIONS = st.builds(
    DecisionRow,
    decision_id=TEXT,
    trace_id=st.none() | TEXT,
    outcome=TEXT,
    agent=st.none() | TEXT,
    api_key=TEXT,
    environment=st.none() | TEXT,
    latency_us=st.integers(),
    decided_at_us=st.integers(),
)


@given(TRACES | DECISIONS)
def test_a_record_has_the_same_bytes_everywhere(row):
    """Whatever texts and numbers stand in it, the standard library makes the same leaf."""
    record = row.record()
    tag = b"T\x01" if isinstance(row, TraceRow) else b"D\x01"

    assert canonical.ordered_json(record) == standard_json(record) == canonical.sorted_json(record)
    assert records.leaf_of(record) == sha256(b"\x00" + tag + standard_json(record)).digest()
    assert records.leaf_of(msgspec.convert(msgspec.to_builtins(record), type(record))) == records.leaf_of(record)


@given(TRACES, TRACES)
def test_different_traces_have_different_leaves(first, second):
    """Two traces have the same leaf only when every fact and part of them is the same, money to a billionth."""
    money = canonical.nano_usd
    same = replace_row(first, cost_usd=money(first.cost_usd)) == replace_row(second, cost_usd=money(second.cost_usd))

    assert (records.leaf_of(first.record()) == records.leaf_of(second.record())) == same


LEDGER = Ledger().fill(12)
ENTRY_CHANGES = st.one_of(
    st.tuples(st.sampled_from(["actor", "subject", "kind", "organization", "details"]), TEXT),
    st.tuples(st.just("at_us"), st.integers()),
    st.tuples(st.sampled_from(["previous", "history", "hash"]), HASHES),
)


@given(st.integers(0, len(LEDGER.entries) - 1), ENTRY_CHANGES)
def test_any_change_of_an_entry_is_found(place, change):
    """One changed field in one entry: the first finding names that entry."""
    field, value = change
    tampered = list(LEDGER.entries)
    tampered[place] = replace(tampered[place], **{field: value})

    found = list(verify_chain(tampered, Head(ORGANIZATION)))

    assert (tampered[place] == LEDGER.entries[place]) == (found == [])
    assert not found or found[0].where == f"entry {place + 1}"


@given(st.data())
@settings(max_examples=40)
def test_any_change_of_a_row_is_found_and_the_script_agrees(data):
    """One changed column of one row: verify names it, and evidence made from the changed row fails in the script."""
    place = data.draw(st.integers(0, len(LEDGER.batches) - 1))
    batch = LEDGER.batches[place]
    at = data.draw(st.sampled_from([0, batch.traces]))
    row = batch.rows[at]
    column = data.draw(st.sampled_from(["trace_id", "agent", "environment", "salt"]))
    value = data.draw(st.binary(min_size=16, max_size=16) if column == "salt" else TEXT)
    rows = [replace_row(row, **{column: value}) if number == at else each for number, each in enumerate(batch.rows)]
    tampered = Ledger(LEDGER.head, LEDGER.entries, list(LEDGER.batches), LEDGER.key)
    tampered.batches[place] = replace_row(batch, rows=rows)

    found = [each.where for each in Verification(Head(ORGANIZATION)).run(tampered.entries, tampered.stored())]
    try:
        script.check(script.read_json(tampered.evidence(place).decode()), None, None, None)
        agreed = True
    except script.Failure:
        agreed = False

    same = rows[at] == row
    assert found == ([] if same else [f"batch {batch.id}, {rows[at].name}"])
    assert agreed == same
