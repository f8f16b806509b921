"""Which database an installation has: SQLite in the data directory, or PostgreSQL wherever it is."""

from enum import Enum, auto

from execlave_server.clock import Clock, SystemClock
from execlave_server.errors import DataDirError
from execlave_server.settings import Settings
from execlave_server.store import postgres, sqlite
from execlave_server.store.protocol import Durability, Store

SERVER_CACHE_KIB = 16_000  # the pages of the newest buckets; 64 MB cost 3 CPU seconds more per million traces
OTHER_CACHE_KIB = 4_000  # the worker and the commands read each page once


class StoreRole(Enum):
    """Who opens the store: one server checkpoints it, workers may lose their last result, commands do neither."""

    SERVER = auto()
    WORKER = auto()
    COMMAND = auto()


def uses_postgres(settings: Settings) -> bool:
    """Whether the database is PostgreSQL, which several servers and workers may share."""
    return bool(settings.database_url)


def clock_of(settings: Settings) -> Clock:
    """The time the installation goes by: this machine's, or the one its machines share, their database's."""
    return postgres.DatabaseClock(SystemClock()) if uses_postgres(settings) else SystemClock()


def require_database(settings: Settings) -> None:
    """Raise DataDirError where there is no SQLite database. Whether PostgreSQL has one shows when it is opened."""
    if not uses_postgres(settings) and not settings.database.exists():
        raise DataDirError(
            f"There is no data directory at {settings.data_dir}. "
            f"Make one: execlave-server init --data-dir {settings.data_dir}"
        )


async def create_database(settings: Settings, clock: Clock) -> None:
    """Make the schema. Raises DataDirError, and for PostgreSQL SettingsError or UnavailableError."""
    if uses_postgres(settings):
        await postgres.create_database(settings.database_url, clock)
    else:
        sqlite.create_database(settings.database, clock)


def remove_database(settings: Settings) -> None:
    """Take back what `create_database` made; a schema in PostgreSQL may stay, the next `init` uses it."""
    if not uses_postgres(settings):
        for suffix in ("", "-wal", "-shm"):
            settings.database.with_name(settings.database.name + suffix).unlink(missing_ok=True)


async def migrate_store(settings: Settings, clock: Clock) -> list[str]:
    """Bring the database up to date; the names of the migrations applied. Raises DataDirError."""
    require_database(settings)
    if uses_postgres(settings):
        return await postgres.migrate_database(settings.database_url, clock)
    return sqlite.migrate_database(settings.database, clock)


async def open_store(settings: Settings, clock: Clock, role: StoreRole) -> Store:
    """The store of an initialised installation. Raises DataDirError."""
    require_database(settings)
    serving, exporting = role is StoreRole.SERVER, role is StoreRole.WORKER
    durability = Durability.NORMAL if exporting else Durability.FULL
    if uses_postgres(settings):
        readers = 1 if exporting else postgres.READERS
        return await postgres.PostgresStore.open(settings.database_url, clock, durability=durability, readers=readers)
    return sqlite.SqliteStore(
        settings.database,
        clock,
        durability=durability,
        checkpoints=serving,
        cache_kib=SERVER_CACHE_KIB if serving else OTHER_CACHE_KIB,
        readers=1 if exporting else sqlite.READERS,
    )
