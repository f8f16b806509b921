from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nodes import Engine, Node, OnPostgres, OnSqlite, StartNode, nodes
from postgres_server import Postgres


@pytest.fixture
def on_postgres(postgres: Postgres, tmp_path: Path) -> Iterator[Engine]:
    """Opens the one PostgreSQL database of the test."""
    yield OnPostgres(postgres)
    postgres.drop_database_of(tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Opens the one database of the test, on each engine in turn."""
    if request.param == "sqlite":
        return OnSqlite()
    engine: Engine = request.getfixturevalue("on_postgres")
    return engine


@pytest.fixture
async def node(engine: Engine, tmp_path: Path) -> AsyncIterator[Node]:
    """A server, on each engine in turn."""
    async with nodes(tmp_path, engine) as start:
        yield await start()


@pytest.fixture
async def start_node(on_postgres: Engine, tmp_path: Path) -> AsyncIterator[StartNode]:
    """Starts servers on one PostgreSQL database."""
    async with nodes(tmp_path, on_postgres) as start:
        yield start
