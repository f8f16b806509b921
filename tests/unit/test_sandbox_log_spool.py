import itertools
import os
from collections.abc import Iterator

import msgspec
import pytest

from execlave_server.sandbox.limits import PAGE_BYTES_MAX
from execlave_server.sandbox.log_spool import LogSpool, StoredLog


@pytest.fixture
def spool() -> Iterator[LogSpool]:
    """An empty spool."""
    spool = LogSpool()
    yield spool
    spool.close()


def shown(logs: list[StoredLog]) -> list[tuple[int, int, bytes, bool]]:
    """Stored logs as plain values."""
    return [(log.sequence, log.request, bytes(log.log), log.truncated) for log in logs]


def test_gives_logs_back_in_arrival_order(spool):
    """Logs come back byte for byte, numbered from 1, with the request that brought them."""
    spool.append([b'{"a":1}', msgspec.Raw(b'{"b" : 2}')], 1, set())
    spool.append([], 2, set())
    spool.append([b"{}"], 3, set())

    assert spool.total == 3
    assert shown(spool.page(0, 10)) == [
        (1, 1, b'{"a":1}', False),
        (2, 1, b'{"b" : 2}', False),
        (3, 3, b"{}", False),
    ]


def test_pages_join_up(spool):
    """Pages of any length, each after the last log of the one before, give every log once."""
    logs = [b'{"n":%d}' % n for n in range(25)]
    for request, start in enumerate(range(0, 25, 5), 1):
        spool.append(logs[start : start + 5], request, set())

    for limit in (1, 7, 25, 26):
        pages = [spool.page(after, limit) for after in range(0, 25, limit)]
        assert [bytes(log.log) for log in itertools.chain(*pages)] == logs
        assert all(len(page) <= limit for page in pages)


def test_there_is_nothing_after_the_end(spool):
    """Past the last log, or with no logs at all, a page is empty."""
    assert spool.page(0, 10) == []

    spool.append([b"{}"], 1, set())

    assert spool.page(1, 10) == []
    assert spool.page(10**18, 10) == []


def test_marks_truncated_logs(spool):
    """A log is marked by its place in its own request."""
    spool.append([b"1", b"2"], 1, {1})
    spool.append([b"3", b"4"], 2, {0})

    assert [log.sequence for log in spool.page(0, 10) if log.truncated] == [2, 3]


def test_a_page_of_long_logs_ends_early(spool):
    """A page holds no more bytes than its limit, the limit included, and goes on where it ended."""
    part = b"x" * (PAGE_BYTES_MAX // 4)
    spool.append([part] * 9, 1, set())

    assert [len(spool.page(after, 9)) for after in (0, 4, 8)] == [4, 4, 1]


def test_a_log_longer_than_a_page_is_a_page(spool):
    """A page is never empty while logs follow, however long the next one is."""
    spool.append([b"x" * (PAGE_BYTES_MAX + 1), b"y"], 1, set())

    assert [log.sequence for log in spool.page(0, 10)] == [1]
    assert shown(spool.page(1, 10)) == [(2, 1, b"y", False)]


def test_forgets_everything(spool):
    """After clear() numbering begins anew, old marks are gone, and the disk is free."""
    spool.append([b"1", b"22"], 1, {0})

    assert spool.clear() == 2
    assert os.fstat(spool._file.fileno()).st_size == 0
    assert spool.page(0, 10) == []

    spool.append([b"333"], 9, set())

    assert shown(spool.page(0, 10)) == [(1, 9, b"333", False)]
