"""The PostgreSQL engine: committers that commit in groups, and a few readers; any number of processes at once."""

from execlave_server.store.postgres.clock import DatabaseClock
from execlave_server.store.postgres.engine import READERS, PostgresStore, create_database, migrate_database
from execlave_server.store.postgres.transaction import DAY_US

__all__ = ["DAY_US", "READERS", "DatabaseClock", "PostgresStore", "create_database", "migrate_database"]
