"""What bounds the SQLite engine's transactions and memory: batches, and the keys it remembers."""

import asyncio

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.errors import UnavailableError
from execlave_server.model.traces import BATCH_BYTES_MAX, TRACES_PER_BATCH_MAX, NewTrace, TraceOutcome
from execlave_server.store.batches import RECENT_TRACES_MIN, split_batches
from execlave_server.store.grouping import WAITING_WRITES_MAX, WRITES_PER_COMMIT_MAX
from execlave_server.store.protocol import Traces, Write, Written
from execlave_server.store.sqlite import Durability, SqliteStore, create_database
from execlave_server.store.sqlite.recent_keys import RecentKeys


class TestBatches:
    @given(
        st.lists(
            st.sampled_from([0, 1, 5_000, 1_000_000, BATCH_BYTES_MAX - 1, BATCH_BYTES_MAX, BATCH_BYTES_MAX + 1]),
            max_size=40,
        )
    )
    def test_batches_are_as_full_as_the_limits_allow(self, sizes):
        """Every trace is in one batch, in order; a batch ends only where the next trace would break a limit."""
        logs = {size: bytes(size) for size in set(sizes)}
        traces = [
            NewTrace("t", "s", 0, 0, 0, "", "", "", number, logs[size], b"", b"", b"")
            for number, size in enumerate(sizes)
        ]

        batches = list(split_batches(traces))

        assert [trace for batch in batches for trace in batch] == traces
        weights = [sum(len(trace.log) for trace in batch) for batch in batches]
        assert all(weight <= BATCH_BYTES_MAX or len(batch) == 1 for batch, weight in zip(batches, weights, strict=True))
        followers = [len(batch[0].log) for batch in batches[1:]]
        assert all(weight + size > BATCH_BYTES_MAX for weight, size in zip(weights, followers, strict=False))

    @pytest.mark.parametrize(
        ("count", "batches"), [(0, []), (1, [1]), (1_000, [1_000]), (1_001, [1_000, 1]), (2_000, [1_000, 1_000])]
    )
    def test_batches_are_limited_by_count(self, count, batches):
        """A thousand traces make one batch, one more makes another."""
        trace = NewTrace("t", "s", 0, 0, 0, "", "", "", 0, b"log", b"", b"", b"")

        assert [len(batch) for batch in split_batches([trace] * count)] == batches
        assert TRACES_PER_BATCH_MAX == 1_000


class TestRecentKeys:
    def test_the_newest_keys_are_remembered(self):
        """At least the newest 262,144 keys are known, and memory ends at about twice as many."""
        recent = RecentKeys()
        step = 16_384

        for start in range(0, 4 * RECENT_TRACES_MIN, step):
            recent.add(set(range(start, start + step)))
            newest = start + step
            assert newest - 1 in recent
            assert max(0, newest - RECENT_TRACES_MIN) in recent
            known = sum(number in recent for number in range(0, newest, step))
            assert known <= 2 * RECENT_TRACES_MIN // step

    async def test_what_is_forgotten_is_stored_as_new(self, tmp_path, clock, new_tenant):
        """A repeat of a trace older than memory reaches is stored again in another bucket, never failed."""
        create_database(tmp_path / "execlave.db", clock)
        store = SqliteStore(tmp_path / "execlave.db", clock, durability=Durability.FULL)
        acme = await new_tenant(store, "org_acme")
        await acme.ingest(acme.trace("t0"))
        await acme.ingest(*(acme.trace(f"t{number}") for number in range(1, 20_000)))
        await store.close()

        forgetful = SqliteStore(tmp_path / "execlave.db", clock, durability=Durability.FULL)
        written = await forgetful.commit(Write(traces=Traces(acme.number, [acme.trace("t0")])))
        await forgetful.close()

        assert written.outcomes == [TraceOutcome.STORED]


class TestWaiting:
    async def test_too_many_waiting_writes_are_refused(self, tmp_path, clock):
        """Beyond its limit the queue refuses at once, what waits is committed, and then it takes writes again."""
        path = tmp_path / "execlave.db"
        create_database(path, clock)
        store = SqliteStore(path, clock, durability=Durability.FULL)
        empty, waiting = Write(), []

        def submit_too_many() -> None:
            for _ in range(WAITING_WRITES_MAX + WRITES_PER_COMMIT_MAX + 1):
                waiting.append(store.writer.submit(empty))  # noqa: PERF401 - what came before the error counts

        other = apsw.Connection(str(path))
        other.execute("begin immediate")
        with pytest.raises(UnavailableError, match="overloaded"):
            submit_too_many()
        other.close()

        assert await asyncio.gather(*waiting) == [Written([], [])] * len(waiting)
        assert len(waiting) >= WAITING_WRITES_MAX
        assert await store.commit(empty) == Written([], [])
        await store.close()
