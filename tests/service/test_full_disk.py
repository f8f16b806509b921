"""A disk that takes nothing more, not even the server's own log lines: RLIMIT_FSIZE of the running processes."""

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from harness import Server, start_platform

CLIENTS = 16  # at once, so that a group of writes fails together, which is logged
REQUESTS = 96


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """Inside, nothing that a process of the server writes into a file gets there."""
    pids = [server.child("server-process"), server.child("worker")]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_full_disk_is_answered_and_forgotten(tmp_path):
    """While nothing can be written each request is answered 503 at once; afterwards the same processes go on."""
    with start_platform(tmp_path) as platform:
        ingest = platform.server.agent.ingest
        items = [{"traceId": f"full-{number}", "status": "success"} for number in range(REQUESTS)]
        before = platform.server.children()
        with full_disk(platform.server), ThreadPoolExecutor(CLIENTS) as clients:
            refused = list(clients.map(ingest, items))
        accepted = ingest(*items)
        platform.server.wait_until_delivered()

        assert {answer.status for answer in refused} == {503}
        assert (accepted.status, accepted.json["accepted"]) == (202, REQUESTS)
        assert platform.server.children() == before
        assert len(platform.sandbox.logs()) == REQUESTS
        assert "Traceback" not in platform.server.log
