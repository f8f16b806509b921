from collections.abc import Iterator

import pytest

from postgres_server import Postgres, start_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, for every test that asks for it."""
    with start_postgres() as started:
        yield started
