# ruff: noqa: S608 - the statements are made of this file's own words
"""What is committed becomes evidence in the same transaction, and stays: batches, entries, heads, and their guards."""

import asyncio
import json
from hashlib import sha256

import pytest

from clocks import SettableClock
from execlave_server.audit.chain import Entry, Event, Head, verify_chain
from execlave_server.audit.events import Kind, SignIn
from execlave_server.audit.merkle import root, split_hashes
from execlave_server.store.chains import head_from
from execlave_server.store.postgres import PostgresStore
from execlave_server.store.protocol import Call, ChangeEvent, Check, Durability, NewEvent, StaleError, Write
from postgres_server import read_rows

BATCHES = """
    select id, organization, trace_count, decision_count, leaves, audit_seq, audit_hash from batches order by id
"""
GUARDED = "stays|never|kept|deleted|grows|chain"


def signed_in(tenant, person="p1"):
    """An event, the simplest there is."""
    details = SignIn(method="password", person=person, succeeded=True)
    return NewEvent(tenant.number, Event(Kind.PERSON_SIGNED_IN, 7, f"person:{person}", f"person:{person}", details))


async def chain_of(tenant):
    """An organization's entries, which are one unbroken chain that ends where its head is."""
    wanted = {"organization": tenant.number, "after": 0, "limit": 10_000}
    entries = await tenant.store.find(Entry, "audit_entries", wanted)
    assert list(verify_chain(entries, Head(tenant.id))) == []
    ((_, *stored),) = await tenant.store.rows("audit_head", {"organization": tenant.number})
    head = Head(tenant.id)
    for entry in entries:
        head = head.after(entry.hash)
    assert head_from((tenant.id, *stored)) == head
    return entries


def kinds(entries):
    """What the entries are about."""
    return [entry.kind for entry in entries]


async def test_each_batch_is_one_entry_with_its_root(acme, read):
    """Each batch has one entry, which holds the root over its leaves, and names it; the entries chain."""
    await acme.ingest(*(acme.trace(f"t{number}") for number in range(1_500)))
    await acme.ingest(acme.trace("t1"))
    await acme.ingest(acme.trace("last"))

    entries = await chain_of(acme)
    batches = await read(BATCHES)
    assert [json.loads(entry.details)["traces"] for entry in entries] == [1_000, 500, 1]
    for entry, (batch, _, traces, decisions, leaves, seq, hash_) in zip(entries, batches, strict=True):
        hashes = split_hashes(leaves)
        assert (seq, hash_) == (entry.seq, entry.hash)
        assert len(hashes) == traces + decisions
        assert json.loads(entry.details) == {
            "batch": batch,
            "decisions": 0,
            "leaves": traces,
            "root": root(hashes).hex(),
            "traces": traces,
        }


async def test_a_new_organization_has_an_empty_chain(acme):
    """The head of a chain is there before anything happens."""
    assert await acme.store.rows("audit_head", {"organization": acme.number}) == [(acme.id, 0, bytes(32), b"")]
    assert await chain_of(acme) == []


async def test_two_organizations_in_one_commit_have_a_chain_each(acme, globex, commit_together):
    """What waits together is chained apart: no entry of one organization follows one of another."""
    writes = [tenant.write(tenant.trace(f"{tenant.id} {number}")) for number in range(10) for tenant in (acme, globex)]

    await commit_together([*writes, Write(events=[signed_in(globex), signed_in(acme)])])

    for tenant in (acme, globex):
        entries = await chain_of(tenant)
        assert sum(json.loads(entry.details).get("traces", 0) for entry in entries) == 10
        assert kinds(entries).count(Kind.PERSON_SIGNED_IN) == 1


async def test_decisions_alone_are_a_batch_that_is_not_exported(acme, read):
    """Decisions without traces make a batch with their leaves, and no outbox row."""
    await acme.add_destination()

    await acme.store.commit(Write(decision=acme.decision("dec_1", "allowed")))

    ((batch, _, traces, decisions, leaves, _, _),) = await read(BATCHES)
    assert (traces, decisions, leaves) == (0, 1, sha256(b"dec_1").digest())
    assert await read("select id, batch, position from decisions") == [("dec_1", batch, 0)]
    assert await read("select count(*) from outbox") == [(0,)]


async def test_decisions_are_the_last_leaves_of_their_batch(acme, commit_together, read):
    """Traces and decisions of one commit share a batch: the traces' leaves in order, then the decisions'."""
    traces = [acme.trace(f"t{number}") for number in range(3)]
    writes = [Write(decision=acme.decision(f"dec_{number}")) for number in range(3)]

    await acme.store.commit(Write(traces=acme.write(*traces).traces, decision=acme.decision("dec_with")))
    await commit_together(writes)

    batches = await read(BATCHES)
    assert batches[0][4] == b"".join(trace.leaf for trace in traces) + sha256(b"dec_with").digest()
    assert sum(batch[3] for batch in batches) == 4
    stored = await read("select id, batch, position from decisions order by batch, position")
    for batch, *_, leaves, _, _ in batches:
        placed = [sha256(name.encode()).digest() for name, of, _ in stored if of == batch]
        assert split_hashes(leaves)[-len(placed) :] == placed


@pytest.mark.parametrize(
    ("outcome", "policies", "recorded"),
    [("allowed", "[]", False), ("blocked", "[]", True), ("allowed", '[{"policy":"pol_1"}]', True)],
)
async def test_a_decision_that_is_no_plain_allow_is_an_entry_of_its_own(acme, outcome, policies, recorded):
    """Where a policy had a say, or the action may not run, the chain names the decision and its leaf."""
    decision = acme.decision("dec_1", outcome, policies=policies, agent="a-uuid")

    await acme.store.commit(Write(decision=decision))

    first, *others = await chain_of(acme)
    assert first.kind == Kind.BATCH_ROOT
    expected = {"agent": "a-uuid", "decision": "dec_1", "leaf": decision.leaf.hex(), "outcome": outcome}
    told = [(entry.kind, entry.actor, entry.subject, json.loads(entry.details)) for entry in others]
    assert told == [(Kind.DECISION_RECORDED, "key:key_1", "decision:dec_1", expected)] * recorded


async def test_events_follow_the_roots_of_their_commit(acme):
    """In one commit the batches are recorded first, then what people did, in the order it came."""
    write = Write(
        traces=acme.write(acme.trace("t1")).traces,
        decision=acme.decision("dec_1"),
        events=[signed_in(acme, "p1"), signed_in(acme, "p2")],
    )

    await acme.store.commit(write)

    entries = await chain_of(acme)
    assert kinds(entries) == [Kind.BATCH_ROOT, Kind.DECISION_RECORDED, Kind.PERSON_SIGNED_IN, Kind.PERSON_SIGNED_IN]
    assert [entry.subject for entry in entries[2:]] == ["person:p1", "person:p2"]


async def test_a_change_leaves_its_event_only_where_it_happened(acme):
    """An event made of what a call returned is recorded when the call changed something, and not otherwise."""
    await acme.issue_key("key_1", b"hash")
    revoke = Call("revoke_api_key", {"organization": acme.number, "id": "key_1", "now_us": 9})

    def revoked(row):
        return signed_in(acme, str(row[0])).event

    for _ in range(2):
        await acme.store.commit(Write(calls=[revoke], events=[ChangeEvent(acme.number, 0, revoked)]))

    assert [entry.subject for entry in await chain_of(acme)] == ["person:key_1"]


async def test_a_write_that_fails_leaves_no_entry(engine, acme):
    """Nothing of a stale or failing write is in the chain, and the next entry follows the last one committed."""
    put = Call("insert_secret", {"name": "taken", "sealed": b"sealed"})
    await acme.store.commit(Write(calls=[put], events=[signed_in(acme)]))

    with pytest.raises(engine.violation):
        await acme.store.commit(Write(calls=[put], events=[signed_in(acme)]))
    stale = Check("find_secret", {"name": "taken"}, None)
    with pytest.raises(StaleError):
        await acme.store.commit(Write(checks=[stale], decision=acme.decision("dec_1"), events=[signed_in(acme)]))
    await acme.store.commit(Write(events=[signed_in(acme)]))

    assert [entry.seq for entry in await chain_of(acme)] == [1, 2]


async def test_charges_hold_all_or_none(acme, read):
    """Where one charge of a write finds nothing to take, those before it are not taken either, nor anything else."""
    await acme.issue_key("key_1", b"hash 1")
    await acme.issue_key("key_2", b"hash 2")

    def revoke(key):
        return Call("revoke_api_key", {"organization": acme.number, "id": key, "now_us": 9})

    write = Write(charges=[revoke("key_1"), revoke("key_3")], decision=acme.decision("dec_1"), events=[signed_in(acme)])
    with pytest.raises(StaleError):
        await acme.store.commit(write)
    assert await read("select count(*) from api_keys where revoked_at_us is not null") == [(0,)]
    assert await chain_of(acme) == []

    await acme.store.commit(Write(charges=[revoke("key_1"), revoke("key_2")], events=[signed_in(acme)]))
    assert await read("select count(*) from api_keys where revoked_at_us is not null") == [(2,)]
    assert len(await chain_of(acme)) == 1


async def test_failed_charges_do_not_disturb_their_neighbours(acme, commit_together, read):
    """Of the writes that wait together, one whose charge fails takes nothing with it."""
    await acme.issue_key("key_1", b"hash 1")
    revoke = Call("revoke_api_key", {"organization": acme.number, "id": "key_1", "now_us": 9})

    results = await commit_together([Write(charges=[revoke], events=[signed_in(acme, f"p{n}")]) for n in range(5)])

    assert sum(isinstance(result, StaleError) for result in results) == 4
    assert len(await chain_of(acme)) == 1
    assert await read("select count(*) from api_keys where revoked_at_us is not null") == [(1,)]


TRACE_COLUMNS = (
    "trace_key = 1, span_key = 1, organization = 9, batch = 9, status = 1, span_type = 9, agent = 9, environment = 9, "
    "occurred_at_ms = 1, trace_id = 'x', span_id = 'x', log = item, item = log, salt = null, erased = '{}'"
)
DECISION_COLUMNS = (
    "id = 'x', organization = 9, api_key = 'x', agent = 'x', agent_reference = 'x', environment = 'x', outcome = 'x', "
    "violations = 'x', policies = 'x', approval = 'x', client = 'x', action_digest = 'x', trace_id = 'x', "
    "decided_at_us = 9, latency_us = 9, salt = null, batch = 9, position = 9, erased = '{}'"
)
BATCH_COLUMNS = (
    "organization = 9, first_trace = 9, last_trace = 9, trace_count = 9, decision_count = 9, log_bytes = 9, "
    "leaves = null, audit_seq = 9, audit_hash = leaves, received_at_us = 9"
)
ENTRY_COLUMNS = (
    "organization = 9, seq = 9, kind = 'x', at_us = 9, actor = 'x', subject = 'x', details = 'x', previous = hash, "
    "history = hash, hash = previous"
)
COLUMNS = {
    "traces": TRACE_COLUMNS,
    "decisions": DECISION_COLUMNS,
    "batches": BATCH_COLUMNS,
    "audit_entries": ENTRY_COLUMNS,
    "audit_heads": "seq = seq - 1, hash = frontier",
}


@pytest.mark.parametrize("table", COLUMNS)
async def test_what_was_recorded_cannot_be_changed_by_mistake(acme, run, read, table):
    """UPDATE and DELETE of traces, decisions, batches, entries and heads are refused, column by column."""
    write = Write(traces=acme.write(acme.trace("t1")).traces, decision=acme.decision("dec_1"))
    await acme.store.commit(write)
    before = await read(f"select * from {table}")

    for change in COLUMNS[table].split(", "):
        with pytest.raises(Exception, match=GUARDED):
            await run(f"update {table} set {change}")
    with pytest.raises(Exception, match=GUARDED):
        await run(f"delete from {table}")

    assert await read(f"select * from {table}") == before


async def test_a_sweep_deletes_only_its_own_range(acme, run, read):
    """While a sweep's range is open its batches may go; what lies beyond stays, and so do other organizations'."""
    for number in range(3):
        await acme.store.commit(
            Write(traces=acme.write(acme.trace(f"t{number}")).traces, decision=acme.decision(f"dec_{number}"))
        )
    (first,), (second,), (third,) = await read("select id from batches order by id")
    opened = f"insert into audit_sweeping values ({acme.number}, {first}, {second}, 0)"

    for table, column in (("traces", "batch"), ("decisions", "batch"), ("batches", "id")):
        with pytest.raises(Exception, match=GUARDED):
            await run(opened, f"delete from {table} where {column} = {third}", "delete from audit_sweeping")
        other = f"insert into audit_sweeping values ({acme.number + 1}, {first}, {third}, 0)"
        with pytest.raises(Exception, match=GUARDED):
            await run(other, f"delete from {table} where {column} = {first}", "delete from audit_sweeping")
    deletes = [f"delete from {table} where batch <= {second}" for table in ("traces", "decisions")]
    await run(opened, *deletes, f"delete from batches where id <= {second}", "delete from audit_sweeping")

    assert await read("select id from batches") == [(third,)]
    assert await read("select trace_id from traces") == [("t2",)]
    with pytest.raises(Exception, match=GUARDED):
        await run("delete from traces")


async def test_a_sweep_that_leaves_its_range_open_is_not_committed(engine, acme, run, read):
    """A transaction that forgets to close the range it may delete fails as a whole."""
    await acme.ingest(acme.trace("t1"))

    with pytest.raises(engine.violation):
        await run(f"insert into audit_sweeping values ({acme.number}, 1, 9, 0)", "delete from traces")

    assert await read("select count(*) from traces") == [(1,)]
    assert await read("select count(*) from audit_sweeping") == [(0,)]


async def test_content_is_erased_once_and_nothing_else(acme, run, read):
    """Content and salt may go, once, and only where the record is left in their place."""
    await acme.store.commit(Write(traces=acme.write(acme.trace("t1")).traces, decision=acme.decision("dec_1")))

    for table in ("traces", "decisions"):
        with pytest.raises(Exception, match=GUARDED):
            await run(f"update {table} set salt = null, erased = 'r', trace_id = 'another'")
        await run(f"update {table} set salt = null, erased = 'r'")
        with pytest.raises(Exception, match=GUARDED):
            await run(f"update {table} set erased = 'again'")

    assert await read("select salt, erased from traces") == [(None, "r")]


@pytest.mark.parametrize("table", ["traces", "decisions", "batches", "audit_entries"])
async def test_no_table_of_evidence_is_truncated(engine, acme, run, table):
    """PostgreSQL's TRUNCATE, which no row's trigger sees, is refused too."""
    if engine.name != "postgres":
        pytest.skip("SQLite has no TRUNCATE")
    await acme.ingest(acme.trace("t1"))

    with pytest.raises(Exception, match=GUARDED):
        await run(f"truncate {table} cascade")


async def test_several_nodes_at_once_keep_one_unbroken_chain(postgres, tmp_path, new_tenant):
    """Servers that commit to the same organizations at the same time extend one chain each, and none waits for ever."""
    address = postgres.database_of(tmp_path)
    stores = [await PostgresStore.open(address, SettableClock(), durability=Durability.FULL) for _ in range(4)]
    tenants = [await new_tenant(stores[0], name) for name in ("org_acme", "org_globex", "org_initech")]

    async def commit(store, node, number):
        write = Write(
            traces=tenants[(node + number) % 3].write(tenants[(node + number) % 3].trace(f"t{node} {number}")).traces
            if number % 2
            else None,
            decision=tenants[number % 3].decision(f"dec_{node}_{number}"),
            events=[signed_in(tenant) for tenant in (tenants if node % 2 else tenants[::-1])],
        )
        await store.commit(write)

    try:
        async with asyncio.timeout(60):
            await asyncio.gather(
                *(commit(store, node, number) for node, store in enumerate(stores) for number in range(60))
            )

        for tenant in tenants:
            entries = await chain_of(tenant)
            assert kinds(entries).count(Kind.PERSON_SIGNED_IN) == 240
            roots = [json.loads(entry.details) for entry in entries if entry.kind == Kind.BATCH_ROOT]
            assert [each["batch"] for each in roots] == sorted(each["batch"] for each in roots)
            assert sum(each["decisions"] for each in roots) == 80
        counted = "select deadlocks from pg_stat_database where datname = current_database()"
        assert await read_rows(address, counted) == [(0,)]
    finally:
        for store in stores:
            await store.close()
        postgres.drop_database_of(tmp_path)
