"""(organization, trace id, span id) is stored once: the same again is a duplicate, anything else a conflict."""

import pytest
from msgspec.structs import replace

from execlave_server.model.traces import TraceOutcome
from execlave_server.store.protocol import Call, Traces, Write

STORED, DUPLICATE, CONFLICT = TraceOutcome.STORED, TraceOutcome.DUPLICATE, TraceOutcome.CONFLICT

ITEM = b'{"traceId":"t1","status":"success","metadata":{"spanId":"sp_1","deep":[{"a":1,"b":2}]}}'
REORDERED = b'{ "status": "success", "metadata": {"deep": [{"b": 2, "a": 1}], "spanId": "sp_1"}, "traceId": "t1" }'
OTHER = b'{"traceId":"t1","status":"success","metadata":{"spanId":"sp_1","deep":[{"a":1,"b":3}]}}'
LONG = b'{"traceId":"t1","input":"%b","status":"success"}' % (b"long " * 1_000)
LONG_REORDERED = b'{"status":"success","traceId":"t1","input":"%b"}' % (b"long " * 1_000)
LONG_OTHER = b'{"traceId":"t1","input":"%b","status":"timeout"}' % (b"long " * 1_000)
AGAIN = [
    pytest.param((ITEM, ITEM, DUPLICATE), id="the same bytes"),
    pytest.param((ITEM, REORDERED, DUPLICATE), id="its keys in another order"),
    pytest.param((ITEM, OTHER, CONFLICT), id="other content"),
    pytest.param((LONG, LONG, DUPLICATE), id="the same long bytes"),
    pytest.param((LONG, LONG_REORDERED, DUPLICATE), id="long, its keys in another order"),
    pytest.param((LONG, LONG_OTHER, CONFLICT), id="long, other content"),
    pytest.param((ITEM, b"{" + b" " * 3_000 + ITEM[1:], DUPLICATE), id="stretched until it is compressed"),
]


async def stored_items(read) -> int:
    """How many traces are stored."""
    ((count,),) = await read("select count(*) from traces")
    return count


@pytest.mark.parametrize("again", AGAIN)
async def test_again_in_one_write(acme, read, again):
    """Of two items with one key in a write the first is stored."""
    first, second, outcome = again
    assert await acme.ingest(acme.trace("t1", item=first), acme.trace("t1", item=second)) == [STORED, outcome]
    assert await stored_items(read) == 1


@pytest.mark.parametrize("again", AGAIN)
async def test_again_in_another_commit(acme, read, again):
    """An item whose key is committed already is compared with what is stored."""
    first, second, outcome = again
    await acme.ingest(acme.trace("t1", item=first))

    assert await acme.ingest(acme.trace("t1", item=second)) == [outcome]
    assert await stored_items(read) == 1


@pytest.mark.parametrize("again", AGAIN)
async def test_again_after_opening_again(opened, new_tenant, read, again):
    """A store that was opened again knows what was committed before."""
    first, second, outcome = again
    async with opened() as store:
        acme = await new_tenant(store, "org_acme")
        await acme.ingest(acme.trace("t1", item=first))

    async with opened() as store:
        written = await store.commit(Write(traces=Traces(acme.number, [acme.trace("t1", item=second)])))

    assert written.outcomes == [outcome]
    assert await stored_items(read) == 1


@pytest.mark.parametrize("again", AGAIN)
async def test_again_in_writes_that_wait_together(acme, commit_together, read, again):
    """Of several writes with one key that wait together the first is stored, wherever the commits are split."""
    first, second, outcome = again
    writes = [acme.write(acme.trace("t1", item=first)), *(acme.write(acme.trace("t1", item=second)) for _ in range(4))]

    results = await commit_together(writes)

    assert [result.outcomes for result in results] == [[STORED]] + [[outcome]] * 4
    assert await stored_items(read) == 1


async def test_a_stored_trace_never_changes(acme, read):
    """A conflict leaves what is stored as it was."""
    await acme.ingest(acme.trace("t1", item=ITEM, log=b"first"))

    await acme.ingest(acme.trace("t1", item=OTHER, log=b"second"))

    assert await read("select log, item from traces") == [(b"first", ITEM)]


async def test_spans_of_one_trace_are_all_kept(acme, read):
    """Nested spans share a trace id; each span id is a trace of its own."""
    assert await acme.ingest(*(acme.trace("t1", f"sp_{number}") for number in range(5))) == [STORED] * 5
    assert await acme.ingest(acme.trace("t1", "sp_3"), acme.trace("t2", "sp_3")) == [DUPLICATE, STORED]
    assert await stored_items(read) == 6


async def test_organizations_do_not_collide(acme, globex, commit_together, read):
    """Two organizations may use the same trace and span id, in one commit and across commits."""
    both = [tenant.write(tenant.trace("t1", item=item)) for tenant, item in ((acme, ITEM), (globex, OTHER))]

    results = await commit_together(both)

    assert [result.outcomes for result in results] == [[STORED], [STORED]]
    assert await acme.ingest(acme.trace("t1", item=ITEM)) == [DUPLICATE]
    assert await globex.ingest(globex.trace("t1", item=OTHER)) == [DUPLICATE]
    assert await globex.ingest(globex.trace("t1", item=ITEM)) == [CONFLICT]
    assert await stored_items(read) == 2


async def test_a_failed_group_leaves_no_memory(engine, acme, commit_together, read):
    """Traces of writes whose common commit failed are stored by their second try, and can come again as duplicates."""
    await acme.store.commit(Write(calls=[Call("insert_secret", {"name": "taken", "sealed": b""})]))
    guilty = acme.write(acme.trace("guilty"), calls=[Call("insert_secret", {"name": "taken", "sealed": b""})])
    writes = [acme.write(acme.trace(f"t{number}")) for number in range(4)]

    results = await commit_together([*writes[:2], guilty, *writes[2:]])

    assert isinstance(results.pop(2), engine.violation)
    assert [result.outcomes for result in results] == [[STORED]] * 4
    assert await acme.ingest(acme.trace("guilty")) == [STORED]
    assert await acme.ingest(*(acme.trace(f"t{number}") for number in range(4))) == [DUPLICATE] * 4
    assert await stored_items(read) == 5


async def test_a_failed_group_leaves_no_labels(engine, acme, commit_together, read):
    """A text first seen in a commit that failed is stored properly by the next one."""
    taken = Call("insert_secret", {"name": "taken", "sealed": b""})
    await acme.store.commit(Write(calls=[taken]))
    named = replace(acme.trace("t1"), agent="first seen in a failure")

    results = await commit_together([acme.write(named, calls=[taken]) for _ in range(2)])
    await acme.ingest(replace(acme.trace("t2"), agent="first seen in a failure"))

    assert [isinstance(result, engine.violation) for result in results] == [True, True]
    assert await read("""
        select t.trace_id, l.value from traces t join labels l on l.number = t.agent and l.kind = 'agent'
    """) == [("t2", "first seen in a failure")]


async def test_a_retry_is_recognised_among_many(opened, new_tenant, read):
    """The first of 33,000 traces is known when it comes again, before and after opening again."""
    async with opened() as store:
        acme = await new_tenant(store, "org_acme")
        for start in range(0, 33_000, 1_000):
            await acme.ingest(*(acme.trace(f"t{number}") for number in range(start, start + 1_000)))
        before = await acme.ingest(acme.trace("t0"), acme.trace("t32999"))

    async with opened() as store:
        again = [acme.trace(f"t{number}") for number in (0, 9_999, 16_383, 16_384, 32_999, 33_000)]
        written = await store.commit(Write(traces=Traces(acme.number, again)))

    assert before == [DUPLICATE] * 2
    assert written.outcomes == [DUPLICATE] * 5 + [STORED]
    assert await stored_items(read) == 33_001


@pytest.mark.parametrize("together", [True, False], ids=["in one commit", "across commits"])
async def test_hashes_that_collide_are_told_apart_by_their_texts(acme, globex, commit_together, read, together):
    """Where two traces have equal short keys but not equal ids, the second is refused, never taken for the first."""
    first = acme.trace("t1", item=ITEM)
    keys = {"trace_key": first.trace_key, "span_key": first.span_key}
    colliding = [
        acme.write(replace(acme.trace("t2", item=ITEM), **keys)),
        acme.write(replace(acme.trace("t1", "sp_2", item=ITEM), **keys)),
        globex.write(replace(globex.trace("t1", item=ITEM), **keys)),
    ]

    if together:
        results = await commit_together([Write(traces=Traces(acme.number, [first])), *colliding])
        outcomes = [result.outcomes for result in results[1:]]
    else:
        await acme.ingest(first)
        outcomes = [(await acme.store.commit(write)).outcomes for write in colliding]

    assert outcomes == [[CONFLICT]] * 3
    assert await stored_items(read) == 1
