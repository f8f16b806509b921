"""The SQLite engine: one writer thread that commits in groups, and a pool of readers."""

from execlave_server.store.protocol import Durability
from execlave_server.store.sqlite.connection import refuse_affected_sqlite
from execlave_server.store.sqlite.engine import READERS, SqliteStore, create_database, migrate_database

__all__ = ["READERS", "Durability", "SqliteStore", "create_database", "migrate_database", "refuse_affected_sqlite"]
