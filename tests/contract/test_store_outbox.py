"""The outbox: leases with deadlines and fences, results, and the ledger that adds up."""

from contextlib import closing
from dataclasses import dataclass

import apsw
import pytest

from execlave_server.actions.read_deliveries import DeliveryCounts
from execlave_server.export.retries import WAIT_US_MAX
from execlave_server.store.protocol import Call, Parameters, Row, Store, Write
from execlave_server.store.sqlite import create_database
from execlave_server.store.statements import load_statements

LEASE_US = 20_000_000
ALL = 1_000_000
DONE = {"accepted": 1, "parked": 0, "settled": None, "late": 0, "sent_bytes": 9, "latency_us": 1, "answer": None}
RESULTS = {
    "mark_done": DONE | {"status": 202, "now_us": 1},
    "mark_progress": {name: value for name, value in DONE.items() if name != "answer"},
    "mark_waiting": {"status": 500, "answer": "no", "due_at_us": 1},
    "release_lease": {"now_us": 1},
}
STATE = """
    select batch, due_at_us, leased_at_us, fence, attempts, last_status, last_answer, delivered_at_us from outbox
    where destination = {} order by batch
"""


@dataclass(frozen=True)
class Ledger:
    """The outbox rows of one destination, as a worker works with them."""

    store: Store
    destination: int

    async def run(self, statement: str, **parameters: str | int | None) -> list[Row]:
        """One statement in a commit of its own."""
        row: Parameters = {"destination": self.destination, **parameters}
        return list((await self.store.commit(Write(calls=[Call(statement, row)]))).rows[0])

    async def lease(self, now_us: int, *, rows: int = ALL, logs: int = ALL) -> dict[int, int]:
        """Lease what is due; the fence of each batch leased."""
        limits = {"far_us": now_us + WAIT_US_MAX, "rows": rows, "logs": logs}
        found = await self.run("lease_outbox", now_us=now_us, lease_until_us=now_us + LEASE_US, **limits)
        return {row[0]: row[1] for row in found}

    async def is_due(self, now_us: int) -> bool:
        """Whether anything is due."""
        times: Parameters = {"now_us": now_us, "far_us": now_us + WAIT_US_MAX}
        return bool(await self.store.rows("is_due", {"destination": self.destination, **times}))


@pytest.fixture
async def ledger(acme) -> Ledger:
    """An enabled destination."""
    return Ledger(acme.store, await acme.add_destination())


@pytest.fixture
def queue(acme, clock):
    """Commits batches, a second apart, each with that many traces; the time after them."""

    async def commit(*counts: int) -> int:
        for batch, count in enumerate(counts):
            await acme.ingest(*(acme.trace(f"t{clock.time_us} {batch} {number}") for number in range(count)))
            clock.advance(seconds=1)
        return clock.time_us

    return commit


@pytest.fixture
def state(read, ledger):
    """The outbox rows as they are stored: (batch, due, leased, fence, attempts, status, answer, delivered)."""

    async def look() -> list[Row]:
        return await read(STATE.format(ledger.destination))

    return look


async def test_a_new_batch_is_due_at_once(ledger, queue, clock):
    """A destination has something due from the commit of a batch on, and not before."""
    before_us = clock.time_us
    before = await ledger.is_due(before_us)
    await queue(3)

    assert before is False
    assert await ledger.is_due(before_us - 1) is False
    assert await ledger.is_due(before_us) is True


async def test_a_lease_says_what_was_leased(ledger, queue, acme, read):
    """A lease returns batch, fence, attempts, number of logs, time of commit, bytes of logs, and how far it is."""
    now_us = await queue(3, 2)
    until_us, far_us = now_us + LEASE_US, now_us + WAIT_US_MAX
    parameters = {"now_us": now_us, "lease_until_us": until_us, "far_us": far_us, "rows": ALL, "logs": ALL}

    rows = await ledger.run("lease_outbox", **parameters)

    log_bytes = len(acme.trace("t").log)
    assert sorted(rows) == [
        (1, 1, 0, 3, now_us - 2_000_000, 3 * log_bytes, 0, 0, None, "live"),
        (2, 1, 0, 2, now_us - 1_000_000, 2 * log_bytes, 0, 0, None, "live"),
    ]
    assert await read("select due_at_us, leased_at_us from outbox") == [(now_us + LEASE_US, now_us)] * 2


async def test_a_leased_batch_is_nobody_elses(ledger, queue):
    """What is leased is neither due nor leased again before its deadline."""
    now_us = await queue(1, 1)
    assert await ledger.lease(now_us) == {1: 1, 2: 1}

    assert await ledger.is_due(now_us + LEASE_US - 1) is False
    assert await ledger.lease(now_us + LEASE_US - 1) == {}


async def test_a_lease_comes_due_again_after_its_deadline(ledger, queue, state):
    """A batch whose worker died is leased again when the lease ends, under the next fence and without an attempt."""
    now_us = await queue(1)
    await ledger.lease(now_us)

    assert await ledger.is_due(now_us + LEASE_US) is True
    assert await ledger.lease(now_us + LEASE_US) == {1: 2}
    ((_, due_us, leased_us, fence, attempts, *_),) = await state()
    assert (due_us, leased_us, fence, attempts) == (now_us + 2 * LEASE_US, now_us + LEASE_US, 2, 0)


@pytest.mark.parametrize(
    ("logs", "batches"), [(1, [1]), (10, [1]), (11, [1, 2]), (20, [1, 2]), (21, [1, 2, 3]), (ALL, [1, 2, 3, 4])]
)
async def test_a_lease_is_limited_by_logs(ledger, queue, logs, batches):
    """Batches are leased while those before them have fewer logs than wanted: whole ones, and always one."""
    now_us = await queue(10, 10, 10, 10)

    assert sorted(await ledger.lease(now_us, logs=logs)) == batches


async def test_a_lease_is_limited_by_rows(ledger, queue):
    """No more rows are leased than asked for, and the next lease takes the rest."""
    now_us = await queue(1, 1, 1, 1, 1)

    assert sorted(await ledger.lease(now_us, rows=2)) == [1, 2]
    assert sorted(await ledger.lease(now_us, rows=2)) == [3, 4]
    assert sorted(await ledger.lease(now_us, rows=2)) == [5]
    assert sorted(await ledger.lease(now_us, rows=2)) == []


async def test_what_is_due_longest_is_leased_first(ledger, queue):
    """A batch that waits for its next attempt lets those pass that are due before it."""
    now_us = await queue(1, 1, 1)
    fences = await ledger.lease(now_us, rows=1)
    later_us = now_us + 5_000_000
    await ledger.run("mark_waiting", batch=1, fence=fences[1], due_at_us=later_us, status=500, answer="")

    assert sorted(await ledger.lease(later_us, rows=2)) == [2, 3]
    assert sorted(await ledger.lease(later_us, rows=2)) == [1]


async def test_destinations_lease_apart(ledger, queue, acme):
    """Each destination has its own row for a batch; leasing or delivering one leaves the other."""
    other = Ledger(acme.store, await acme.add_destination("Second"))
    now_us = await queue(1)

    fences = await ledger.lease(now_us)
    await ledger.run("mark_done", **DONE, batch=1, fence=fences[1], status=202, now_us=now_us)

    assert await other.is_due(now_us) is True
    assert await other.lease(now_us) == {1: 1}


async def test_delivered_is_never_due_again(ledger, queue, state):
    """A delivered batch leaves the queue and stays in the ledger."""
    now_us = await queue(2)
    fences = await ledger.lease(now_us)

    await ledger.run("mark_done", **DONE, batch=1, fence=fences[1], status=202, now_us=now_us + 7)

    assert await state() == [(1, None, None, 1, 1, 202, None, now_us + 7)]
    assert await ledger.is_due(now_us + 100 * LEASE_US) is False
    assert await ledger.lease(now_us + 100 * LEASE_US) == {}


async def test_waiting_is_due_at_its_time(ledger, queue, state):
    """A batch that was refused keeps its answer and is due when its wait is over, attempts counted."""
    now_us = await queue(2)
    for attempt in (1, 2):
        fences = await ledger.lease(now_us)
        later_us = now_us + 3_000_000
        await ledger.run("mark_waiting", batch=1, fence=fences[1], due_at_us=later_us, status=503, answer="later")

        assert await state() == [(1, later_us, None, attempt, attempt, 503, "later", None)]
        assert await ledger.is_due(later_us - 1) is False
        assert await ledger.is_due(later_us) is True
        now_us = later_us


async def test_delivery_forgets_the_last_refusal(ledger, queue, state):
    """A batch delivered after a refusal shows the answer that accepted it."""
    now_us = await queue(1)
    fences = await ledger.lease(now_us)
    await ledger.run("mark_waiting", batch=1, fence=fences[1], due_at_us=now_us, status=503, answer="later")
    fences = await ledger.lease(now_us)

    await ledger.run("mark_done", **DONE, batch=1, fence=fences[1], status=202, now_us=now_us)

    assert await state() == [(1, None, None, 2, 2, 202, None, now_us)]


async def test_a_released_lease_is_due_at_once(ledger, queue, state):
    """A worker that stops gives back what it did not send: due now, no attempt counted, the next lease fenced anew."""
    now_us = await queue(1)
    fences = await ledger.lease(now_us)

    await ledger.run("release_lease", batch=1, fence=fences[1], now_us=now_us + 9)

    assert await state() == [(1, now_us + 9, None, 1, 0, None, None, None)]
    assert await ledger.lease(now_us + 9) == {1: 2}


@pytest.mark.parametrize("statement", RESULTS)
@pytest.mark.parametrize("fence", [0, 1, 3])
async def test_a_stale_fence_writes_nothing(ledger, queue, state, statement, fence):
    """A result under another fence than the present one changes nothing: somebody else holds the lease."""
    now_us = await queue(1)
    await ledger.lease(now_us)
    assert await ledger.lease(now_us + LEASE_US) == {1: 2}
    before = await state()

    await ledger.run(statement, batch=1, fence=fence, **RESULTS[statement])

    assert await state() == before


async def test_results_reach_only_their_batch(ledger, queue, state):
    """A result names one batch; the others that were leased with it are untouched."""
    now_us = await queue(1, 1, 1)
    fences = await ledger.lease(now_us)

    await ledger.run("mark_done", **DONE, batch=2, fence=fences[2], status=202, now_us=now_us)

    assert [row[7] for row in await state()] == [None, now_us, None]
    assert [row[1] for row in await state()] == [now_us + LEASE_US, None, now_us + LEASE_US]


async def test_releasing_every_lease_frees_only_leased_rows(ledger, queue, state):
    """A worker that starts alone frees the leases of the dead, and fences them off; waits and deliveries stay."""
    now_us = await queue(1, 1, 1, 1)
    fences = await ledger.lease(now_us, rows=3)
    await ledger.run("mark_done", **DONE, batch=1, fence=fences[1], status=202, now_us=now_us)
    later_us = now_us + 60_000_000
    await ledger.run("mark_waiting", batch=2, fence=fences[2], due_at_us=later_us, status=429, answer="")

    await ledger.store.commit(Write(calls=[Call("release_every_lease", {"now_us": now_us + 1})]))

    assert await state() == [
        (1, None, None, 1, 1, 202, None, now_us),
        (2, later_us, None, 1, 1, 429, "", None),
        (3, now_us + 1, None, 2, 0, None, None, None),
        (4, now_us - 1_000_000, None, 0, 0, None, None, None),
    ]
    await ledger.run("mark_done", **DONE, batch=3, fence=fences[3], status=202, now_us=now_us)
    assert [row[7] for row in await state()] == [now_us, None, None, None]


async def test_results_and_leases_share_a_write(ledger, queue):
    """A worker's results and its next lease are one write; the lease does not return what the results delivered."""
    now_us = await queue(1, 1)
    fences = await ledger.lease(now_us, rows=1)
    mine = {"destination": ledger.destination}
    delivered = Call("mark_done", {**mine, **DONE, "batch": 1, "fence": fences[1], "status": 202, "now_us": now_us})
    limits = {"lease_until_us": now_us + LEASE_US, "far_us": now_us + 20 * LEASE_US, "rows": ALL, "logs": ALL}
    lease = Call("lease_outbox", {**mine, **limits, "now_us": now_us + 10 * LEASE_US})

    written = await ledger.store.commit(Write(calls=[delivered, lease]))

    assert [row[0] for row in written.rows[1]] == [2]


async def test_counts_add_up(ledger, queue, acme):
    """For each destination: committed since it collects = delivered + waiting, leased or not."""
    second = Ledger(acme.store, await acme.add_destination("Second"))
    await acme.add_destination("Draft", "draft")
    now_us = await queue(5, 3, 2)
    fences = await ledger.lease(now_us, rows=2)
    await ledger.run("mark_done", **DONE | {"accepted": 3}, batch=2, fence=fences[2], status=202, now_us=now_us)

    counts = await acme.store.find(DeliveryCounts, "delivery_counts", {"organization": acme.number})

    assert {count.id: count for count in counts} == {
        "dst_org_acme_Datadog": DeliveryCounts("dst_org_acme_Datadog", 10, 0, 3, 7, 0, 0, now_us - 3_000_000),
        "dst_org_acme_Second": DeliveryCounts("dst_org_acme_Second", 10, 0, 0, 10, 0, 0, now_us - 3_000_000),
        "dst_org_acme_Draft": DeliveryCounts("dst_org_acme_Draft", 10, 0, 0, 0, 0, 0, None),
    }
    await second.lease(now_us)
    assert await acme.store.find(DeliveryCounts, "delivery_counts", {"organization": acme.number}) == counts


async def test_holding_stops_an_enabled_destination_only(ledger, acme, read):
    """A refused key holds an enabled destination; one that was disabled meanwhile stays disabled."""
    disabled = await acme.add_destination("Disabled", "disabled")
    for number in (ledger.destination, disabled):
        hold = {"destination": number, "seen_at_us": 1, "reason": "key refused", "now_us": 77}
        await acme.store.commit(Write(calls=[Call("hold_destination", hold)]))

    assert await read("select state, state_reason, updated_at_us from destinations order by number") == [
        ("held", "key refused", 77),
        ("disabled", None, 1),
    ]


async def test_a_clock_set_back_makes_nothing_wait(ledger, queue):
    """What is due later than any wait ends was written under another time: it is due, leased or not, within limits."""
    now_us = await queue(1, 1, 1)
    await ledger.lease(now_us, rows=1)
    back_us = now_us - 3_600_000_000

    assert await ledger.is_due(back_us) is True
    assert await ledger.lease(back_us, rows=2) == {2: 1, 3: 1}
    assert await ledger.lease(back_us) == {1: 2}
    assert await ledger.is_due(back_us) is False


async def test_the_longest_wait_is_kept(ledger, queue):
    """A batch told to wait as long as is ever told is not due before."""
    now_us = await queue(1)
    fences = await ledger.lease(now_us)
    later_us = now_us + WAIT_US_MAX
    await ledger.run("mark_waiting", batch=1, fence=fences[1], due_at_us=later_us, status=503, answer="")

    assert await ledger.is_due(now_us) is False
    assert await ledger.lease(now_us) == {}
    assert await ledger.is_due(now_us - 1) is True


@pytest.mark.parametrize("statement", ["is_due", "lease_outbox"])
def test_due_rows_are_found_by_their_index(statement, tmp_path, clock):
    """Whatever waits, only rows that are due are looked at: each side of the question seeks in the partial index."""
    create_database(tmp_path / "execlave.db", clock)
    sql = load_statements("sqlite")[statement]
    with closing(apsw.Connection(str(tmp_path / "execlave.db"))) as connection:
        plan = [row[3] for row in connection.execute(f"explain query plan {sql.sql}", dict.fromkeys(sql.parameters, 1))]

    seeks = [line for line in plan if "outbox_due" in line]
    assert len(seeks) == 2
    assert all("destination=? AND due_at_us" in line for line in seeks)
    assert not [line for line in plan if line.startswith("SCAN outbox")]
