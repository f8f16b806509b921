"""The numbered migrations of each engine's schema: `<engine>/NNNN_name.sql`."""

import re
from importlib import resources
from typing import NamedTuple

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    sql: str


def load_migrations(engine: str) -> list[Migration]:
    """Every migration of an engine, in order."""
    folder = resources.files("execlave_server.store") / "migrations" / engine
    return sorted(
        Migration(int(match[1]), match[2], file.read_text())
        for file in folder.iterdir()
        if (match := _FILE.fullmatch(file.name))
    )
