"""The newest logs stay searchable, prepared by the rules of their arrival."""

from collections.abc import Iterator

import pytest

from execlave_server.sandbox import log_index
from execlave_server.sandbox.log_index import LogIndex, Place
from execlave_server.sandbox.log_spool import LogSpool
from execlave_server.sandbox.prepare_log import Arrival
from execlave_server.sandbox.rules_in_force import RulesInForce

NOW_US = 1_770_000_000_000_000


@pytest.fixture
def spool() -> Iterator[LogSpool]:
    """An empty spool."""
    spool = LogSpool()
    yield spool
    spool.close()


@pytest.fixture
def index(spool: LogSpool, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogIndex]:
    """An index that keeps ten logs at least."""
    monkeypatch.setattr(log_index, "SEARCHABLE_LOGS_MIN", 10)
    index = LogIndex(spool)
    yield index
    index.close()


def arrive(spool: LogSpool, index: LogIndex, count: int, at_us: int = NOW_US) -> None:
    """Logs come in one request, numbered on."""
    first = spool.total + 1
    spool.append([b'{"message":"%d"}' % number for number in range(first, first + count)], 1, set())
    index.expect(first, count, Arrival(at_us), RulesInForce())


async def found(index: LogIndex) -> list[str]:
    """The messages of all that can be searched, oldest first."""
    await index.catch_up(NOW_US)
    return [log.message async for log in index.walk(index.places(0, NOW_US))]


@pytest.mark.parametrize("count", [1, 3, 10, 11])
async def test_keeps_the_newest_at_least(spool, index, count):
    """However they come, at least the newest ten are searchable and at most twenty, and none is missing between."""
    for total in range(count, 60, count):
        arrive(spool, index, count)
        messages = await found(index)
        assert messages == [str(number) for number in range(total - len(messages) + 1, total + 1)]
        assert min(10, total) <= len(messages) <= 20
        assert index.forgotten == total - len(messages)


async def test_what_nobody_looked_at_is_never_prepared(spool, index):
    """Of many logs that came before anybody looked only the newest are prepared, and their numbers are right."""
    for _ in range(50):
        arrive(spool, index, 7)

    messages = await found(index)

    assert messages[-1] == "350"
    assert messages == [str(number) for number in range(350 - len(messages) + 1, 351)]
    log = index.read(350)
    assert log is not None
    assert log.message == "350"
    assert index.read(1) is None
    assert index.read(351) is None


async def test_a_delay_keeps_logs_back(spool, index):
    """A log waits until its delay is over; others that came later wait behind it."""
    index.indexing_delay_us = 1_000
    arrive(spool, index, 1, NOW_US)
    assert await found(index) == []

    index.indexing_delay_us = 0

    assert await found(index) == ["1"]


async def test_places_are_in_order_of_time(spool, index):
    """Logs are found by their own time, both ends included; of one time by their number."""
    times = [30, 10, 20, 10]
    spool.append([b'{"timestamp":%d}' % (NOW_US // 1_000 + time) for time in times], 1, set())
    index.expect(1, 4, Arrival(NOW_US), RulesInForce())
    await index.catch_up(NOW_US)
    base = NOW_US // 1_000

    assert index.places(base, base + 20) == [Place(base + 10, 2), Place(base + 10, 4), Place(base + 20, 3)]


async def test_forgets_everything(spool, index):
    """After clear() nothing is found, nothing waits, and numbers begin anew."""
    arrive(spool, index, 5)
    await index.catch_up(NOW_US)
    arrive(spool, index, 5)
    index.clear()
    spool.clear()

    arrive(spool, index, 1)

    assert (await found(index), index.forgotten, index.searchable) == (["1"], 0, 1)
