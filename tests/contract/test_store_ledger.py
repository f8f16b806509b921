"""What doctor, the metrics and the heartbeat read of the ledger, on each engine."""

import pytest

from execlave_server.actions.doctor.ledger import LedgerRow
from execlave_server.actions.doctor.queue import QueueFacts
from execlave_server.store.protocol import Call, Parameters, Store, Write

EVERYBODY = 0


async def page(store: Store, *, after: int = 0, organization: int = EVERYBODY, traces: int = 1_000) -> list[LedgerRow]:
    """A page of ledger rows."""
    newest = (await store.rows("newest_batch"))[0][0]
    asked: Parameters = {
        "after": after,
        "newest": newest,
        "organization": organization,
        "batches": 100,
        "traces": traces,
    }
    return await store.find(LedgerRow, "ledger_page", asked)


async def test_a_page_has_a_row_for_each_batch_and_collecting_destination(store, acme, globex) -> None:
    """Counted from the traces; one without a destination where nobody collected."""
    await acme.ingest(acme.trace("before-any"))
    first = await acme.add_destination("First")
    second = await acme.add_destination("Second", state="held")
    await acme.add_destination("Draft", state="draft")
    await acme.ingest(acme.trace("t1"), acme.trace("t2"))
    await globex.ingest(globex.trace("t3"))

    rows = await page(store)

    assert [(row.batch, row.destination, row.trace_count, row.traces, row.log_count) for row in rows] == [
        (1, None, 1, 1, None),
        (2, first, 2, 2, 2),
        (2, second, 2, 2, 2),
        (3, None, 1, 1, None),
    ]
    assert {(row.accepted_count, row.parked_count, row.parked_rows) for row in rows[1:3]} == {(0, 0, 0)}
    assert [row.batch for row in await page(store, organization=globex.number)] == [3]


async def test_a_page_ends_at_its_traces(store, acme) -> None:
    """It holds whole batches, one at least, and the next one goes on after it."""
    for number in range(4):
        await acme.ingest(acme.trace(f"a{number}"), acme.trace(f"b{number}"))

    assert [row.batch for row in await page(store, traces=1)] == [1]
    assert [row.batch for row in await page(store, after=1, traces=3)] == [2, 3]


async def test_a_backfill_obliges_once(store, acme, read) -> None:
    """The batches that it queues carry the destination from then on, and carry it once."""
    await acme.ingest(acme.trace("t1"))
    destination = await acme.add_destination()
    span: Parameters = {
        "destination": destination,
        "organization": acme.number,
        "after": 0,
        "last": 1,
        "from_us": 0,
        "to_us": 1 << 60,
    }
    for _ in range(2):
        await store.commit(Write(calls=[Call("oblige_batches", span)]))

    assert await read("select collectors from batches") == [(f",{destination},",)]
    (row,) = await page(store)
    assert (row.destination, row.log_count) == (destination, None)


async def test_outbox_rows_without_a_batch_and_traces_without_one_are_found(store, acme) -> None:
    """Neither is there while everything is in order."""
    await acme.add_destination()
    await acme.ingest(acme.trace("t1"))
    asked: Parameters = {"organization": EVERYBODY, "after": 0, "last": 10}

    assert await store.rows("ledger_rows_without_batch", asked) == []
    assert await store.rows("traces_without_batch", {"after": 0, "last": 10}) == []
    assert len(await store.rows("batch_trace_ids", {"batch": 1})) == 1


async def test_the_queue_is_summed(store, acme, clock) -> None:
    """What waits, since when, and what is due implausibly late."""
    destination = await acme.add_destination()
    await acme.ingest(acme.trace("t1"), acme.trace("t2"))
    await acme.ingest(acme.trace("t3"))
    asked: Parameters = {"organization": acme.number, "far_us": clock.now_us() - 1}

    (facts,) = await store.find(QueueFacts, "queue_facts", asked)
    (standing,) = await store.rows("destination_standings")
    (beat,) = await store.rows("heartbeat_facts", {"destination": destination})

    assert (facts.first_batch, facts.far_count, facts.far_batch) == (1, 2, 1)
    assert tuple(standing[2:]) == ("enabled", 3, clock.now_us())
    assert tuple(beat) == (3, clock.now_us(), 0)
    assert await store.rows("parked_by_reason") == []


@pytest.mark.parametrize(
    ("minutes", "claimed"),
    [([1, 1, 2], [True, False, True]), ([3, 2], [True, False]), ([60, 2], [True, True])],
)
async def test_a_minute_is_claimed_once(store, acme, minutes, claimed) -> None:
    """Whoever is first sends it; a clock that is a little behind sends none, one set back by much begins anew."""
    destination = await acme.add_destination()
    results = []
    for minute in minutes:
        claim: Parameters = {"destination": destination, "minute_us": minute, "ahead_us": minute + 5}
        results.append(bool((await store.commit(Write(calls=[Call("claim_heartbeat", claim)]))).rows[0]))

    assert results == claimed


async def test_the_database_can_be_asked_about_itself(store) -> None:
    """Its settings, its tables, and whether each is sound."""
    tables = [str(row[0]) for row in await store.rows("database_tables")]

    assert await store.rows("database_settings")
    assert {"traces", "batches", "outbox", "parked"} <= set(tables)
    for table in tables:
        assert [tuple(row) for row in await store.rows("check_table", {"name": table})] == [("ok",)]
