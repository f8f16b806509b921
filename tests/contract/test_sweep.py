"""Retention: what goes, what is left and why, and that the sums and the ids hold."""

import asyncio
import json
from dataclasses import replace

import pytest

from execlave_server.actions.read_deliveries import DeliveryCounts
from execlave_server.actions.sweep import (
    BATCHES_PER_STEP,
    DECISIONS_PER_STEP,
    ROWS_PER_STEP,
    ExpiredBatch,
    Left,
    Sweep,
    Swept,
    Wanted,
    plan_steps,
)
from execlave_server.actions.verify_evidence import Kept, verify_evidence
from execlave_server.audit.findings import Code
from execlave_server.model.traces import TraceOutcome
from execlave_server.store.protocol import Call, Traces, Write, integer

DONE = {"settled": None, "late": 0, "sent_bytes": 9, "latency_us": 1, "answer": None, "status": 202, "now_us": 1}
ROWS_LEFT = """
    select (select count(*) from batches), (select count(*) from traces), (select count(*) from outbox),
      (select count(*) from parked)
"""
LOG = {"position": 0, "reason": "refused", "status": 400, "answer": "", "payload": b"{}", "now_us": 1}


@pytest.fixture
def sweep(store, clock):
    """Sweeps what was received before now."""

    async def run(**options: bool) -> Swept:
        return await Sweep(store, clock, Wanted(clock.now_us(), **options)).run()

    return run


@pytest.fixture
def commit(clock):
    """Commits batches of an organization, a second apart, each with that many traces."""

    async def run(tenant, *counts: int) -> None:
        for count in counts:
            await tenant.ingest(*(tenant.trace(f"{clock.time_us} {number}") for number in range(count)))
            clock.advance(seconds=1)

    return run


@pytest.fixture
def deliver(store):
    """Delivers some batches to a destination; where wanted, the first log of each is parked instead."""

    async def run(destination: int, *batches: int, parked: bool = False) -> None:
        for batch in batches:
            place = {"destination": destination, "batch": batch}
            count = integer((await store.rows("ledger_state", place))[0][1])
            fenced = place | {"fence": 0}
            calls = [Call("mark_done", fenced | DONE | {"accepted": count - parked, "parked": int(parked)})]
            if parked:
                calls.append(Call("park_log", fenced | LOG))
            await store.commit(Write(calls=calls))

    return run


async def counts_of(tenant) -> list[DeliveryCounts]:
    """Where each destination of an organization stands."""
    return await tenant.store.find(DeliveryCounts, "delivery_counts", {"organization": tenant.number})


def assert_sums(counts: list[DeliveryCounts]) -> None:
    """Committed is delivered, waiting and parked, for each destination."""
    assert all(each.committed == each.delivered + each.waiting + each.parked for each in counts)


class TestWhatGoes:
    async def test_a_batch_goes_with_everything_of_its_own(self, acme, commit, deliver, sweep, read):
        """Batch, traces and ledger row of what was delivered are gone; what it was is on record."""
        destination = await acme.add_destination()
        await commit(acme, 2, 3)
        await deliver(destination, 1, 2)
        swept = await sweep()

        assert (swept.batches, swept.traces, swept.left) == (2, 5, {})
        assert await read(ROWS_LEFT) == [(0, 0, 0, 0)]
        ranges = "select organization, first_batch, last_batch, batches, traces, last_trace, forced from sweeps"
        assert await read(ranges) == [(acme.number, 1, 2, 2, 5, 5, 0)]

    async def test_the_time_of_receipt_decides(self, store, clock, acme, commit, read):
        """What was received before the given time goes, to the microsecond; what came at it stays."""
        start_us = clock.now_us()
        await commit(acme, 1, 1, 1)
        await Sweep(store, clock, Wanted(start_us + 1_000_000)).run()

        assert await read("select id from batches order by 1") == [(2,), (3,)]
        assert await read("select batch, count(*) from traces group by 1 order by 1") == [(2, 1), (3, 1)]
        assert await read("select received_from_us, received_to_us from sweeps") == [(start_us, start_us)]

    async def test_what_came_while_the_clock_stood_wrong_goes_by_its_own_time(self, store, clock, acme, commit, read):
        """Batches whose times are not in the order of their ids are told apart by their times."""
        start_us = clock.now_us()
        await commit(acme, 1)
        clock.advance(seconds=100)
        await commit(acme, 2)
        clock.advance(seconds=-60)
        await commit(acme, 3)
        await Sweep(store, clock, Wanted(start_us + 90_000_000)).run()

        assert await read("select id, trace_count from batches") == [(2, 2)]
        assert await read("select count(*), min(batch), max(batch) from traces") == [(2, 2, 2)]

    async def test_another_organization_is_swept_apart(self, acme, globex, commit, sweep, read):
        """Batches of organizations that alternate are recorded for each, unbroken."""
        for _ in range(2):
            await commit(acme, 1)
            await commit(globex, 2)
        await sweep()

        ranges = "select organization, first_batch, last_batch, batches, traces from sweeps order by 1"
        assert await read(ranges) == [(acme.number, 1, 3, 2, 2), (globex.number, 2, 4, 2, 4)]

    async def test_decisions_go_with_their_batch(self, store, clock, acme, sweep, read):
        """Decisions of batches past the limit go, however many steps that takes, and are counted on the record."""
        many = BATCHES_PER_STEP + 1
        for number in range(many):
            await store.commit(Write(decision=acme.decision(f"dec_{number}")))
        clock.advance(seconds=1)
        await store.commit(Write(decision=acme.decision("dec_young")))
        dry, swept = await sweep(dry_run=True), await sweep()

        assert (dry.batches, dry.decisions) == (swept.batches, swept.decisions) == (many, many)
        assert await read("select id from decisions") == [("dec_young",)]
        assert await read("select id from batches") == [(many + 1,)]
        assert await read("select batches, traces, decisions from sweeps") == [(many, 0, many)]

    async def test_decisions_of_a_batch_that_is_left_stay(self, store, clock, acme, sweep, read):
        """A decision that shares its batch with traces that wait is left with them."""
        await acme.add_destination()
        traces = Traces(acme.number, [acme.trace("t1")])
        await store.commit(Write(traces=traces, decision=acme.decision("dec_1")))
        clock.advance(seconds=1)
        swept = await sweep()

        assert (swept.decisions, swept.left) == (0, {Left.WAITING: 1})
        assert await read("select id, batch from decisions") == [("dec_1", 1)]

    async def test_decisions_of_no_batch_go_by_their_own_time(self, store, clock, acme, sweep, read):
        """Decisions from before the audit chain go when they are old; nothing is written where there are none."""
        many = DECISIONS_PER_STEP + 1
        names = [*(f"dec_{number}" for number in range(many)), "dec_young"]
        rows = [
            {**acme.decision(name).row, "batch": None, "position": None, "decided_at_us": clock.now_us()}
            for name in names
        ]
        rows[-1]["decided_at_us"] += 1_000_000
        await store.commit(Write(calls=[Call("insert_decision", row) for row in rows]))
        clock.advance(seconds=1)
        dry, swept = await sweep(dry_run=True), await sweep()
        entries = await read(ENTRIES)
        again = await sweep()

        assert (dry.decisions, swept.decisions, again.decisions) == (many, many, 0)
        assert await read("select id from decisions") == [("dec_young",)]
        assert await read("select batches, traces, decisions from sweeps") == [(0, 0, many)]
        assert [kind for _, kind, _ in entries] == ["sweep.done"] * 2
        assert await read(ENTRIES) == entries


class TestChain:
    """What went is on record in the audit chain, which then tells it from what is missing."""

    async def test_an_entry_names_what_went(self, store, clock, acme, commit, read):
        """Each step leaves an entry with its range, in the name of whoever swept."""
        await commit(acme, 2, 3)
        await store.commit(Write(decision=acme.decision("dec_1")))
        clock.advance(seconds=1)
        await Sweep(store, clock, Wanted(clock.now_us(), actor="command")).run()

        [(actor, kind, details)] = await read(ENTRIES)
        [swept] = json.loads(details)["ranges"]
        assert (actor, kind) == ("command", "sweep.done")
        assert (swept["first"], swept["last"], swept["batches"]) == (1, 3, 3)
        assert await swept_ranges(acme) == [(1, 3)]
        assert await read("select count(*) from audit_sweeping") == [(0,)]

    async def test_what_an_earlier_sweep_removed_divides_a_range(self, store, clock, acme, commit):
        """Batches on both sides of one that was swept before are different ranges, and all of it verifies."""
        start_us = clock.now_us()
        clock.advance(seconds=100)
        await commit(acme, 1)
        clock.advance(seconds=-100)
        await commit(acme, 1)
        clock.advance(seconds=100)
        await commit(acme, 1, 1)
        await Sweep(store, clock, Wanted(start_us + 50_000_000)).run()
        await Sweep(store, clock, Wanted(clock.now_us())).run()

        assert await swept_ranges(acme) == [(1, 1), (2, 2), (3, 4)]

    async def test_two_sweeps_at_once_leave_one_record(self, store, clock, acme, globex, commit):
        """Whichever of two sweeps removes a batch, one entry says so, for each organization."""
        for _ in range(20):
            await commit(acme, 1, 1)
            await commit(globex, 1)
        await asyncio.gather(*(Sweep(store, clock, Wanted(clock.now_us())).run() for _ in range(2)))

        for tenant in (acme, globex):
            assert await swept_ranges(tenant) != []

    async def test_what_is_gone_without_a_sweep_is_missing(self, acme, commit, sweep, run):
        """A batch that somebody removed is found, beside those that a sweep removed."""
        await commit(acme, 1, 1, 1)
        await run("delete from traces where batch = 2", "delete from batches where id = 2", triggers=False)
        await sweep()

        findings = (await verify_evidence(acme.store, acme.number, Kept(), ignore)).findings
        assert [(each.code, each.where) for each in findings] == [(Code.BATCH_MISSING, "batch 2")]

    async def test_a_forced_sweep_is_on_record_too(self, acme, commit, sweep):
        """What went by force is swept, not missing."""
        await acme.add_destination()
        await commit(acme, 1, 1)
        await sweep(force=True)

        assert await swept_ranges(acme) == [(1, 2)]


ENTRIES = "select actor, kind, details from audit_entries where kind = 'sweep.done' order by organization, seq"


async def swept_ranges(tenant) -> list[tuple[int, int]]:
    """The ranges that a verification says were swept; it finds nothing wrong."""
    verified = await verify_evidence(tenant.store, tenant.number, Kept(), ignore)
    assert verified.findings == []
    return [(each.first, each.last) for each in verified.summary.swept]


def ignore(_done: int, _total: int) -> None:
    """Nobody looks at the progress."""


class TestWhatIsLeft:
    @pytest.fixture
    async def mixed(self, acme, store, commit, deliver) -> None:
        """Five batches: 1 waits, 2 for a held, 3 for a disabled destination, 4 has a parked log, 5 is delivered."""
        eager, held, disabled = [await acme.add_destination(name=name) for name in ("eager", "held", "disabled")]
        await commit(acme, 2, 2, 2, 2, 2)
        await deliver(eager, 2, 3, 5)
        await deliver(eager, 4, parked=True)
        await deliver(held, 1, 3, 4, 5)
        await deliver(disabled, 1, 2, 4, 5)
        for number, state in ((held, "held"), (disabled, "disabled")):
            row = {"number": number, "state": state}
            await store.commit(Write(calls=[await state_change(acme, **row)]))

    @pytest.mark.usefixtures("mixed")
    async def test_the_reason_is_counted(self, acme, sweep, read):
        """What waits for any destination or is parked is left, each for its reason; the sums hold before and after."""
        before = await counts_of(acme)
        swept = await sweep()
        after = await counts_of(acme)

        assert swept.left == dict.fromkeys([Left.WAITING, Left.HELD, Left.DISABLED, Left.PARKED], 1)
        assert (swept.batches, swept.traces) == (1, 2)
        assert await read("select id from batches order by 1") == [(1,), (2,), (3,), (4,)]
        assert [(each.waiting, each.parked) for each in after] == [(each.waiting, each.parked) for each in before]
        assert [each.committed for each in after] == [each.committed - 2 for each in before]
        assert_sums(after)

    @pytest.mark.usefixtures("mixed")
    async def test_force_takes_them_too(self, acme, sweep, read):
        """With force everything old enough goes, parked logs included, and the record says that it was forced."""
        swept = await sweep(force=True)

        assert (swept.batches, swept.left) == (5, {})
        assert await read(ROWS_LEFT) == [(0, 0, 0, 0)]
        assert await read("select first_batch, last_batch, forced from sweeps") == [(1, 5, 1)]
        assert_sums(await counts_of(acme))

    @pytest.mark.usefixtures("mixed")
    async def test_a_dry_run_says_the_same_and_changes_nothing(self, sweep, read):
        """A dry run counts what a sweep would remove and leave."""
        dry = await sweep(dry_run=True)

        assert await read("select count(*) from batches") == [(5,)]
        assert await read("select * from sweeps") == []
        wet = await sweep()
        assert (dry.batches, dry.traces, dry.left) == (wet.batches, wet.traces, wet.left)

    async def test_a_batch_that_is_queued_again_meanwhile_is_left(self, store, clock, acme, deliver, read):
        """A replay between the look and the step is noticed inside the transaction."""
        destination = await acme.add_destination()
        await acme.ingest(acme.trace("t1"))
        clock.advance(seconds=1)
        await deliver(destination, 1)

        class Replaying:
            """The store, with somebody who replays behind each look at a page of batches."""

            commit, rows = store.commit, store.rows

            async def find(self, row_type, statement, parameters=None):
                found = await store.find(row_type, statement, parameters)
                if statement == "expired_batches" and found:
                    span = {"after": 0, "last": 1, "from_us": 0, "to_us": clock.now_us(), "now_us": clock.now_us()}
                    await store.commit(
                        Write(calls=[Call("replay_batches", span | {"destination": destination, "replay": "rpl_1"})])
                    )
                return found

        swept = await Sweep(Replaying(), clock, Wanted(clock.now_us())).run()

        assert (swept.batches, swept.left) == (0, {Left.CHANGED: 1})
        assert await read("select count(*) from traces") == [(1,)]

    async def test_two_sweeps_at_once_count_each_batch_once(self, store, clock, acme, commit, read):
        """Two servers may sweep at the same time: each batch is removed, and recorded, by one of them."""
        await commit(acme, *[1] * 40)
        swept = await asyncio.gather(*(Sweep(store, clock, Wanted(clock.now_us())).run() for _ in range(2)))

        assert sum(each.batches for each in swept) == 40
        assert await read("select sum(batches), sum(traces) from sweeps") == [(40, 40)]


async def state_change(tenant, number: int, state: str) -> Call:
    """The change of a destination's state."""
    rows = await tenant.store.rows("list_destinations", {"organization": tenant.number})
    (row,) = (row for row in rows if row[1] == number)
    connection = {"site": "datadoghq.eu", "sealed_key": b"sealed", "key_hint": "abcd", "tested_at_us": 2}
    candidate = dict.fromkeys(("candidate_site", "candidate_sealed_key", "candidate_key_hint", "state_reason"))
    switches = {"service": "s", "ddtags": "", "heartbeat": 1, "events": 0}
    named = {"id": row[0], "organization": tenant.number, "name": row[4], **switches}
    return Call("update_destination", {**named, **connection, **candidate, "state": state, "now_us": 3})


class TestIds:
    async def test_ids_go_on_behind_what_was_swept(self, engine, opened, new_tenant, clock, tmp_path):
        """After everything is swept and the store is opened anew, neither trace nor batch ids begin again."""
        async with opened() as store:
            acme = await new_tenant(store, "org_acme")
            await acme.ingest(*(acme.trace(f"old {number}") for number in range(3)))
            clock.advance(seconds=1)
            await Sweep(store, clock, Wanted(clock.now_us())).run()
            await acme.ingest(acme.trace("new 1"))
            clock.advance(seconds=1)
            await Sweep(store, clock, Wanted(clock.now_us())).run()
        async with opened() as store:
            await replace(acme, store=store).ingest(acme.trace("new 2"))

        assert await engine.read(tmp_path, "select id, batch, trace_id from traces") == [(5, 3, "new 2")]

    async def test_a_swept_trace_may_come_again(self, acme, clock, sweep, read):
        """The same trace sent after its sweep is stored anew, once; one that was not swept is still recognised."""
        trace = acme.trace("again")
        await acme.ingest(trace)
        clock.advance(seconds=1)
        await sweep()

        assert await acme.ingest(trace) == [TraceOutcome.STORED]
        assert await acme.ingest(trace) == [TraceOutcome.DUPLICATE]
        assert await read("select id, trace_id from traces") == [(2, "again")]


def batch(number: int, traces: int = 1, *, waits_for: str | None = None) -> ExpiredBatch:
    """A batch to plan with."""
    times = {"id": number, "received_at_us": number}
    counts = {"trace_count": traces, "decision_count": 0, "event_count": 0}
    return ExpiredBatch(**times, **counts, waits_for=waits_for, parked=0)


class TestPlan:
    def test_steps_are_small(self):
        """A step ends at the limit of traces or of batches; a batch is never divided."""
        large, _ = plan_steps([batch(1, ROWS_PER_STEP - 1), batch(2, 2), batch(3, 2_000)], None, force=False)
        small, _ = plan_steps([batch(number) for number in range(1, 2 * BATCHES_PER_STEP + 2)], None, force=False)

        assert [[each.id for each in step.batches] for step in large] == [[1], [2], [3]]
        assert [len(step.batches) for step in small] == [BATCHES_PER_STEP, BATCHES_PER_STEP, 1]
        assert {step.range for step in small} == {1}

    def test_what_is_left_breaks_the_range(self):
        """Batches on both sides of one that is left are different ranges; a page may go on with the range before it."""
        steps, left = plan_steps([batch(2), batch(3, waits_for="held"), batch(4)], 1, force=False)

        assert [(step.range, [each.id for each in step.batches]) for step in steps] == [(1, [2]), (4, [4])]
        assert left == [Left.HELD]
