"""What the evidence costs: for a trace at ingest, for a commit, for each row and entry verified.

Example: python bench/audit.py --rounds 5
"""

import argparse
import itertools
import os
import random
import time
from collections.abc import Callable

from execlave_server.audit import merkle
from execlave_server.audit.batches import StoredBatch, StoredRow, check_batch
from execlave_server.audit.canonical import SALT_BYTES, nano_usd
from execlave_server.audit.chain import ChainCheck, Event, Head, history_path, next_entry
from execlave_server.audit.events import BatchRoot, Kind
from execlave_server.audit.records import TraceRecord, leaf_of, trace_content
from report import Target, medians, publish

TRACES_PER_REQUEST = 100
TRACES_PER_BATCH = 1_000
ITEM_BYTES = 390  # as in ingest.py
LOG_BYTES = 620
ENTRIES = (1 << 20) - 1  # a chain whose frontier is as long as one of a million entries can be
PROVED_ENTRIES = 100_000
TRACE_US_MAX = 4.0
ROOT_MS_MAX = 1.5

METHOD = f"""
CPU time of this process, the best of several runs within a round, nothing but the pure functions: no store, no HTTP.

trace_us: the whole of what a trace costs, the sum of salt_us, content_us (two salted digests, over an item of
{ITEM_BYTES} and a log of {LOG_BYTES} bytes), leaf_us (the record as canonical JSON and its leaf hash) and node_us (its
share of the tree of {TRACES_PER_BATCH:,} leaves). All but node_us is spent at the request's edge; node_us by the thread
that commits.

root_ms: one tree of {TRACES_PER_BATCH:,} leaves. entry_us: one audit entry with details, links and the new head, behind
{ENTRIES:,} others: once for each commit and organization, and for each event.

verify_entry_us, verify_row_us: checking one entry of a chain, and one trace of a batch with its record made anew.
path_ms: the proof of one entry in the history of another, {PROVED_ENTRIES:,} entries later, from all hashes between.
"""


def best_us(repeats: int, count: int, work: Callable[[], object]) -> float:
    """Microseconds of CPU for each of the `count` things that `work` does, the best of some runs."""
    spent = []
    for _ in range(repeats):
        before = time.process_time_ns()
        work()
        spent.append((time.process_time_ns() - before) / 1_000 / count)
    return min(spent)


def salts() -> list[bytes]:
    drawn = os.urandom(SALT_BYTES * TRACES_PER_REQUEST)
    return [drawn[start : start + SALT_BYTES] for start in range(0, len(drawn), SALT_BYTES)]


def record(number: int, content: object) -> TraceRecord:
    return TraceRecord(
        agent="support-bot",
        content=content,
        cost_nano_usd=nano_usd(0.0012),
        environment="production",
        occurred_at_ms=1_765_449_600_000,
        organization="org_0123456789abcdef",
        span_id=f"sp_{number:016x}",
        span_type="tool",
        status="success",
        trace_id=f"tr_{number:016x}",
    )


def one_round() -> dict[str, float]:
    count = TRACES_PER_BATCH
    items = [random.randbytes(ITEM_BYTES) for _ in range(count)]
    logs = [random.randbytes(LOG_BYTES) for _ in range(count)]
    drawn = list(itertools.chain.from_iterable(salts() for _ in range(count // TRACES_PER_REQUEST)))
    contents = [trace_content(*parts) for parts in zip(drawn, items, logs, strict=True)]
    leaves = [leaf_of(record(number, content)) for number, content in enumerate(contents)]
    root = merkle.root(leaves)

    row = {
        "salt_us": best_us(20, TRACES_PER_REQUEST, salts),
        "content_us": best_us(20, count, lambda: [trace_content(*p) for p in zip(drawn, items, logs, strict=True)]),
        "leaf_us": best_us(20, count, lambda: [leaf_of(record(n, c)) for n, c in enumerate(contents)]),
        "node_us": best_us(20, count, lambda: merkle.root(leaves)),
    }
    row["trace_us"] = sum(row.values())
    row["root_ms"] = row["node_us"] * count / 1_000
    return row | chain_costs(root) | verify_costs(drawn, items, logs, leaves, root)


def chain_costs(root: bytes) -> dict[str, float]:
    details = BatchRoot(batch=7, decisions=0, leaves=1_000, root=root.hex(), traces=1_000)
    event = Event(Kind.BATCH_ROOT, 1_765_449_600_000_000, "server", "batch:7", details)
    far = Head("org_0123456789abcdef", ENTRIES, bytes(32), tuple(random.randbytes(32) for _ in range(20)))
    head, entries = far, []
    for _ in range(1_000):
        entries.append(next_entry(head, event))
        head = head.after(entries[-1].hash)

    def append() -> None:
        for _ in range(1_000):
            far.after(next_entry(far, event).hash)

    def verify() -> None:
        check = ChainCheck(far)
        assert not [finding for entry in entries for finding in check.feed(entry)]

    hashes = [random.randbytes(32) for _ in range(PROVED_ENTRIES)]

    def path() -> None:
        leaves = [merkle.leaf_hash(entry_hash) for entry_hash in hashes]
        history_path(1, PROVED_ENTRIES + 1, lambda first, stop: merkle.root(leaves[first:stop]))

    return {
        "entry_us": best_us(5, 1_000, append),
        "verify_entry_us": best_us(5, 1_000, verify),
        "path_ms": best_us(3, 1_000, path),
    }


def verify_costs(
    drawn: list[bytes], items: list[bytes], logs: list[bytes], leaves: list[bytes], root: bytes
) -> dict[str, float]:
    details = BatchRoot(batch=7, decisions=0, leaves=len(leaves), root=root.hex(), traces=len(leaves))
    entry = next_entry(Head("org_1"), Event(Kind.BATCH_ROOT, 1, "server", "batch:7", details))

    def verify() -> None:
        rows = (
            StoredRow(number, leaf_of(record(number, trace_content(*parts))), "trace")
            for number, parts in enumerate(zip(drawn, items, logs, strict=True))
        )
        batch = StoredBatch(7, 1, len(leaves), 0, b"".join(leaves), rows)
        assert not list(check_batch(batch, details, entry))

    return {"verify_row_us": best_us(5, len(leaves), verify)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="keep the result in results/")
    options = parser.parse_args()
    rounds = [one_round() for _ in range(options.rounds)]
    middle = medians(rounds)
    targets = [
        Target(
            f"a trace's evidence: {middle['trace_us']:.2f} us of CPU, at most {TRACE_US_MAX}",
            middle["trace_us"] <= TRACE_US_MAX,
        ),
        Target(
            f"the root of 1,000 leaves: {middle['root_ms']:.2f} ms, at most {ROOT_MS_MAX}",
            middle["root_ms"] <= ROOT_MS_MAX,
        ),
    ]
    publish("audit", METHOD, rounds, targets, save=options.save)


if __name__ == "__main__":
    main()
