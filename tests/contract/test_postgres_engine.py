"""What only the PostgreSQL engine promises: several servers on one database, and a database that comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

import asyncpg
import pytest

from clocks import SettableClock
from execlave_server.clock import SystemClock
from execlave_server.errors import DataDirError, SettingsError, UnavailableError, ValidationFailedError
from execlave_server.model.traces import TraceOutcome
from execlave_server.store.batches import RECENT_TRACES_MIN
from execlave_server.store.migrations import load_migrations
from execlave_server.store.postgres import DatabaseClock, PostgresStore, create_database, migrate_database
from execlave_server.store.postgres import writer as writer_module
from execlave_server.store.postgres.transaction import DAY_US
from execlave_server.store.protocol import Call, Check, Durability, StaleError, Traces, Write, Written

STORED, DUPLICATE, CONFLICT = TraceOutcome.STORED, TraceOutcome.DUPLICATE, TraceOutcome.CONFLICT
WITHIN_S = 10


@pytest.fixture
def url(postgres, tmp_path):
    """A new database."""
    yield postgres.database_of(tmp_path)
    postgres.drop_database_of(tmp_path)


@asynccontextmanager
async def opened(url, clock, durability=Durability.FULL) -> AsyncIterator[PostgresStore]:
    """A store on it, as a process of its own would open it."""
    store = await PostgresStore.open(url, clock, durability=durability)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def nodes(url, clock):
    """Two servers on one database."""
    async with opened(url, clock) as first, opened(url, clock) as second:
        yield first, second


@pytest.fixture
async def raw(url):
    """A connection beside the stores'."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def until_waiting(raw, count=1) -> None:
    """Until so many sessions wait for a lock."""
    async with asyncio.timeout(WITHIN_S):
        while await raw.fetchval("select count(distinct pid) from pg_locks where not granted") < count:
            await asyncio.sleep(0.01)


class Cut:
    """A proxy in front of the database's socket that can be told to cut connections when a COMMIT passes."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self.port = 0
        self.deliver: bool | None = None
        self.cuts = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._socket))
        deaf, answered = asyncio.Event(), asyncio.Event()
        down = asyncio.create_task(self._pump(up_reader, writer, deaf, answered))
        try:
            while data := await reader.read(65_536):
                cut = self.deliver is not None and b"commit\0" in data
                if cut and self.deliver:
                    deaf.set()
                if not cut or self.deliver:
                    up_writer.write(data)
                    await up_writer.drain()
                if cut:
                    if self.deliver:
                        await answered.wait()  # the database has answered, and nobody hears it
                    self.deliver = None
                    self.cuts += 1
                    break
        except ConnectionError:
            pass
        finally:
            down.cancel()
            writer.transport.abort()
            up_writer.transport.abort()

    async def _pump(self, reader, writer, deaf, answered) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if deaf.is_set():
                    answered.set()
                else:
                    writer.write(data)
                    await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(postgres, url):
    """The proxy, and the database's address through it."""
    async with Cut(postgres.socket) as cut:
        database = url.partition("?")[0].rpartition("/")[2]
        yield cut, f"postgresql://postgres@127.0.0.1:{cut.port}/{database}"


def put(name: str) -> Call:
    """A row under a unique name."""
    return Call("insert_secret", {"name": name, "sealed": b"sealed"})


class TestChecksBind:
    """What a write was decided on still holds at its commit, whichever server changes it."""

    async def test_a_key_revoked_on_one_server_stops_the_other(self, nodes, new_tenant):
        """A write decided before a revocation is stale after it, on another server."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        await acme.issue_key("key_1", b"hash")
        live = Check("key_standing", {"api_key": "key_1"}, (None,))
        row = {"organization": acme.number, "id": "key_1", "now_us": 9}
        await first.commit(Write(calls=[Call("revoke_api_key", row)]))

        with pytest.raises(StaleError):
            await second.commit(Write(checks=[live], traces=acme.write(acme.trace("t1")).traces))

    async def test_a_revocation_waits_for_the_commit_that_rests_on_the_key(self, nodes, new_tenant, raw):
        """A revocation is not acknowledged while a commit that saw the key alive is under way; the next one sees it."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        await acme.issue_key("key_1", b"hash")
        live = Check("key_standing", {"api_key": "key_1"}, (None,))
        row = {"organization": acme.number, "id": "key_1", "now_us": 9}

        def resting(trace_id: str) -> Write:
            return Write(checks=[live], calls=[put(trace_id)], traces=acme.write(acme.trace(trace_id)).traces)

        async with raw.transaction():
            await raw.execute("lock table sealed_secrets in exclusive mode")
            under_way = asyncio.create_task(first.commit(resting("t1")))
            await until_waiting(raw)  # it has read the key, and waits before its commit
            revoking = asyncio.create_task(second.commit(Write(calls=[Call("revoke_api_key", row)])))
            await until_waiting(raw, 2)
            later = asyncio.create_task(second.commit(resting("t2")))
            await until_waiting(raw, 3)  # behind the revocation, not beside the first
            assert not revoking.done()

        assert isinstance(await under_way, Written)
        await revoking
        with pytest.raises(StaleError):
            await later

    async def test_an_agent_paused_on_one_server_stops_the_other(self, nodes, new_tenant):
        """Under many pauses and decisions on two servers, no decision is committed after a pause was acknowledged."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        await first.commit(Write(calls=[acme.registration(now_us=1)]))
        place = {"organization": acme.number, "reference": "support-bot"}
        agent = (await first.rows("agents_named", place))[0][0]
        acknowledged, broken = [], []

        async def pause() -> None:
            for now_us in range(2, 30):
                row = {"organization": acme.number, "id": agent, "status": "paused", "now_us": now_us}
                row |= {"reason": None, "salt": None}
                await first.commit(Write(calls=[Call("set_agent_status", row)]))
                acknowledged.append(now_us)

        async def decide(number: int) -> None:
            for turn in range(40):
                seen = (await second.rows("agent_standing", place))[0]
                before = len(acknowledged)
                checks = [Check("agent_standing", place, seen)]
                with suppress(StaleError):
                    await second.commit(Write(checks=checks, calls=[put(f"{number} {turn}")]))
                    if before and acknowledged[before - 1] > seen[1]:
                        broken.append((seen, acknowledged[before - 1]))

        await asyncio.gather(pause(), *(decide(number) for number in range(4)))

        assert len(acknowledged) == 28
        assert broken == []

    async def test_an_agent_registered_on_one_server_is_seen_by_the_other(self, nodes, new_tenant):
        """A decision on "there is no such agent" is stale once there is one."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        place = {"organization": acme.number, "reference": "support-bot"}
        nobody = Check("agent_standing", place, (0, 0))
        await first.commit(Write(calls=[acme.registration()]))

        with pytest.raises(StaleError):
            await second.commit(Write(checks=[nobody], calls=[put("a")]))

    async def test_a_destination_that_begins_to_collect_misses_no_batch(self, nodes, new_tenant, raw):
        """Enabling waits for the batches under way: what it does not collect is committed, and there to backfill."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        await acme.add_destination(state="disabled")
        await acme.ingest(acme.trace("t0"))
        held = Call("update_destination", enable_row(acme, "held"))
        async with raw.transaction():
            await raw.execute("lock table traces in exclusive mode")
            under_way = asyncio.create_task(first.commit(acme.write(acme.trace("t1"))))
            await until_waiting(raw)  # it has read which destinations collect
            enabling = asyncio.create_task(second.commit(Write(calls=[held])))
            await until_waiting(raw, 2)
            assert not enabling.done()
        await asyncio.gather(under_way, enabling)
        await first.commit(acme.write(acme.trace("t2")))

        assert await raw.fetchval("select count(*) from outbox") == 1


def enable_row(tenant, state):
    """A destination in another state."""
    return {
        "organization": tenant.number,
        "id": f"dst_{tenant.id}_Datadog",
        "name": "Datadog",
        "site": "datadoghq.eu",
        "sealed_key": b"sealed",
        "key_hint": "abcd",
        "service": "execlave",
        "ddtags": "",
        "heartbeat": 1,
        "events": 0,
        "tested_at_us": 2,
        "candidate_site": None,
        "candidate_sealed_key": None,
        "candidate_key_hint": None,
        "state": state,
        "state_reason": None,
        "now_us": 50,
    }


class TestSeveralServers:
    async def test_a_retry_that_reaches_another_server_is_recognised(self, nodes, new_tenant):
        """What one server stored is a duplicate, or a conflict, on the other."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        await acme.ingest(acme.trace("t1"))

        again = Traces(acme.number, [acme.trace("t1"), acme.trace("t1", item=b'{"other":1}'), acme.trace("t2")])

        assert (await second.commit(Write(traces=again))).outcomes == [DUPLICATE, CONFLICT, STORED]

    @pytest.mark.parametrize("same", [True, False])
    async def test_two_servers_store_the_same_key_at_the_same_instant(self, nodes, new_tenant, raw, same):
        """Of two commits under way with one key one stores it; the other hears of it, and its rest is stored."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        for server in nodes:  # the day's partitions are there
            await server.commit(acme.write(acme.trace("warm")))
        twin = acme.trace("t1") if same else acme.trace("t1", item=b'{"other":1}')
        async with raw.transaction():
            await raw.execute("lock table traces in exclusive mode")
            one = asyncio.create_task(first.commit(acme.write(acme.trace("t1"), acme.trace("a"))))
            await until_waiting(raw)
            other = asyncio.create_task(second.commit(acme.write(acme.trace("b"), twin)))
            await until_waiting(raw, 2)  # both have looked for duplicates and found none

        (t1, a), (b, t1_again) = (await one).outcomes, (await other).outcomes

        assert (a, b) == (STORED, STORED)
        assert {t1, t1_again} == {STORED, DUPLICATE if same else CONFLICT}
        assert await raw.fetchval("select count(*) from traces") == 4
        miscounted = "select count(*) from batches where trace_count <> last_trace - first_trace + 1"
        assert await raw.fetchval(miscounted) == 0

    async def test_opposite_orders_do_not_deadlock(self, nodes, new_tenant, raw):
        """Two servers that take the same traces in opposite orders, again and again, store each once."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        before = await raw.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
        stored = 0

        for turn in range(8):
            traces = [acme.trace(f"{turn} {number}") for number in range(500)]
            backward = Write(traces=Traces(acme.number, traces[::-1]))
            results = await asyncio.gather(first.commit(acme.write(*traces)), second.commit(backward))
            stored += sum(outcome is STORED for result in results for outcome in result.outcomes)
            assert all(outcome in {STORED, DUPLICATE} for result in results for outcome in result.outcomes)

        assert stored == await raw.fetchval("select count(*) from traces") == 4_000
        await raw.execute("select pg_stat_force_next_flush()")
        after = await raw.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
        assert after == before

    async def test_ids_of_a_batch_have_no_gap(self, nodes, new_tenant, raw):
        """However two servers' commits interleave, each batch is a range of ids of its own."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")

        writes = [acme.write(*(acme.trace(f"{number} {each}") for each in range(97))) for number in range(30)]
        await asyncio.gather(*((first, second)[number % 2].commit(write) for number, write in enumerate(writes)))

        wrong = """
            select count(*) from batches b where b.trace_count <> b.last_trace - b.first_trace + 1
              or b.trace_count <> (select count(*) from traces t where t.batch = b.id
                and t.id between b.first_trace and b.last_trace)
        """
        assert await raw.fetchval(wrong) == 0
        assert await raw.fetchval("select sum(trace_count) from batches") == 30 * 97

    async def test_a_deadlock_is_tried_again(self, nodes, new_tenant, raw, url):
        """A transaction that the database ends to resolve a deadlock is committed by a later try."""
        first, _ = nodes
        acme = await new_tenant(first, "org_acme")
        await first.commit(Write(calls=[acme.registration("a"), acme.registration("b")]))
        change = [acme.registration(name, now_us=9, name="changed") for name in ("a", "b")]
        other = await asyncpg.connect(url)
        for connection in (raw, other):
            await connection.execute(
                "set deadlock_timeout = '30s'"
            )  # so that the store's session is the one to find it

        async with other.transaction():
            await other.execute("update agents set last_seen_at_us = 1 where agent_id = 'b'")
            committing = asyncio.create_task(first.commit(Write(calls=change)))
            await until_waiting(raw)
            await other.execute("update agents set last_seen_at_us = 1 where agent_id = 'a'")
        await committing
        await other.close()

        assert await raw.fetchval("select count(*) from agents where name = 'changed'") == 2

    async def test_workers_share_a_destination_without_waiting(self, nodes, new_tenant, raw):
        """Two leases under way at once take different batches, and neither waits for the other."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        destination = await acme.add_destination()
        for number in range(6):
            await acme.ingest(acme.trace(f"t{number}"))
        row = {
            "destination": destination,
            "now_us": 1 << 60,
            "lease_until_us": 1 << 61,
            "far_us": 1 << 62,
            "rows": 3,
            "logs": 1_000,
        }
        async with raw.transaction():
            await raw.execute("lock table sealed_secrets in exclusive mode")
            one = asyncio.create_task(first.commit(Write(calls=[Call("lease_outbox", row), put("a")])))
            await until_waiting(raw)

            other = await second.commit(Write(calls=[Call("lease_outbox", {**row, "rows": 100})]))
            oldest = await second.commit(Write(calls=[Call("lease_oldest", row)]))
            far = await second.commit(Write(calls=[Call("lease_oldest", {**row, "far_us": 1 << 60})]))
        mine = await one

        assert [len(written.rows[0]) for written in (mine, other, oldest, far)] == [3, 3, 0, 1]
        assert {lease[0] for lease in (*mine.rows[0], *other.rows[0])} == {1, 2, 3, 4, 5, 6}

    async def test_a_lease_keeps_its_limit_whatever_the_plan(self, url, clock, new_tenant, raw):
        """Where the planner looks for due rows again for each row it updates, a lease takes no more than wanted."""
        database = await raw.fetchval("select current_database()")
        for means in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
            await raw.execute(f"alter database {database} set enable_{means} = off")
        async with opened(url, clock) as store:
            acme = await new_tenant(store, "org_acme")
            destination = await acme.add_destination()
            for number in range(8):
                await acme.ingest(acme.trace(f"t{number}"))
            wanted = {"destination": destination, "now_us": 1 << 60, "lease_until_us": 1 << 61, "far_us": 1 << 62}

            by_rows = await store.commit(Write(calls=[Call("lease_outbox", {**wanted, "rows": 3, "logs": 1_000})]))
            by_logs = await store.commit(Write(calls=[Call("lease_outbox", {**wanted, "rows": 100, "logs": 2})]))

        assert [sorted(row[0] for row in written.rows[0]) for written in (by_rows, by_logs)] == [[1, 2, 3], [4, 5]]


class TestDays:
    async def test_each_day_has_its_partition(self, url, clock, new_tenant, raw):
        """Traces are kept by the day they were received, and partitions are there before their day."""
        async with opened(url, clock) as store:
            acme = await new_tenant(store, "org_acme")
            today = clock.time_us // DAY_US
            await acme.ingest(acme.trace("t1"))
            clock.advance(us=2 * DAY_US)
            await acme.ingest(acme.trace("t2"))

        rows = await raw.fetch("select tableoid::regclass::text, day from traces order by id")
        assert [tuple(row) for row in rows] == [
            (f"traces_{today}", today),
            (f"traces_{today + 2}", today + 2),
        ]
        assert await raw.fetchval("select to_regclass($1) is not null", f"traces_{today + 5}")

    async def test_servers_make_partitions_together(self, url, new_tenant):
        """Several servers that meet a new day at the same moment all store their traces."""
        clocks = [SettableClock() for _ in range(4)]
        async with opened(url, clocks[0]) as first, opened(url, clocks[1]) as second, opened(url, clocks[2]) as third:
            acme = await new_tenant(first, "org_acme")
            writes = [acme.write(acme.trace(f"t{number}")) for number in range(3)]

            results = await asyncio.gather(
                *(store.commit(write) for store, write in zip((first, second, third), writes, strict=True))
            )

        assert [result.outcomes for result in results] == [[STORED]] * 3

    async def test_a_repeat_over_midnight_is_recognised(self, nodes, clock, new_tenant):
        """A retry on the day after, on another server, is a duplicate."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        await acme.ingest(acme.trace("t1"))

        clock.advance(us=DAY_US)

        assert (await second.commit(acme.write(acme.trace("t1")))).outcomes == [DUPLICATE]

    async def test_a_repeat_is_recognised_among_the_newest(self, nodes, clock, new_tenant):
        """However many days ago: while fewer than 262,144 traces came since, a repeat is a duplicate."""
        first, second = nodes
        acme = await new_tenant(first, "org_acme")
        await acme.ingest(acme.trace("t1"))
        clock.advance(us=40 * DAY_US)
        await acme.ingest(acme.trace("t2"))

        assert (await second.commit(acme.write(acme.trace("t1")))).outcomes == [DUPLICATE]

    async def test_what_is_older_than_that_is_stored_as_new(self, url, clock, new_tenant, raw):
        """A repeat of before yesterday and of before the newest 262,144 is another trace, never a failure."""
        async with opened(url, clock) as store:
            acme = await new_tenant(store, "org_acme")
            await acme.ingest(acme.trace("t1"))
            await raw.execute(
                "insert into batches (organization, first_trace, last_trace, trace_count, log_bytes, received_at_us) "
                "values ($1, 10, 11, $2, 0, $3)",
                acme.number,
                RECENT_TRACES_MIN,
                clock.time_us + 2 * DAY_US,
            )
            clock.advance(us=2 * DAY_US)

            assert await acme.ingest(acme.trace("t1")) == [STORED]


class TestUnknownCommits:
    """The connection is lost while the database commits, and nobody says whether it did."""

    @pytest.mark.parametrize("delivered", [True, False])
    async def test_a_commit_without_an_answer_is_settled(self, proxy, clock, new_tenant, raw, delivered):
        """Whether the commit reached the database or not, the write is there once and its caller is told so."""
        cut, address = proxy
        async with opened(address, clock) as store:
            acme = await new_tenant(store, "org_acme")
            await acme.add_destination()
            await acme.ingest(acme.trace("t0"))
            cut.deliver = delivered

            async with asyncio.timeout(WITHIN_S):
                outcomes = await acme.ingest(acme.trace("t1"), acme.trace("t2"))

        assert cut.cuts == 1
        assert outcomes == [STORED, STORED]
        assert await raw.fetchval("select count(*) from traces") == 3
        assert await raw.fetchval("select count(*) from outbox") == 2

    @pytest.mark.parametrize("delivered", [True, False])
    async def test_a_call_without_an_answer_happens_once(self, proxy, clock, raw, delivered):
        """A write that may not happen twice does not fail for having happened already."""
        cut, address = proxy
        async with opened(address, clock) as store:
            await store.commit(Write(calls=[put("before")]))
            cut.deliver = delivered

            async with asyncio.timeout(WITHIN_S):
                assert await store.commit(Write(calls=[put("a")])) == Written([[]], [])

        assert cut.cuts == 1
        assert await raw.fetchval("select count(*) from sealed_secrets") == 2

    async def test_a_number_that_a_crash_gave_away_proves_nothing(self, url, clock, new_tenant, raw):
        """A transaction whose number is another's by now, or unknown to the recovered database, was not committed."""
        async with opened(url, clock) as store:
            acme = await new_tenant(store, "org_acme")
            await acme.ingest(acme.trace("t0"))
            entry = dict(
                await raw.fetchrow("select organization, seq, hash from audit_entries order by seq desc limit 1")
            )
            committed = await raw.fetchval("select cast(pg_current_xact_id() as text)")
            outcome_of = store._writer._others._outcome_of

            mine = await outcome_of(committed, Call("has_audit_entry", entry))
            another = await outcome_of(committed, Call("has_audit_entry", {**entry, "hash": bytes(32)}))
            unknown = await outcome_of(str(int(committed) + 1_000_000), Call("has_audit_entry", entry))

        assert [mine, another, unknown] == [True, False, False]

    async def test_what_leaves_no_entry_leaves_a_mark(self, url, clock, raw):
        """A worker's results are no entry of the chain: each committer's last transaction has a mark of its own."""
        async with opened(url, clock) as store:
            await store.commit(Write(calls=[put("a")]))
            mark = dict(await raw.fetchrow("select committer, mark from commit_marks"))
            await store.commit(Write(calls=[put("b")]))
            committed = await raw.fetchval("select cast(pg_current_xact_id() as text)")
            [newer] = await raw.fetch("select committer, mark from commit_marks")
            await raw.execute("insert into commit_marks values ('gone', 'm', now() - interval '25 hours')")
        async with opened(url, clock) as store:
            await store.commit(Write(calls=[put("c")]))
            marks = {row["committer"] for row in await raw.fetch("select committer from commit_marks")}
            outcome_of = store._writer._others._outcome_of

            assert mark["committer"] in marks  # but not "gone", which nobody can ask for any more
            assert len(marks) == 2
            assert await outcome_of(committed, Call("has_mark", mark)) is False
            assert await outcome_of(committed, Call("has_mark", dict(newer))) is True

    async def test_what_cannot_be_settled_is_said(self, proxy, clock, monkeypatch, new_tenant):
        """When the database stays away, the caller hears that it is not known; the same again is recognised."""
        cut, address = proxy
        monkeypatch.setattr(writer_module, "SETTLE_WITHIN_S", 0)
        async with opened(address, clock) as store:
            acme = await new_tenant(store, "org_acme")
            await acme.ingest(acme.trace("t0"))
            cut.deliver = True

            with pytest.raises(UnavailableError, match="not known"):
                await acme.ingest(acme.trace("t1"))

            assert await acme.ingest(acme.trace("t1")) == [DUPLICATE]


class TestOutage:
    async def test_a_lost_connection_is_replaced(self, url, clock, new_tenant, raw):
        """Sessions that an administrator ended are opened again; no write and no read fails for it."""
        async with opened(url, clock) as store:
            acme = await new_tenant(store, "org_acme")
            for number in range(5):
                await raw.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )
                assert await acme.ingest(acme.trace(f"t{number}")) == [STORED]
                assert len(await store.rows("list_organizations")) == 1

    async def test_a_session_ended_in_the_middle_is_tried_again(self, url, clock, new_tenant, raw):
        """A transaction whose session was ended before its commit is done again, whole."""
        async with opened(url, clock) as store:
            acme = await new_tenant(store, "org_acme")
            await acme.ingest(acme.trace("t0"))
            async with raw.transaction():
                await raw.execute("lock table traces in exclusive mode")
                committing = asyncio.create_task(store.commit(acme.write(acme.trace("t1"))))
                await until_waiting(raw)
                await raw.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and wait_event_type = 'Lock'"
                )

            assert (await committing).outcomes == [STORED]
        assert await raw.fetchval("select count(*) from batches") == 2

    async def test_a_lock_that_is_never_given_is_unavailable(self, url, clock, monkeypatch, raw):
        """When another session keeps what is needed, a write says so instead of waiting for ever."""
        monkeypatch.setitem(writer_module.connect.__globals__["_SESSION"], "lock_timeout", "50")
        async with opened(url, clock) as store:
            async with raw.transaction():
                await raw.execute("lock table sealed_secrets in exclusive mode")
                with pytest.raises(UnavailableError, match="busy"):
                    await store.commit(Write(calls=[put("a")]))

            assert await store.commit(Write(calls=[put("a")])) == Written([[]], [])

    async def test_nobody_there_is_unavailable(self, clock):
        """A database that is down is told from one that is wrong."""
        with pytest.raises(UnavailableError):
            await PostgresStore.open("postgresql://postgres@127.0.0.1:1/x", clock, durability=Durability.FULL)


class TestOpening:
    @pytest.mark.parametrize(("durability", "waits"), [(Durability.FULL, "on"), (Durability.NORMAL, "off")])
    async def test_the_server_commits_to_disk_and_the_worker_need_not(self, url, clock, durability, waits):
        """A server's commit returns when it is on disk, a worker's may return before."""
        async with opened(url, clock, durability) as store:
            committer = store._writer._others

            await store.commit(Write())

            assert await committer._connection.fetchval("show synchronous_commit") == waits

    async def test_a_reader_cannot_write(self, url, clock, raw):
        """A writing statement given to the readers fails and writes nothing."""
        async with opened(url, clock) as store:
            with pytest.raises(UnavailableError):
                await store.rows("insert_secret", {"name": "a", "sealed": b""})

        assert await raw.fetchval("select count(*) from sealed_secrets") == 0

    @pytest.mark.parametrize("write", [True, False])
    async def test_a_nul_character_is_refused(self, url, clock, write):
        """A text that PostgreSQL cannot keep is the sender's error, not the server's."""
        async with opened(url, clock) as store:
            writing, reading = Write(calls=[put("a\0b")]), {"name": "a\0b"}
            with pytest.raises(ValidationFailedError, match="NUL"):
                await (store.commit(writing) if write else store.rows("find_secret", reading))

    async def test_a_missing_database_is_named_without_the_password(self, url, clock):
        """The error says what of the address is wrong, and keeps the password to itself."""
        wrong = url.replace("postgres:@/", "postgres:secret@/").replace("/test_", "/absent_")

        with pytest.raises(SettingsError, match="absent_") as raised:
            await PostgresStore.open(wrong, clock, durability=Durability.FULL)
        assert "secret" not in str(raised.value)

    async def test_an_empty_database_is_made_by_init_alone(self, postgres, clock):
        """A database without a schema is neither opened nor migrated by accident; making it twice changes nothing."""
        empty = postgres.new_database(migrated=False)

        for attempt in (
            lambda: PostgresStore.open(empty, clock, durability=Durability.FULL),
            lambda: migrate_database(empty, clock),
        ):
            with pytest.raises(DataDirError, match="init"):
                await attempt()
        await asyncio.gather(*(create_database(empty, clock) for _ in range(3)))
        assert await migrate_database(empty, clock) == []
        async with opened(empty, clock) as store:
            assert await store.rows("list_organizations") == []

    async def test_a_newer_schema_is_refused(self, url, clock, raw):
        """A database of a newer version is neither opened nor changed."""
        await raw.execute("insert into migrations values (9999, 'from_the_future', 1)")

        for attempt in (
            lambda: PostgresStore.open(url, clock, durability=Durability.FULL),
            lambda: migrate_database(url, clock),
            lambda: create_database(url, clock),
        ):
            with pytest.raises(DataDirError, match="newer"):
                await attempt()

    def test_migrations_are_numbered(self):
        """Each has a number of its own, from 1 on, the same as on SQLite."""
        numbers = [migration.number for migration in load_migrations("postgres")]

        assert numbers[0] == 1
        assert numbers == sorted(set(numbers)) == [migration.number for migration in load_migrations("sqlite")]


class TestClock:
    async def test_the_time_is_the_databases(self, url, raw):
        """A server whose own clock is off by hours goes by the database's."""

        class Wrong(SystemClock):
            def now_us(self) -> int:
                return super().now_us() + 7_200_000_000

        clock = DatabaseClock(Wrong())
        async with opened(url, clock) as store:
            await store.commit(Write(calls=[Call("insert_installation", {"id": "i", "now_us": clock.now_us()})]))

        written = await raw.fetchval("select created_at_us from installation")
        now = await raw.fetchval("select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)")
        assert 0 <= now - written < 5_000_000

    def test_between_looks_it_goes_by_what_never_goes_back(self):
        """A machine whose clock is set in between goes on where the database's clock was."""
        local = SettableClock()
        clock = DatabaseClock(local)
        clock.saw(1_000_000, local.elapsed_us())
        local.advance(us=5)
        before = clock.now_us()

        assert before == 1_000_005
        assert clock.should_look is False
        local.advance(us=10_000_001)
        assert clock.should_look is True
