"""Traces become batches within the limits, and each batch one outbox row for each destination that collects."""

import pytest
from msgspec.structs import replace

from execlave_server.model.traces import TraceOutcome
from execlave_server.store.protocol import Call, Traces, Write

MISCOUNTED = """
    select b.id from batches b
    where b.trace_count <> (select count(*) from traces t where t.batch = b.id)
      or b.log_bytes <> (select sum(length(t.log)) from traces t where t.batch = b.id)
      or b.first_trace <> (select min(t.id) from traces t where t.batch = b.id)
      or b.last_trace <> (select max(t.id) from traces t where t.batch = b.id)
      or b.trace_count <> b.last_trace - b.first_trace + 1
      or b.organization <> (select min(t.organization) from traces t where t.batch = b.id)
"""
COUNTS = "select trace_count from batches order by id"
OUTBOX = "select destination, batch, log_count, committed_at_us, due_at_us, attempts from outbox order by 1, 2"


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 130])
async def test_every_trace_is_stored_as_it_came(acme, read, count):
    """However many traces a write has, each is stored once, in order, with its own values."""
    traces = [
        replace(
            acme.trace(f"t{number}", f"sp_{number}", log=b'"n":%d' % number),
            status=number % 7,
            agent=f"agent {number % 3}",
            environment=f"environment {number % 2}",
            span_type=f"type {number % 5}",
            occurred_at_ms=number,
        )
        for number in range(count)
    ]

    await acme.ingest(*traces)

    stored = await read("""
        select t.trace_id, t.span_id, t.trace_key, t.span_key, t.status, a.value, e.value, s.value, t.occurred_at_ms,
          t.log, t.item
        from traces t join labels a on a.number = t.agent and a.kind = 'agent'
          join labels e on e.number = t.environment and e.kind = 'environment'
          join labels s on s.number = t.span_type and s.kind = 'span_type'
        order by t.id
    """)
    fields = ("trace_id", "span_id", "trace_key", "span_key", "status", "agent", "environment", "span_type")
    wanted = [
        (*(getattr(trace, name) for name in fields), trace.occurred_at_ms, trace.log, trace.item) for trace in traces
    ]
    assert stored == wanted


async def test_a_repeated_text_is_stored_once_for_each_organization(acme, globex, read):
    """An agent's name is kept once in each organization, however many commits mention it."""
    for number in range(3):
        await acme.ingest(acme.trace(f"t{number}"))
        await globex.ingest(globex.trace(f"t{number}"))

    rows = await read("select organization, kind, value from labels order by 1, 2")
    kinds = [("agent", "support-bot"), ("environment", "production"), ("span_type", "tool")]
    assert rows == [(tenant.number, *kind) for tenant in (acme, globex) for kind in kinds]


async def test_a_batch_holds_at_most_a_thousand_traces(acme, read):
    """A write of more traces than a batch takes becomes several, full ones first."""
    await acme.ingest(*(acme.trace(f"t{number}") for number in range(2_500)))

    assert await read(COUNTS) == [(1_000,), (1_000,), (500,)]
    assert await read(MISCOUNTED) == []


async def test_a_batch_holds_at_most_four_megabytes_of_logs(acme, read):
    """Large logs fill a batch by their bytes; exactly 4 MB still fit."""
    sizes = [1_500_000] * 4 + [2_000_000, 2_000_000, 1] + [4_000_000]

    await acme.ingest(*(acme.trace(f"t{number}", log=b"x" * size) for number, size in enumerate(sizes)))

    assert await read("select trace_count, log_bytes from batches order by id") == [
        (2, 3_000_000),
        (2, 3_000_000),
        (2, 4_000_000),
        (1, 1),
        (1, 4_000_000),
    ]
    assert await read(MISCOUNTED) == []


async def test_a_log_larger_than_a_batch_has_one_of_its_own(acme, read):
    """A log beyond the limit is stored, alone, and not lost."""
    await acme.ingest(acme.trace("before"), acme.trace("huge", log=b"x" * 4_000_001), acme.trace("after", log=b"after"))

    assert await read("select trace_count, log_bytes from batches order by id") == [
        (1, len(b'"message":"m"')),
        (1, 4_000_001),
        (1, len(b"after")),
    ]


async def test_the_limits_hold_for_writes_that_wait_together(acme, globex, commit_together, read):
    """However many writes one commit takes, its batches stay within the limits, and ids run without a gap."""
    writes = [
        tenant.write(*(tenant.trace(f"{tenant.id} {write} {number}") for number in range(170)))
        for write in range(10)
        for tenant in (acme, globex)
    ]

    results = await commit_together(writes)

    assert [result.outcomes for result in results] == [[TraceOutcome.STORED] * 170] * 20
    assert await read(MISCOUNTED) == []
    assert await read(
        "select organization, sum(trace_count), max(trace_count) <= 1000 from batches group by 1 order by 1"
    ) == [
        (acme.number, 1_700, 1),
        (globex.number, 1_700, 1),
    ]
    assert await read("select count(*), max(id) - min(id) + 1 from traces") == [(3_400, 3_400)]


async def test_ids_grow_over_commits_and_openings(opened, new_tenant, read):
    """A later trace always has a greater id, also after the store was closed."""
    async with opened() as store:
        acme = await new_tenant(store, "org_acme")
        await acme.ingest(acme.trace("t1"), acme.trace("t2"))
        await acme.ingest(acme.trace("t3"))
    async with opened() as store:
        await store.commit(Write(traces=Traces(acme.number, [acme.trace("t4")])))

    rows = await read("select id, trace_id from traces order by id")
    assert [trace_id for _, trace_id in rows] == ["t1", "t2", "t3", "t4"]
    assert await read(MISCOUNTED) == []


async def test_a_batch_carries_the_time_of_its_commit(acme, clock, read):
    """The receive time of a batch is the server's clock at the commit, whatever the client's timestamp says."""
    first_us = clock.time_us
    await acme.ingest(acme.trace("t1"))
    clock.advance(us=5)
    await acme.ingest(acme.trace("t2"))

    assert await read("select received_at_us from batches order by id") == [(first_us,), (first_us + 5,)]


async def test_a_write_of_nothing_new_makes_no_batch(acme, read):
    """Duplicates and conflicts alone leave neither batch nor outbox row behind."""
    await acme.add_destination()
    await acme.ingest(acme.trace("t1"))
    before = await read(OUTBOX)

    outcomes = await acme.ingest(acme.trace("t1"), acme.trace("t1", item=b'{"other":1}'))

    assert outcomes == [TraceOutcome.DUPLICATE, TraceOutcome.CONFLICT]
    assert await read(COUNTS) == [(1,)]
    assert await read(OUTBOX) == before
    assert await acme.ingest() == []
    assert await read(COUNTS) == [(1,)]


async def test_only_what_is_new_is_counted(acme, read):
    """Duplicates in a write are neither counted nor sent with those that are stored."""
    await acme.ingest(acme.trace("t1"))

    outcomes = await acme.ingest(acme.trace("t1"), acme.trace("t2"), acme.trace("t2"), acme.trace("t3"))

    stored, duplicate = TraceOutcome.STORED, TraceOutcome.DUPLICATE
    assert outcomes == [duplicate, stored, duplicate, stored]
    assert await read(COUNTS) == [(1,), (2,)]
    assert await read(MISCOUNTED) == []


async def test_each_destination_that_collects_gets_a_row_for_each_batch(acme, globex, clock, read):
    """Enabled and held destinations of the organization queue every batch, due at once; others queue none."""
    numbers = {state: await acme.add_destination(state, state) for state in ("enabled", "draft", "held", "disabled")}
    await globex.add_destination()

    await acme.ingest(*(acme.trace(f"t{number}") for number in range(1_200)))

    batches = await read("select id, trace_count from batches order by id")
    now_us = clock.time_us
    assert await read(OUTBOX) == [
        (numbers[state], batch, count, now_us, now_us, 0) for state in ("enabled", "held") for batch, count in batches
    ]


async def test_a_destination_collects_from_the_commit_that_enables_it(acme, read):
    """Batches of before a destination was enabled are not queued for it; one that is held later goes on collecting."""
    await acme.ingest(acme.trace("before"))
    destination = await acme.add_destination()
    await acme.ingest(acme.trace("t1"))
    hold = {"destination": destination, "seen_at_us": 1, "reason": "key refused", "now_us": 9}
    await acme.store.commit(Write(calls=[Call("hold_destination", hold)]))
    await acme.ingest(acme.trace("t2"))

    queued = await read("""
        select t.trace_id from outbox o join traces t on t.batch = o.batch order by t.id
    """)
    assert queued == [("t1",), ("t2",)]


async def test_traces_and_outbox_rows_stand_or_fall_together(engine, acme, read):
    """A write that fails after its traces were taken leaves no outbox row."""
    await acme.add_destination()
    twice = Call("insert_secret", {"name": "once", "sealed": b""})

    with pytest.raises(engine.violation):
        await acme.store.commit(acme.write(acme.trace("t1"), calls=[twice, twice]))

    assert await read(OUTBOX) == []
    assert await acme.store.rows("count_traces", {"organization": acme.number}) == [(0,)]


async def test_logs_say_where_they_belong(acme, read):
    """Each log of some batches says which of those asked for it is of, and where in that batch it is."""
    for batch in range(3):
        await acme.ingest(*(acme.trace(f"t{batch}{number}", log=b'"n":%d%d' % (batch, number)) for number in range(3)))

    rows = await acme.store.rows("batch_logs", {"batches": "[3,1]"})
    with_ids = await acme.store.rows("batch_logs_with_ids", {"batches": "[2]"})

    assert sorted(row[:2] for row in rows) == [(lease, log) for lease in range(2) for log in range(3)]
    assert [row[3] for row in sorted(rows)] == [b'"n":20', b'"n":21', b'"n":22', b'"n":00', b'"n":01', b'"n":02']
    assert [row[6:] for row in sorted(with_ids)] == [("t10", "sp_1"), ("t11", "sp_1"), ("t12", "sp_1")]
    assert [row[2] for row in with_ids] == [1_765_449_600_000] * 3
    anchors = await read("select audit_seq, audit_hash from batches order by id")
    assert [row[4:6] for row in sorted(rows)] == [anchors[2]] * 3 + [anchors[0]] * 3
    assert [row[4:6] for row in with_ids] == [anchors[1]] * 3


async def test_traces_are_counted_by_organization(acme, globex):
    """The number of committed traces is the organization's own."""
    await acme.ingest(acme.trace("t1"), acme.trace("t2"))
    await globex.ingest(globex.trace("t1"))

    assert await acme.store.rows("count_traces", {"organization": acme.number}) == [(2,)]
    assert await globex.store.rows("count_traces", {"organization": globex.number}) == [(1,)]
