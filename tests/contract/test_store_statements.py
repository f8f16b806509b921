"""The named statements: found by name, valid against the schema, repeated for many rows."""

import re
from importlib import resources
from pathlib import Path

import apsw
import apsw.ext
import asyncpg
import pytest

import execlave_server
from execlave_server.store.sqlite import create_database
from execlave_server.store.statements import load_statements, parse_statements
from postgres_server import TEMPLATE

STATEMENTS = load_statements("sqlite")
OF_POSTGRES = load_statements("postgres")
POSTGRES_TYPES = {"int2", "int4", "int8", "float8", "text", "bytea", "void"}  # what `protocol.Value` can be


@pytest.fixture
def database(tmp_path, clock):
    """A connection to a new SQLite database."""
    create_database(tmp_path / "execlave.db", clock)
    connection = apsw.Connection(str(tmp_path / "execlave.db"))
    yield connection
    connection.close()


@pytest.mark.parametrize("folder", ["", "sqlite", "postgres"])
def test_names_are_unique(folder):
    """No two statements of one folder have the same name."""
    sql = resources.files("execlave_server.store") / "sql" / folder
    texts = [file.read_text() for file in sql.iterdir() if file.name.endswith(".sql")]
    names = [statement.name for text in texts for statement in parse_statements(text)]

    assert len(names) == sum(text.count("-- name:") for text in texts)
    assert len(names) == len(set(names)) > 0
    assert set(names) <= set(STATEMENTS) | set(OF_POSTGRES)


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_fits_the_schema(database, name):
    """Each statement compiles against the schema, with the parameters that were read from its text."""
    statement = STATEMENTS[name]

    details = apsw.ext.query_info(database, statement.sql, dict.fromkeys(statement.parameters))

    assert details.query_remaining is None
    assert details.bindings_names == statement.parameters
    assert details.bindings_count == len(statement.parameters)


@pytest.mark.parametrize("name", OF_POSTGRES)
async def test_every_statement_fits_the_schema_of_postgres(postgres, name):
    """Each statement is prepared against the schema, and returns nothing but what every engine returns."""
    statement = OF_POSTGRES[name]
    connection = await asyncpg.connect(postgres.url(TEMPLATE))

    try:
        prepared = await connection.prepare(statement.numbered)
        parameters, columns = prepared.get_parameters(), prepared.get_attributes()
    finally:
        await connection.close()

    assert len(parameters) == len(statement.parameters)
    assert {column.type.name for column in columns} <= POSTGRES_TYPES


def test_the_engines_have_the_same_statements_for_the_product():
    """What the product calls by name is there on both engines, under the same parameters."""
    source = Path(execlave_server.__file__).parent
    called = {
        name
        for file in source.rglob("*.py")
        if "store" not in file.relative_to(source).parts
        for name in re.findall(r'"([a-z_]+)"', file.read_text())
    }
    used = called & (set(STATEMENTS) | set(OF_POSTGRES))

    assert len(used) > 30
    for name in used:
        assert set(STATEMENTS[name].parameters) == set(OF_POSTGRES[name].parameters), name


def test_parameters_become_numbers():
    """PostgreSQL's text has a number for each name, the same one wherever the name stands, and leaves casts alone."""
    (statement,) = parse_statements("-- name: one\nselect :b, cast(:a as text), :b::bigint, x::text from t")

    assert statement.numbered == "select $1, cast($2 as text), $1::bigint, x::text from t"


def test_a_file_holds_named_statements():
    """The text up to the next name is one statement; its parameters come in the order of their first use."""
    text = """-- a remark before
        \n-- name: one\nselect :b, :a, :b, x::text from t where at > '10:30';\n
        \n-- name: two\ninsert into t (a, b)\nvalues (:a,\n  :b) on conflict do nothing\n"""

    one, two = parse_statements(text)

    assert (one.name, one.parameters) == ("one", ("b", "a"))
    assert one.sql == "select :b, :a, :b, x::text from t where at > '10:30'"
    assert (two.name, two.parameters) == ("two", ("a", "b"))


def test_a_statement_repeats_its_row():
    """A statement for several rows takes their values one after another, and keeps what follows the row."""
    (statement,) = parse_statements(
        "-- name: add\ninsert into t (a, b) values (:a, :b)\non conflict do nothing returning a"
    )
    connection = apsw.Connection(":memory:")
    connection.execute("create table t (a primary key, b)")

    single = list(connection.execute(statement.for_rows(1), (1, "one")))
    several = list(connection.execute(statement.for_rows(3), (1, "again", 2, "two", 3, "three")))

    assert single == [(1,)]
    assert sorted(several) == [(2,), (3,)]
    assert list(connection.execute("select a, b from t order by a")) == [(1, "one"), (2, "two"), (3, "three")]
    connection.close()


def test_rows_of_traces_fill_the_columns_in_order():
    """The values of a trace's row stand in the order of the columns, so that many rows may come by position."""
    statement = STATEMENTS["insert_traces"]
    columns = statement.sql.partition("(")[2].partition(")")[0]

    assert [name.strip() for name in columns.split(",")] == list(statement.parameters)


def test_every_sealed_column_is_rotated(database):
    """No column of sealed secrets is left out of what `secrets rotate` lists."""
    listed = STATEMENTS["list_sealed"].sql
    columns = "select m.name, c.name from sqlite_schema m, pragma_table_info(m.name) c where m.type = 'table'"

    sealed = {(table, column) for table, column in database.execute(columns) if "sealed" in column}

    assert len(sealed) >= 3
    assert {(table, column) for table, column in sealed if f"{column} " not in listed or table not in listed} == set()
