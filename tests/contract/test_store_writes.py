"""Writes: all or nothing, committed together, failing alone, decided on facts that still hold."""

import asyncio

import pytest
from msgspec.structs import replace

from execlave_server.errors import UnavailableError
from execlave_server.model.traces import TraceOutcome
from execlave_server.store.protocol import Call, Check, StaleError, Write, Written

NAMES = "select name from sealed_secrets order by name"


def put(name: str) -> Call:
    """A row under a unique name: the simplest thing to write."""
    return Call("insert_secret", {"name": name, "sealed": b"sealed"})


def absent(name: str) -> Check:
    """Holds while no row has that name."""
    return Check("find_secret", {"name": name}, None)


async def names(read) -> list[str]:
    """The names committed."""
    return [name for (name,) in await read(NAMES)]


async def test_a_write_returns_the_rows_of_each_call(store):
    """What each call of a write returned comes back in the order of the calls."""
    new = {"name": "Acme", "now_us": 7}

    written = await store.commit(
        Write(
            calls=[
                Call("insert_organization", {"id": "org_1", **new}),
                put("a"),
                Call("find_organization", {"id": "org_1"}),
            ]
        )
    )

    ((number,),), nothing, (found,) = written.rows
    assert nothing == []
    assert found == (number, "org_1", "Acme", 1, 7)
    assert written.outcomes == []


async def test_a_write_without_content_is_committed(store):
    """A write that asks for nothing succeeds and returns nothing."""
    assert await store.commit(Write()) == Written([], [])


async def test_a_failing_call_leaves_nothing_of_its_write(engine, store, acme, read):
    """When one call of a write fails, its other calls and its traces are not there either."""
    await store.commit(Write(calls=[put("taken")]))

    with pytest.raises(engine.violation):
        await store.commit(acme.write(acme.trace("t1"), calls=[put("a"), put("taken"), put("b")]))

    assert await names(read) == ["taken"]
    assert await read("select count(*) from traces") == [(0,)]
    assert await read("select count(*) from batches") == [(0,)]


async def test_a_failing_trace_leaves_nothing_of_its_write(engine, acme, read):
    """When a trace cannot be stored, the calls and the other traces of its write are not there either."""
    await acme.add_destination()
    broken = replace(acme.trace("t2"), status=None)

    with pytest.raises(engine.violation):
        await acme.store.commit(acme.write(acme.trace("t1"), broken, calls=[put("a")]))

    assert await names(read) == []
    assert await read("select count(*) from traces") == [(0,)]
    assert await read("select count(*) from outbox") == [(0,)]


async def test_waiting_writes_share_a_transaction(acme, commit_together, read):
    """Many writes that wait together are committed in a few transactions, not one each."""
    written = await commit_together([acme.write(acme.trace(f"t{number}")) for number in range(40)])

    assert [result.outcomes for result in written] == [[TraceOutcome.STORED]] * 40
    assert await read("select count(*) from traces") == [(40,)]
    ((batches,),) = await read("select count(*) from batches")
    assert batches <= 2


async def test_a_commit_makes_one_batch_for_each_organization(acme, globex, commit_together, read):
    """Traces of two organizations that wait together never share a batch, and each organization gets one a commit."""
    writes = [tenant.write(tenant.trace(f"{tenant.id} {number}")) for number in range(20) for tenant in (acme, globex)]

    await commit_together(writes)

    batches = await read("select organization, count(*), sum(trace_count) from batches group by 1 order by 1")
    assert [(organization, traces) for organization, _, traces in batches] == [(acme.number, 20), (globex.number, 20)]
    assert all(count <= 2 for _, count, _ in batches)
    assert await read(
        "select count(*) from traces t join batches b on b.id = t.batch where b.organization <> t.organization"
    ) == [(0,)]


@pytest.mark.parametrize("guilty_at", [0, 2, 4])
async def test_a_guilty_write_fails_alone(engine, acme, commit_together, read, guilty_at):
    """Of the writes that wait together only the one that cannot be committed fails, and nothing of it stays."""
    await acme.store.commit(Write(calls=[put("taken")]))
    writes = [acme.write(acme.trace(f"t{number}"), calls=[put(f"n{number}")]) for number in range(5)]
    writes[guilty_at] = acme.write(acme.trace("guilty"), calls=[put("guilty"), put("taken")])

    results = await commit_together(writes)

    assert isinstance(results.pop(guilty_at), engine.violation)
    assert [result.outcomes for result in results] == [[TraceOutcome.STORED]] * 4
    innocent = [number for number in range(5) if number != guilty_at]
    assert await names(read) == [f"n{number}" for number in innocent] + ["taken"]
    assert await read("select trace_id from traces order by trace_id") == [(f"t{number}",) for number in innocent]
    assert await read("select sum(trace_count) from batches") == [(4,)]


async def test_a_write_that_no_database_takes_fails_alone(store, commit_together, read):
    """A parameter beyond what a column holds fails its own write, and writing goes on."""
    beyond = Write(calls=[Call("insert_organization", {"id": "org", "name": "n", "now_us": 1 << 80})])

    first, guilty, last = await commit_together([Write(calls=[put("a")]), beyond, Write(calls=[put("b")])])

    assert isinstance(first, Written)
    assert isinstance(guilty, Exception)
    assert isinstance(last, Written)
    await store.commit(Write(calls=[put("c")]))
    assert await names(read) == ["a", "b", "c"]


async def test_a_check_that_holds_lets_the_write_happen(store, acme, read):
    """A check compares the first row, or the absence of rows, with what was expected."""
    seen = Check("find_organization", {"id": acme.id}, (acme.number, acme.id, "Org_Acme", 1, 1))

    await store.commit(Write(checks=[absent("a"), seen], calls=[put("a")]))

    assert await names(read) == ["a"]


@pytest.mark.parametrize("expected", [None, (2,), ()])
async def test_a_stale_check_leaves_nothing_of_its_write(acme, read, expected):
    """When a check does not hold, nothing of its write happens, and its traces may come again."""
    await acme.issue_key("key_1", b"hash")
    holds = Check("key_standing", {"api_key": "key_1"}, (None,))
    stale = Check("key_standing", {"api_key": "key_1"}, expected)
    trace = acme.trace("t1")
    write = Write(checks=[holds, stale], calls=[put("a")], traces=acme.write(trace).traces)

    with pytest.raises(StaleError):
        await acme.store.commit(write)

    assert await names(read) == []
    assert await read("select count(*) from traces") == [(0,)]
    assert await acme.ingest(trace) == [TraceOutcome.STORED]


async def test_a_stale_write_does_not_fail_its_neighbours(store, commit_together, read):
    """Writes that wait beside one whose check does not hold are committed."""
    await store.commit(Write(calls=[put("a")]))
    stale = Write(checks=[absent("a")], calls=[put("z")])
    fresh = [Write(calls=[put(f"n{number}")]) for number in range(4)]

    results = await commit_together([*fresh[:2], stale, *fresh[2:]])

    assert isinstance(results.pop(2), StaleError)
    assert results == [Written([[]], [])] * 4
    assert await names(read) == ["a", "n0", "n1", "n2", "n3"]


async def test_checks_see_what_waiting_neighbours_wrote(commit_together, read):
    """Of writes decided on the same fact, which each of them changes, exactly one is committed."""
    results = await commit_together([Write(checks=[absent("a")], calls=[put("a")]) for _ in range(12)])

    assert sum(isinstance(result, Written) for result in results) == 1
    assert sum(isinstance(result, StaleError) for result in results) == 11
    assert await names(read) == ["a"]


async def test_every_reader_sees_a_commit_that_returned(store):
    """What a commit wrote is there for whoever reads after it returned, whichever connection reads."""
    for number in range(10):
        await store.commit(Write(calls=[put(f"n{number}")]))

        seen = await asyncio.gather(*(store.rows("find_secret", {"name": f"n{number}"}) for _ in range(8)))

        assert seen == [[(b"sealed",)]] * 8


async def test_a_reader_does_not_see_what_is_not_committed(engine, tmp_path, store):
    """While a write waits for its commit, reads answer, and without it."""
    async with engine.hold_writes(tmp_path):
        waiting = asyncio.create_task(store.commit(Write(calls=[put("a")])))
        await asyncio.sleep(0)  # the task runs until its write waits
        before = await store.rows("find_secret", {"name": "a"})
    await waiting

    assert before == []
    assert await store.rows("find_secret", {"name": "a"}) == [(b"sealed",)]


async def test_a_commit_stands_when_nobody_waits_for_it(engine, tmp_path, store, read):
    """A request that is cancelled while its write waits does not disturb the others, and the write stands."""
    async with engine.hold_writes(tmp_path):
        tasks = [asyncio.create_task(store.commit(Write(calls=[put(name)]))) for name in "abc"]
        await asyncio.sleep(0)  # each task runs until its write waits
        tasks[1].cancel()
    async with asyncio.timeout(60):
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in results] == [Written, asyncio.CancelledError, Written]
    assert await names(read) == ["a", "b", "c"]


async def test_closing_commits_what_waits(engine, tmp_path, clock, read):
    """A store that is told to close first commits every write that waits, and answers it."""
    store = await engine.create(tmp_path, clock)
    async with engine.hold_writes(tmp_path):
        tasks = [asyncio.create_task(store.commit(Write(calls=[put(f"n{number}")]))) for number in range(5)]
        await asyncio.sleep(0)  # each task runs until its write waits
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)  # closing has begun
    await closing

    assert await asyncio.gather(*tasks) == [Written([[]], [])] * 5
    assert await names(read) == [f"n{number}" for number in range(5)]


async def test_a_closed_store_refuses_writes(opened, read):
    """A write that comes after the end is told to try again elsewhere, and is not written."""
    async with opened() as store:
        pass

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(store.commit(Write(calls=[put("late")])), 60)

    assert await names(read) == []


async def test_what_is_committed_is_there_after_opening_again(opened):
    """A commit survives the store that made it."""
    async with opened() as store:
        await store.commit(Write(calls=[put("a")]))

    async with opened() as store:
        assert await store.rows("find_secret", {"name": "a"}) == [(b"sealed",)]
