"""Each statement that is read as structs returns exactly their fields, on each engine."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

SOURCE = Path(__file__).parents[2] / "src"
READ_AS = re.compile(r"(?:\.find\(|\._find\(|find_one\([\w.]+,)\s*(_?[A-Z]\w+),\s*\"(\w+)\"")
NAMED_ELSEWHERE = [  # the statement's name stands apart from the struct's
    ("execlave_server.actions.issue_key", "Organization", "find_organization"),
    ("execlave_server.actions.sweep_approvals", "Approval", "approvals_unverified"),
    ("execlave_server.actions.sweep_approvals", "Approval", "approvals_run_out"),
]


def pairs() -> Iterator[tuple[str, str, str]]:
    """(module, struct, statement) wherever the source reads rows as structs."""
    for file in sorted(SOURCE.rglob("*.py")):
        module = ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        for struct, statement in READ_AS.findall(file.read_text()):
            yield module, struct, statement
    yield from NAMED_ELSEWHERE


FOUND = list(dict.fromkeys(pairs()))


def test_the_source_is_read():
    """What this file rests on: the places where rows are read as structs are found in the source."""
    assert len(FOUND) > 80


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("module", "struct", "statement"), FOUND, ids=lambda part: part.rpartition(".")[2])
async def test_columns_are_the_fields(engine, tmp_path, module, struct, statement):
    """A statement read as structs returns exactly their fields, under their names."""
    row_type = getattr(import_module(module), struct)

    fields = [field.encode_name for field in msgspec.structs.fields(row_type)]

    assert sorted(await engine.columns(tmp_path, statement)) == sorted(fields)
