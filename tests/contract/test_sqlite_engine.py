"""What only the SQLite engine promises: how its file is opened, kept short, brought up to date and refused."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import apsw
import pytest

from execlave_server.app.database import StoreRole, open_store
from execlave_server.app.installation import initialise, open_services
from execlave_server.errors import DataDirError, UnavailableError
from execlave_server.model.traces import TraceOutcome
from execlave_server.settings import Settings
from execlave_server.store.protocol import Call, Write, Written
from execlave_server.store.sqlite import (
    Durability,
    SqliteStore,
    create_database,
    migrate_database,
    refuse_affected_sqlite,
)
from execlave_server.store.sqlite.checkpointer import WAL_BYTES_WARN
from execlave_server.store.sqlite.connection import WAL_FILE_BYTES_MAX
from execlave_server.store.sqlite.migrate import load_migrations
from execlave_server.store.sqlite.writer import LOCK_WITHIN_US

FULL, NORMAL = 2, 1  # as `pragma synchronous` answers


@pytest.fixture
def path(tmp_path, clock) -> Path:
    """A new database file."""
    path = tmp_path / "execlave.db"
    create_database(path, clock)
    return path


@pytest.fixture
async def sqlite(path, clock):
    """A store on that file, as the server opens it."""
    store = SqliteStore(path, clock, durability=Durability.FULL, checkpoints=True)
    yield store
    await store.close()


@contextmanager
def raw(path: Path) -> Iterator[apsw.Connection]:
    """A connection beside the store's."""
    connection = apsw.Connection(str(path))
    try:
        yield connection
    finally:
        connection.close()


def put(name: str) -> Write:
    """A row under a unique name."""
    return Write(calls=[Call("insert_secret", {"name": name, "sealed": b"x" * 100_000})])


def schema(connection: apsw.Connection) -> list[tuple]:
    """Everything in the schema but SQLite's own and the list of migrations."""
    return list(
        connection.execute("""
            select type, name, tbl_name, sql from sqlite_schema
            where name not like 'sqlite_%' and tbl_name <> 'migrations' order by type, name
        """)
    )


class TestOpening:
    async def test_the_server_commits_to_disk(self, tmp_path, clock):
        """The serving process writes in WAL mode, synchronous FULL, and leaves checkpoints to its checkpointer."""
        settings = Settings(data_dir=tmp_path / "data")
        await initialise(settings, clock)

        async with open_services(settings, clock, serving=True) as services:
            writer = services.store._write_connection
            checkpointer = services.store._checkpointer._connection
            assert writer.pragma("journal_mode") == "wal"
            assert writer.pragma("synchronous") == FULL
            assert [writer.pragma("wal_autocheckpoint"), checkpointer.pragma("wal_autocheckpoint")] == [0, 0]
            assert writer.pragma("mmap_size") == 0
            assert writer.pragma("foreign_keys") == 1

    async def test_the_worker_leaves_the_disk_to_the_server(self, tmp_path, clock):
        """The worker's store writes synchronous NORMAL and never checkpoints."""
        settings = Settings(data_dir=tmp_path / "data")
        await initialise(settings, clock)
        store = await open_store(settings, clock, StoreRole.WORKER)

        try:
            assert store._write_connection.pragma("journal_mode") == "wal"
            assert store._write_connection.pragma("synchronous") == NORMAL
            assert store._write_connection.pragma("wal_autocheckpoint") == 0
            assert store._checkpointer is None
        finally:
            await store.close()

    async def test_a_reader_cannot_write(self, sqlite, path):
        """A writing statement given to the readers fails and writes nothing."""
        with pytest.raises(UnavailableError):
            await sqlite.rows("insert_secret", {"name": "a", "sealed": b""})

        with raw(path) as connection:
            assert list(connection.execute("select * from sealed_secrets")) == []

    def test_only_the_owner_may_read_the_file(self, path):
        """The database is made readable by its owner alone."""
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_file_that_is_no_database_is_refused(self, tmp_path, clock):
        """A file of anything else is named in the error, and stays as it was."""
        path = tmp_path / "execlave.db"
        path.write_bytes(b"not a database " * 100)

        for attempt in (
            lambda: SqliteStore(path, clock, durability=Durability.FULL),
            lambda: migrate_database(path, clock),
            lambda: create_database(path, clock),
        ):
            with pytest.raises(DataDirError, match=str(path)):
                attempt()
        assert path.read_bytes() == b"not a database " * 100

    @pytest.mark.parametrize("made", ["missing", "folder"])
    def test_a_missing_file_is_not_made(self, tmp_path, clock, made):
        """Opening makes no database where there is none."""
        path = tmp_path / "execlave.db"
        if made == "folder":
            path.mkdir()

        with pytest.raises(DataDirError, match=str(path)):
            SqliteStore(path, clock, durability=Durability.FULL)
        assert not path.is_file()

    def test_a_database_is_not_made_in_a_missing_folder(self, tmp_path, clock):
        """Making a database says which file could not be made."""
        with pytest.raises(DataDirError, match="absent"):
            create_database(tmp_path / "absent" / "execlave.db", clock)

    @pytest.mark.parametrize("version", ["3.7.0", "3.40.1", "3.51.2", "3.51", "3.8.11.1"])
    def test_an_affected_sqlite_is_refused(self, version):
        """From 3.7.0 to 3.51.2 a checkpoint beside a writer can lose a commit."""
        with pytest.raises(DataDirError, match=version):
            refuse_affected_sqlite(version)

    @pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "4.0.0", "3.6.23", "3.6.23.1", apsw.sqlite_lib_version()])
    def test_an_unaffected_sqlite_is_taken(self, version):
        """Versions before and after the fault pass, and so does the one installed here."""
        refuse_affected_sqlite(version)


class TestCheckpointing:
    async def test_the_log_stays_short_while_commits_go_on(self, sqlite, path, new_tenant):
        """The write-ahead log is folded beside the commits and begun anew, again and again, before it grows large."""
        acme = await new_tenant(sqlite, "org_acme")
        log = path.with_name(path.name + "-wal")
        deadline = time.monotonic() + 120
        written = 0

        def beginnings() -> int:
            with log.open("rb") as file:
                return int.from_bytes(file.read(16)[12:])  # the checkpoint sequence number of its header

        await acme.ingest(acme.trace("first"))
        begun = beginnings()
        while beginnings() < begun + 3:
            assert log.stat().st_size < WAL_BYTES_WARN, f"{written} traces without a new log"
            assert time.monotonic() < deadline
            await acme.ingest(*(acme.trace(f"t{written + number}", log=b"x" * 2_000) for number in range(10)))
            written += 10

    async def test_a_long_log_is_short_again(self, sqlite, path, new_tenant):
        """A log that grew behind a slow reader is short again soon after the reader is gone."""
        acme = await new_tenant(sqlite, "org_acme")
        log = path.with_name(path.name + "-wal")
        with raw(path) as reader:
            reader.execute("begin")
            reader.execute("select count(*) from traces").fetchall()
            while log.stat().st_size <= WAL_FILE_BYTES_MAX:
                await sqlite.commit(put(f"n{log.stat().st_size}"))

        written, deadline = 0, time.monotonic() + 30
        while log.stat().st_size > WAL_FILE_BYTES_MAX:
            assert time.monotonic() < deadline
            await acme.ingest(acme.trace(f"t{written}"))
            written += 1

    async def test_closing_folds_the_log(self, path, clock, new_tenant):
        """After a server closed its store the log is empty, even where a worker still has the database open."""
        store = SqliteStore(path, clock, durability=Durability.FULL, checkpoints=True)
        acme = await new_tenant(store, "org_acme")
        await acme.ingest(*(acme.trace(f"t{number}") for number in range(100)))

        with raw(path) as worker:
            counted = list(worker.execute("select count(*) from traces"))
            await store.close()

            assert counted == [(100,)]
            assert path.with_name(path.name + "-wal").stat().st_size == 0

    async def test_a_store_folds_the_log_it_finds(self, path, clock, new_tenant):
        """A server that starts after a crash begins with a short log and all that was committed."""
        store = SqliteStore(path, clock, durability=Durability.FULL)
        acme = await new_tenant(store, "org_acme")
        await acme.ingest(*(acme.trace(f"t{number}") for number in range(100)))
        log = path.with_name(path.name + "-wal")
        before_bytes = log.stat().st_size

        server = SqliteStore(path, clock, durability=Durability.FULL, checkpoints=True)
        after_bytes = log.stat().st_size
        counted = await server.rows("count_traces", {"organization": acme.number})
        await server.close()
        await store.close()

        assert before_bytes > 0
        assert after_bytes == 0
        assert counted == [(100,)]


class TestMigrations:
    def test_the_schema_is_all_migrations(self, path):
        """A new database has exactly what the migrations make one after another."""
        with raw(path) as connection:
            made = schema(connection)
        blank = apsw.Connection(":memory:")
        for _, _, sql in load_migrations():
            blank.execute(sql)

        assert made == schema(blank)
        assert len(made) > 10
        blank.close()

    def test_migrations_are_numbered(self):
        """Each has a number of its own, from 1 on, and every SQL file in the folder is one of them."""
        folder = resources.files("execlave_server.store") / "migrations" / "sqlite"
        files = [file.name for file in folder.iterdir() if file.name.endswith(".sql")]

        numbers = [number for number, _, _ in load_migrations()]
        assert (numbers[0], len(numbers)) == (1, len(files))
        assert numbers == sorted(set(numbers))

    def test_each_migration_is_applied_once(self, tmp_path, clock):
        """Bringing a database up to date a second time changes nothing."""
        path = tmp_path / "execlave.db"
        path.touch()
        names = [name for _, name, _ in load_migrations()]

        assert migrate_database(path, clock) == names
        clock.advance(seconds=1)
        assert migrate_database(path, clock) == []
        with raw(path) as connection:
            rows = list(connection.execute("select name, applied_at_us from migrations order by number"))
        assert rows == [(name, clock.time_us - 1_000_000) for name in names]

    def test_making_a_database_twice_keeps_it(self, path, clock):
        """Making a database where there is one leaves its content."""
        with raw(path) as connection:
            connection.execute("insert into installation values ('kept', 1)")

        create_database(path, clock)

        with raw(path) as connection:
            assert list(connection.execute("select id from installation")) == [("kept",)]

    def test_a_newer_schema_is_refused(self, path, clock):
        """A database of a newer version is neither opened nor changed."""
        with raw(path) as connection:
            connection.execute("insert into migrations values (9999, 'from_the_future', 1)")
            before = list(connection.execute("select * from migrations")), schema(connection)

        for attempt in (
            lambda: SqliteStore(path, clock, durability=Durability.FULL),
            lambda: migrate_database(path, clock),
            lambda: create_database(path, clock),
        ):
            with pytest.raises(DataDirError, match="newer"):
                attempt()
        with raw(path) as connection:
            assert (list(connection.execute("select * from migrations")), schema(connection)) == before

    @pytest.mark.parametrize("state", ["empty file", "migration missing"])
    def test_an_older_schema_is_refused_until_migrated(self, tmp_path, clock, state):
        """A database that lacks a migration is not opened; the error says how to bring it up to date."""
        path = tmp_path / "execlave.db"
        path.touch()
        if state == "migration missing":
            create_database(path, clock)
            with raw(path) as connection:
                connection.execute("delete from migrations")

        with pytest.raises(DataDirError, match=r"`execlave-server migrate --data-dir .*ran, restart"):
            SqliteStore(path, clock, durability=Durability.FULL)


class TestUnavailable:
    async def test_a_full_disk_refuses_and_recovers(self, sqlite, path):
        """Without space a commit fails whole and says so; with space again the next one succeeds."""
        await sqlite.commit(put("before"))
        pages = sqlite._write_connection.pragma("page_count")
        sqlite._write_connection.execute(f"pragma max_page_count = {pages + 2}")

        with pytest.raises(UnavailableError, match="full"):
            await sqlite.commit(put("without space"))
        sqlite._write_connection.execute(f"pragma max_page_count = {pages + 1_000}")
        await sqlite.commit(put("after"))

        with raw(path) as connection:
            assert list(connection.execute("select name from sealed_secrets order by 1")) == [("after",), ("before",)]

    async def test_a_full_disk_stores_no_trace(self, sqlite, path, new_tenant):
        """Traces that found no space, and the texts first seen in them, are not remembered: they come again and are."""
        acme = await new_tenant(sqlite, "org_acme")
        traces = [acme.trace(f"t{number}", log=b"x" * 50_000) for number in range(20)]
        pages = sqlite._write_connection.pragma("page_count")
        sqlite._write_connection.execute(f"pragma max_page_count = {pages + 20}")

        with pytest.raises(UnavailableError):
            await acme.ingest(*traces)
        sqlite._write_connection.execute(f"pragma max_page_count = {pages + 1_000}")

        assert await acme.ingest(*traces) == [TraceOutcome.STORED] * 20
        with raw(path) as connection:
            named = "select count(*) from traces t join labels l on l.number = t.agent and l.value = 'support-bot'"
            assert list(connection.execute(named)) == [(20,)]

    async def test_a_locked_database_is_unavailable(self, sqlite, path, clock):
        """When another process keeps the write lock past the timeout, a commit fails and the next one may succeed."""
        with raw(path) as other:
            other.execute("begin immediate")
            committing = asyncio.create_task(sqlite.commit(put("a")))
            await asyncio.sleep(0)
            clock.advance(us=LOCK_WITHIN_US)
            with pytest.raises(UnavailableError, match="locked"):
                await committing
            other.execute("rollback")

        assert await sqlite.commit(put("b")) == Written([[]], [])

    async def test_a_lock_is_waited_for_once(self, sqlite, path, clock):
        """Writes that cannot have the write lock fail together, also those that came while the first waited for it."""
        with raw(path) as other:
            other.execute("begin immediate")
            tasks = [asyncio.create_task(sqlite.commit(put("first")))]
            await asyncio.sleep(0)
            tasks += [asyncio.create_task(sqlite.commit(put(f"n{number}"))) for number in range(10)]
            await asyncio.sleep(0)
            clock.advance(us=LOCK_WITHIN_US)
            async with asyncio.timeout(10):
                results = await asyncio.gather(*tasks, return_exceptions=True)
            other.execute("rollback")

        assert [type(result) for result in results] == [UnavailableError] * 11

    async def test_a_read_only_database_is_unavailable(self, sqlite):
        """A database that cannot be written answers reads, and says why it does not commit."""
        await sqlite.commit(put("before"))
        sqlite._write_connection.execute("pragma query_only = on")

        with pytest.raises(UnavailableError, match="permissions"):
            await sqlite.commit(put("a"))
        assert len(await sqlite.rows("find_secret", {"name": "before"})) == 1
        sqlite._write_connection.execute("pragma query_only = off")
        assert await sqlite.commit(put("b")) == Written([[]], [])

    async def test_writing_goes_on_after_a_loop_is_gone(self, path, clock):
        """Writes whose event loop ended before their commit are committed, and the store closes in order."""
        store = SqliteStore(path, clock, durability=Durability.FULL, checkpoints=True)
        gone = asyncio.new_event_loop()

        async def submit() -> None:
            store.writer.submit(put("a"))

        with raw(path) as other:
            other.execute("begin immediate")
            await asyncio.to_thread(gone.run_until_complete, submit())
            gone.close()
            other.execute("rollback")
        await store.close()

        with raw(path) as connection:
            assert list(connection.execute("select name from sealed_secrets")) == [("a",)]
