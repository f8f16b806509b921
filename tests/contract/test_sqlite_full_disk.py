"""The SQLite engine on a full disk, played by a limit on the pages of its file."""

import pytest

from execlave_server.errors import UnavailableError
from execlave_server.model.traces import TraceOutcome
from execlave_server.store.sqlite import Durability, SqliteStore, create_database
from tampering import without_triggers

TEXT = b'"message":"%b"' % (b"m" * 60_000)


class Full:
    """A store whose file may not grow, until somebody makes room, which can be done once."""

    def __init__(self, path, clock) -> None:
        self.rooms = 1
        self.store = SqliteStore(path, clock, durability=Durability.FULL, make_room=self._make_room)
        self._limit(int(self.store._write_connection.pragma("page_count")))

    def _limit(self, pages: int) -> None:
        self.store._write_connection.pragma("max_page_count", pages)

    def _make_room(self) -> bool:
        self.rooms -= 1
        if self.rooms >= 0:
            self._limit(1_000)
        return self.rooms >= 0


@pytest.fixture
async def full(tmp_path, clock):
    """A new database that is full."""
    create_database(tmp_path / "execlave.db", clock)
    made = Full(tmp_path / "execlave.db", clock)
    yield made
    await made.store.close()


async def test_a_commit_that_finds_the_disk_full_is_tried_again_in_the_room_that_is_made(full, new_tenant):
    """What can be freed is freed before a write is refused: nobody notices."""
    acme = await new_tenant(full.store, "org_acme")

    assert await acme.ingest(acme.trace("t1", log=TEXT)) == [TraceOutcome.STORED]
    assert full.rooms == 0


async def test_where_no_room_is_left_the_write_is_refused(full, new_tenant):
    """A write that does not fit is refused as unavailable, whole; a smaller one beside it may still go."""
    acme = await new_tenant(full.store, "org_acme")
    await acme.ingest(acme.trace("t1", log=TEXT))
    full._limit(int(full.store._write_connection.pragma("page_count")))

    with pytest.raises(UnavailableError, match="disk is full"):
        await acme.ingest(acme.trace("t2", log=TEXT))
    await acme.store.commit(acme.write(calls=[acme.registration()]))

    assert await full.store.rows("newest_trace") == [(1,)]
    assert len(await full.store.rows("search_agents", PAGE | {"organization": acme.number})) == 1


PAGE = {"search": "", "limit": 10, "offset": 0}


async def test_pages_that_were_freed_are_told(full, new_tenant):
    """What a sweep frees in the file is counted, in bytes: traces can be stored there."""
    acme = await new_tenant(full.store, "org_acme")
    await acme.ingest(acme.trace("t1", log=TEXT))
    before = await full.store.rows("reusable_bytes")
    with without_triggers(full.store._write_connection):
        full.store._write_connection.execute("delete from traces")
    after = await full.store.rows("reusable_bytes")

    assert before == [(0,)]
    assert len(TEXT) * 0.8 < after[0][0] < len(TEXT) * 1.2  # whole pages, of which the schema may have taken one
