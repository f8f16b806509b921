"""The named statements: found by name, valid against the schema, repeated for many rows."""

from importlib import resources

import apsw
import apsw.ext
import pytest

from execlave_server.store.sqlite import create_database
from execlave_server.store.statements import load_statements, parse_statements

STATEMENTS = load_statements("sqlite")


@pytest.fixture
def database(tmp_path, clock):
    """A connection to a new SQLite database."""
    create_database(tmp_path / "execlave.db", clock)
    connection = apsw.Connection(str(tmp_path / "execlave.db"))
    yield connection
    connection.close()


@pytest.mark.parametrize("folder", ["", "sqlite"])
def test_names_are_unique(folder):
    """No two statements of one folder have the same name."""
    sql = resources.files("execlave_server.store") / "sql" / folder
    texts = [file.read_text() for file in sql.iterdir() if file.name.endswith(".sql")]
    names = [statement.name for text in texts for statement in parse_statements(text)]

    assert len(names) == sum(text.count("-- name:") for text in texts)
    assert len(names) == len(set(names)) > 0
    assert set(names) <= set(STATEMENTS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_fits_the_schema(database, name):
    """Each statement compiles against the schema, with the parameters that were read from its text."""
    statement = STATEMENTS[name]

    details = apsw.ext.query_info(database, statement.sql, dict.fromkeys(statement.parameters))

    assert details.query_remaining is None
    assert details.bindings_names == statement.parameters
    assert details.bindings_count == len(statement.parameters)


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
