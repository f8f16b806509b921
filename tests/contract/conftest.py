"""One suite for every store engine: add an engine to ENGINES, and it is held to the same promises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import apsw
import apsw.ext
import asyncpg
import pytest
from evidence_rig import Filled, fill

from clocks import SettableClock
from execlave_server.clock import Clock
from execlave_server.model.traces import NewTrace, TraceOutcome, identify, pack_item
from execlave_server.store.postgres import PostgresStore
from execlave_server.store.protocol import (
    Call,
    Durability,
    NewDecision,
    Parameters,
    Row,
    Store,
    Traces,
    Write,
    Written,
    integer,
)
from execlave_server.store.sqlite import SqliteStore, create_database
from execlave_server.store.statements import load_statements
from postgres_server import Postgres, read_rows
from tampering import without_triggers


class Engine(Protocol):
    """What the suite needs of an engine beside its store."""

    name: str
    violation: type[Exception]
    """Raised by a commit whose row a constraint refuses."""

    async def create(self, folder: Path, clock: Clock) -> Store:
        """A new, empty database, opened as the server opens it."""

    async def open(self, folder: Path, clock: Clock) -> Store:
        """The same database again."""

    async def read(self, folder: Path, sql: str) -> list[Row]:
        """Rows read beside the store, on a connection of its own."""

    async def run(self, folder: Path, *statements: str, triggers: bool = True) -> None:
        """Run statements in one transaction beside the store; without triggers, as somebody who tampers would."""

    async def columns(self, folder: Path, statement: str) -> list[str]:
        """The names of the columns that a statement returns."""

    def hold_writes(self, folder: Path) -> AbstractAsyncContextManager[None]:
        """Keep every commit waiting until the context ends, as another process that writes would."""


class SqliteEngine:
    name = "sqlite"
    violation = apsw.ConstraintError

    async def create(self, folder: Path, clock: Clock) -> Store:
        create_database(folder / "execlave.db", clock)
        return await self.open(folder, clock)

    async def open(self, folder: Path, clock: Clock) -> Store:
        return SqliteStore(folder / "execlave.db", clock, durability=Durability.FULL, checkpoints=True)

    async def read(self, folder: Path, sql: str) -> list[Row]:
        connection = self._connect(folder)
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()

    async def run(self, folder: Path, *statements: str, triggers: bool = True) -> None:
        connection = self._connect(folder)
        connection.execute("pragma foreign_keys = on")
        try:
            with connection if triggers else without_triggers(connection):
                for statement in statements:
                    connection.execute(statement)
        finally:
            connection.close()

    async def columns(self, folder: Path, statement: str) -> list[str]:
        known = load_statements(self.name)[statement]
        connection = self._connect(folder)
        try:
            details = apsw.ext.query_info(connection, known.sql, dict.fromkeys(known.parameters))
            return [name for name, _ in details.description]
        finally:
            connection.close()

    @asynccontextmanager
    async def hold_writes(self, folder: Path) -> AsyncIterator[None]:
        connection = self._connect(folder)
        connection.execute("begin immediate")
        try:
            yield
        finally:
            connection.execute("rollback")
            connection.close()

    def _connect(self, folder: Path) -> apsw.Connection:
        return apsw.Connection(str(folder / "execlave.db"), flags=apsw.SQLITE_OPEN_READWRITE)


class PostgresEngine:
    name = "postgres"
    violation = asyncpg.IntegrityConstraintViolationError

    def __init__(self, server: Postgres) -> None:
        self._server = server

    async def create(self, folder: Path, clock: Clock) -> Store:
        return await self.open(folder, clock)

    async def open(self, folder: Path, clock: Clock) -> Store:
        return await PostgresStore.open(self._server.database_of(folder), clock, durability=Durability.FULL)

    async def read(self, folder: Path, sql: str) -> list[Row]:
        return await read_rows(self._server.database_of(folder), sql)

    async def run(self, folder: Path, *statements: str, triggers: bool = True) -> None:
        connection = await asyncpg.connect(self._server.database_of(folder))
        try:
            async with connection.transaction():
                if not triggers:
                    await connection.execute("set local session_replication_role = replica")
                for statement in statements:
                    await connection.execute(statement)
        finally:
            await connection.close()

    async def columns(self, folder: Path, statement: str) -> list[str]:
        connection = await asyncpg.connect(self._server.database_of(folder))
        try:
            prepared = await connection.prepare(load_statements(self.name)[statement].numbered)
            return [column.name for column in prepared.get_attributes()]
        finally:
            await connection.close()

    @asynccontextmanager
    async def hold_writes(self, folder: Path) -> AsyncIterator[None]:
        connection = await asyncpg.connect(self._server.database_of(folder))
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        try:
            async with connection.transaction():
                await connection.execute(f"lock table {', '.join(table[0] for table in tables)} in exclusive mode")
                yield
        finally:
            await connection.close()


ANSWER_WITHIN_S = 60  # a write that is never answered fails its test instead of holding up all others
ENGINES: dict[str, Callable[[pytest.FixtureRequest], Engine]] = {
    "sqlite": lambda _: SqliteEngine(),
    "postgres": lambda request: PostgresEngine(request.getfixturevalue("postgres")),
}

Read = Callable[[str], Awaitable[list[Row]]]
CommitTogether = Callable[[Sequence[Write]], Awaitable[list[Written | BaseException]]]
Run = Callable[..., Awaitable[None]]
Opened = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=ENGINES)
def engine(request, tmp_path) -> Iterator[Engine]:
    """Each engine in turn."""
    yield ENGINES[request.param](request)
    if request.param == "postgres":
        request.getfixturevalue("postgres").drop_database_of(tmp_path)


@pytest.fixture
def clock() -> SettableClock:
    """The time, as the test sets it."""
    return SettableClock()


@pytest.fixture
async def store(engine, tmp_path, clock) -> AsyncIterator[Store]:
    """A store on a new database."""
    store = await engine.create(tmp_path, clock)
    yield store
    await store.close()


@pytest.fixture
async def opened(engine, tmp_path, clock) -> Opened:
    """Opens one and the same database again and again, for tests of what survives."""
    await (await engine.create(tmp_path, clock)).close()

    @asynccontextmanager
    async def open_again() -> AsyncIterator[Store]:
        store = await engine.open(tmp_path, clock)
        try:
            yield store
        finally:
            await store.close()

    return open_again


@pytest.fixture
def read(engine, tmp_path) -> Read:
    """Raw rows, for what no statement of the product shows."""
    return lambda sql: engine.read(tmp_path, sql)


@pytest.fixture
def run(engine, tmp_path) -> Run:
    """Raw changes, for what no statement of the product does."""
    return lambda *statements, triggers=True: engine.run(tmp_path, *statements, triggers=triggers)


@pytest.fixture
def commit_together(engine, tmp_path, store) -> CommitTogether:
    """Commit writes that wait together: in two groups at the most, split where the writer first looked."""

    async def commit(writes: Sequence[Write]) -> list[Written | BaseException]:
        async with engine.hold_writes(tmp_path):
            tasks = [asyncio.create_task(store.commit(write)) for write in writes]
            await asyncio.sleep(0)  # each task runs until its write waits
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await asyncio.gather(*tasks, return_exceptions=True)

    return commit


@pytest.fixture
async def filled(store, clock, run, tmp_path) -> AsyncIterator[Filled]:
    """An organization with some history, and another one beside it."""
    async for filled in fill(store, clock, run, tmp_path):
        yield filled


@dataclass(frozen=True)
class Tenant:
    """An organization in a store, and what a test writes for it."""

    store: Store
    number: int
    id: str

    def trace(
        self, trace_id: str, span_id: str = "sp_1", *, item: bytes | None = None, log: bytes = b'"message":"m"'
    ) -> NewTrace:
        """A trace of this organization; `item` is what the client sent."""
        identity = identify(self.id, trace_id, span_id)
        return NewTrace(
            trace_id=trace_id,
            span_id=span_id,
            trace_key=identity.trace_key,
            span_key=identity.span_key,
            status=0,
            agent="support-bot",
            environment="production",
            span_type="tool",
            occurred_at_ms=1_765_449_600_000,
            log=log,
            item=pack_item(item or b'{"traceId":"%b","status":"success"}' % trace_id.encode()),
            salt=bytes(16),
            leaf=sha256(f"{trace_id} {span_id}".encode()).digest(),
        )

    def write(self, *traces: NewTrace, calls: Sequence[Call] = ()) -> Write:
        """A write of traces."""
        return Write(calls=calls, traces=Traces(self.number, traces))

    async def ingest(self, *traces: NewTrace) -> list[TraceOutcome]:
        """Commit traces; what became of each."""
        return list((await self.store.commit(self.write(*traces))).outcomes)

    def decision(self, decision_id: str, outcome: str = "blocked", **changes: str | None) -> NewDecision:
        """A decision of this organization."""
        row: Parameters = {
            "id": decision_id,
            "organization": self.number,
            "api_key": "key_1",
            "agent": None,
            "agent_reference": "support-bot",
            "environment": "production",
            "outcome": outcome,
            "violations": "[]",
            "policies": "[]",
            "approval": None,
            "client": None,
            "action_digest": "ab" * 32,
            "trace_id": None,
            "decided_at_us": 1,
            "latency_us": 1,
            "salt": bytes(16),
            **changes,
        }
        return NewDecision(self.number, row, sha256(decision_id.encode()).digest())

    def registration(self, agent_id: str = "support-bot", now_us: int = 1, **changes: str | None) -> Call:
        """The registration of an agent."""
        row: Parameters = {
            "id": f"uuid-{self.id}-{agent_id}-{changes.get('environment', 'production')}",
            "organization": self.number,
            "agent_id": agent_id,
            "environment": "production",
            "name": "Support Bot",
            "type": "chatbot",
            "platform": "custom",
            "autonomy_level": "act_with_approval",
            "profile": "{}",
            "now_us": now_us,
            **changes,
        }
        return Call("upsert_agent", row)

    async def issue_key(self, key_id: str, hashed: bytes, now_us: int = 1) -> None:
        """An API key, known by its keyed hash."""
        row: Parameters = {
            "id": key_id,
            "organization": self.number,
            "name": "ci",
            "environment": "prod",
            "role": "agent",
            "hash": hashed,
            "hint": "1234",
            "now_us": now_us,
        }
        await self.store.commit(Write(calls=[Call("insert_api_key", row)]))

    async def add_destination(self, name: str = "Datadog", state: str = "enabled", now_us: int = 1) -> int:
        """A destination in a state; its number."""
        identity: Parameters = {"id": f"dst_{self.id}_{name}", "organization": self.number}
        connection: Parameters = {
            "name": name,
            "site": "datadoghq.eu",
            "sealed_key": b"sealed",
            "key_hint": "abcd",
            "service": "execlave",
            "ddtags": "env:production",
            "heartbeat": 1,
            "events": 0,
            "now_us": now_us,
        }
        after: Parameters = {
            "tested_at_us": 2,
            "candidate_site": None,
            "candidate_sealed_key": None,
            "candidate_key_hint": None,
            "state": state,
            "state_reason": None,
        }
        insert = Call("insert_destination", {**identity, **connection})
        await self.store.commit(Write(calls=[insert, Call("update_destination", {**identity, **connection, **after})]))
        rows = await self.store.rows("list_destinations", {"organization": self.number})
        return max(integer(row[1]) for row in rows)


NewTenant = Callable[[Store, str], Awaitable[Tenant]]


@pytest.fixture
def new_tenant() -> NewTenant:
    """Makes an organization in a store."""

    async def make(store: Store, organization_id: str) -> Tenant:
        row: Parameters = {"id": organization_id, "name": organization_id.title(), "now_us": 1}
        written = await store.commit(Write(calls=[Call("insert_organization", row)]))
        return Tenant(store, integer(written.rows[0][0][0]), organization_id)

    return make


@pytest.fixture
async def acme(store, new_tenant) -> Tenant:
    """An organization."""
    return await new_tenant(store, "org_acme")


@pytest.fixture
async def globex(store, new_tenant) -> Tenant:
    """Another organization."""
    return await new_tenant(store, "org_globex")
