# ruff: noqa: S608 - the statements are made of this file's own words
"""What a sweep removed is told from what is missing."""

from evidence_rig import OURS, ROWS, column_names

from execlave_server.actions.record_sweep import record_sweep
from execlave_server.audit.findings import Code
from execlave_server.store.protocol import Write


async def sweep(filled, batch):
    """Remove a batch as retention does: its entry, and then everything of it."""
    number = filled.organization.number
    record = await record_sweep(filled.services.store, number, [batch], older_than_us=5, now_us=6)
    await filled.services.store.commit(Write(calls=[*record.opening, *record.closing], events=record.events))
    await filled.run(
        f"insert into audit_sweeping values ({number}, {batch}, {batch}, 0)",
        *(f"delete from {table} where batch = {batch}" for table in ("traces", "decisions")),
        f"delete from batches where id = {batch}",
        "delete from audit_sweeping",
    )


async def test_swept_is_not_missing(filled, run, read):
    """Batches that went with a sweep on record are swept by that entry; one more that went is missing."""
    first, second, more, *_ = [batch for (batch,) in await read(f"select id from batches where {OURS} order by id")]
    await sweep(filled, first)
    await sweep(filled, second)

    verified = await filled.verify()

    assert verified.findings == []
    told = [(each.first, each.last, each.batches, each.entry) for each in verified.summary.swept]
    assert told == [(first, first, 1, 11), (second, second, 1, 12)]
    await run(
        *(f"delete from {table} where batch = {more}" for table in ("traces", "decisions")),
        f"delete from batches where id = {more}",
        triggers=False,
    )
    assert await filled.codes() == {Code.BATCH_MISSING}


async def test_ids_that_are_used_again_after_a_sweep_are_no_finding(filled, read):
    """Where the newest traces were swept, the next ones may get their ids: each batch still has its own rows."""
    await filled.ingest("t9")
    [(newest,)] = await read(f"select max(id) from batches where {OURS}")
    await sweep(filled, newest)

    await filled.ingest("t10")
    await filled.ingest("t11")

    verified = await filled.verify()
    assert verified.findings == []
    assert [(each.first, each.last) for each in verified.summary.swept] == [(newest, newest)]
    assert await read(f"select count(*) from batches where {OURS} and id <= {newest}") == [(5,)]


async def test_a_sweep_that_leaves_rows_behind_is_found(filled):
    """A batch whose sweep is on record and that is still there is one that remains."""
    number = filled.organization.number
    [(batch,)] = await filled.services.store.rows("newest_batch")
    record = await record_sweep(filled.services.store, number, [batch], older_than_us=5, now_us=6)

    await filled.services.store.commit(Write(calls=[*record.opening, *record.closing], events=record.events))

    assert await filled.codes() == {Code.BATCH_REMAINS}


async def test_what_lies_between_swept_batches_is_in_no_range(filled, read):
    """Batches that stay divide a sweep into ranges, each with the batches that were in the chain."""
    batches = [batch for (batch,) in await read(f"select id from batches where {OURS} order by id")]
    number = filled.organization.number

    record = await record_sweep(filled.services.store, number, [*batches[:2], *batches[3:]], older_than_us=5, now_us=6)
    nothing = await record_sweep(filled.services.store, number, [], older_than_us=5, now_us=6)

    ranges = record.events[0].event.details.ranges
    assert [(each.first, each.last, each.batches) for each in ranges] == [
        (batches[0], batches[1], 2),
        (batches[3], batches[4], 2),
    ]
    opened = [(call.parameters["first_batch"], call.parameters["last_batch"]) for call in record.opening]
    assert opened == [(each.first, each.last) for each in ranges]
    assert nothing.events[0].event.details.ranges == ()
    assert [call.parameters["last_batch"] for call in nothing.opening] == [-1]


async def test_decisions_from_before_the_chain_go_with_a_sweep_of_nothing(filled, run, read):
    """Decisions of no batch may be deleted while a sweep of their organization is open, whatever its range."""
    columns = [name for (name,) in await column_names(read, "decisions")]
    old = {"id": "'old'", "batch": "null", "position": "null", "decided_at_us": "1"}
    values = ", ".join(old.get(name, name) for name in columns)
    row = ROWS["decisions"][1]
    await run(f"insert into decisions select {values} from decisions where {row}", triggers=False)
    assert await filled.codes() == set()

    await run(
        f"insert into audit_sweeping values ({filled.organization.number}, 0, -1, 0)",
        "delete from decisions where batch is null",
        "delete from audit_sweeping",
    )

    assert await read("select count(*) from decisions where id = 'old'") == [(0,)]
