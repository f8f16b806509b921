"""The numbered migrations of each engine's schema: `<engine>/NNNN_name.sql`."""

import re
from importlib import resources
from typing import NamedTuple

from execlave_server.errors import DataDirError

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


def refuse_newer(where: str, version: int, known: int) -> None:
    """Raise DataDirError when a schema is of a newer version than this program."""
    if version > known:
        raise DataDirError(
            f"{where} was made by a newer execlave-server (its schema is {version}, this program knows {known}). "
            "Install that version or a newer one here, and restart what still runs; nothing was changed."
        )


def refuse_older(where: str, version: int, known: int, command: str) -> None:
    """Raise DataDirError when a schema has yet to be brought up to date, by a start of `serve` or by this command."""
    if version < known:
        raise DataDirError(
            f"{where} has the schema of an older version ({version}, this program knows {known}). Run `{command}`. If "
            "the program was upgraded while `execlave-server serve` ran, restart that: it migrates as it starts."
        )
