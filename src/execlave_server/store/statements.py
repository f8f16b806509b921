"""The named SQL statements: `-- name: find_agent` and the text up to the next name."""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_VALUES = re.compile(r"(?<=values )\(([^()]*)\)")


@dataclass(frozen=True)
class Statement:
    """One statement. `parameters` are its names in order of first use."""

    name: str
    sql: str
    parameters: tuple[str, ...]

    @cache  # noqa: B019 - statements live as long as the process
    def for_rows(self, count: int) -> str:
        """The statement with its one `values (...)` repeated, positional: many rows in one step."""
        row = "(" + ", ".join("?" * len(self.parameters)) + ")"
        return _VALUES.sub(", ".join([row] * count), self.sql, count=1)

    @cached_property
    def numbered(self) -> str:
        """The statement with `$1`, `$2` ... for its parameters, as PostgreSQL takes them."""
        return _PARAMETER.sub(lambda match: f"${self.parameters.index(match[1]) + 1}", self.sql)


def load_statements(engine: str) -> dict[str, Statement]:
    """Every statement for an engine: the shared text, replaced where the engine's own folder has the same name."""
    folder = resources.files("execlave_server.store") / "sql"
    statements: dict[str, Statement] = {}
    for source in (folder, folder / engine):
        found: dict[str, Statement] = {}
        for file in sorted(_sql_files(source), key=lambda file: file.name):
            for statement in parse_statements(file.read_text()):
                if statement.name in found:
                    raise ValueError(f"two statements are named {statement.name}")
                found[statement.name] = statement
        statements |= found
    return statements


def parse_statements(text: str) -> list[Statement]:
    """The statements of one file."""
    pieces = _NAME.split(text)[1:]
    statements = []
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        sql = body.strip().rstrip(";")
        statements.append(Statement(name, sql, tuple(dict.fromkeys(_PARAMETER.findall(sql)))))
    return statements


def _sql_files(folder: Traversable) -> list[Traversable]:
    return [file for file in folder.iterdir() if file.name.endswith(".sql")] if folder.is_dir() else []
