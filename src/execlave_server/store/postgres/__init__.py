"""The PostgreSQL engine: committers that commit in groups, and a few readers; any number of processes at once."""

from execlave_server.store.postgres.clock import DatabaseClock
from execlave_server.store.postgres.engine import READERS, PostgresStore, create_database, migrate_database

__all__ = ["READERS", "DatabaseClock", "PostgresStore", "create_database", "migrate_database"]
