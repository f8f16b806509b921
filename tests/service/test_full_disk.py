"""A disk that fills up under a running installation: decisions go on while they can, nothing acknowledged is lost."""

import resource
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from harness import Answer, Installation, Platform, Sandbox, Server, running, start_platform, wait_for

MIB = 1 << 20
TMPFS_MB = 96
AT_ONCE = 8  # requests whose writes share a commit
FILLER_BYTES = 256 << 10


def trace(trace_id: str) -> dict[str, Any]:
    """A trace of one kilobyte, the same each time it is sent."""
    return {"traceId": trace_id, "status": "success", "metadata": {"spanId": "s", "text": trace_id * 100}}


def ingest(server: Server, name: str, count: int = 20) -> Answer:
    """Send some traces."""
    return server.agent.ingest(*(trace(f"{name}-{number}") for number in range(count)))


def register(server: Server, agent: str) -> str:
    """An agent; its id."""
    return server.agent.post("/api/v1/agents", {"agentId": agent, "name": agent}).data["id"]


class TestMark:
    def test_below_it_traces_wait_outside_and_everything_else_goes_on(self, tmp_path):
        """Below the mark ingest answers 503; decisions, the kill switch and deliveries are committed as ever."""
        with running(Sandbox(tmp_path)) as sandbox:
            installation = Installation(tmp_path, datadog_sandbox_url=sandbox.url)
            installation.add_destination()
            with running(installation.serve("--no-worker")) as server:
                agent = register(server, "bot")
                assert ingest(server, "before").status == 202
            with running(installation.serve(free_space_mb_min="999999999")) as server:
                refused, empty = ingest(server, "during"), server.agent.ingest()
                allowed = server.agent.enforce("bot")
                paused = server.admin.patch(f"/api/v1/agents/{agent}/pause", {"reason": "test"})
                blocked = server.agent.enforce("bot")
                resumed = server.admin.patch(f"/api/v1/agents/{agent}/resume")
                committed = server.wait_until_delivered()
            reserve = (installation.data_dir / "execlave.reserve").stat()

        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "DISK_LOW", "30")
        assert "nearly full" in refused.json["error"]["message"]
        assert empty.status == 202
        assert (allowed.status, paused.status, blocked.status, resumed.status) == (200, 200, 403, 200)
        assert installation.rows("select count(*) from decisions") == [(2,)]
        assert committed == 21  # and the one that was blocked
        assert reserve.st_blocks * 512 >= reserve.st_size == 64 * MIB


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform of the test's own."""
    with start_platform(tmp_path) as started:
        yield started


@contextmanager
def unwritable(*pids: int) -> Iterator[None]:
    """Let some processes write no file beyond its first bytes, as on a disk that has no space left."""
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY)) for pid in pids]
    try:
        yield
    finally:
        for pid, limits in zip(pids, before, strict=True):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


class TestNothingCanBeWritten:
    def test_everything_comes_back_by_itself(self, platform):
        """While no write succeeds nothing is acknowledged or allowed; when they do again, the same processes go on.

        Their log cannot be written either: it is on the same disk.
        """
        server, sandbox = platform.server, platform.sandbox
        register(server, "bot")
        sandbox.fail({"times": None, "delay_ms": 1_000})
        first = ingest(server, "first")
        pids = server.child("server-process"), server.child("worker")
        wait_for(lambda: sandbox.stats()["faults_applied"], "a delivery under way")
        with unwritable(*pids), ThreadPoolExecutor(AT_ONCE) as clients:
            during = list(clients.map(lambda number: ingest(server, f"during-{number}"), range(10 * AT_ONCE)))
            decided, unreadable = server.agent.enforce("bot"), server.agent.post("/api/v1/policies/enforce", b"{")
            read = server.agent.get("/api/v1/agents/bot")
            delivered = len(sandbox.wait_for_logs(lambda _: True, 20))
        sandbox.fail()
        again = wait_for(lambda: (found := ingest(server, "during-0")).status == 202 and found, "an ingest that works")
        allowed = server.agent.enforce("bot")
        committed = server.wait_until_delivered()
        logs = sandbox.logs()

        assert first.status == 202
        assert {(each.status, each.code) for each in during} == {(503, "UNAVAILABLE")}
        assert (decided.status, unreadable.status, read.status) == (503, 403, 200)
        assert unreadable.json["allowed"] is False
        assert delivered == 20
        assert again.json.get("duplicates", 0) == 0
        assert (allowed.status, allowed.json["allowed"]) == (200, True)
        assert committed == 40
        assert len(logs) == len({log["execlave"]["trace_id"] for log in logs}) == 40
        assert pids == (server.child("server-process"), server.child("worker"))
        assert platform.installation.rows("pragma integrity_check") == [("ok",)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, name: str) -> Path:
    """A file that takes everything that is left."""
    filler = folder / name
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"\xff" * FILLER_BYTES) == FILLER_BYTES:
            pass
    return filler


class TestSmallDisk:
    def test_a_disk_that_fills_up_and_is_freed(self, small_disk):
        """On a full disk the reserve is given up and decisions go on; when it is used too, they are refused with 503.

        When space is freed everything goes on by itself, and every trace that was acknowledged arrives.
        """
        with start_platform(small_disk, free_space_mb_min="8", reserve_mb="8") as platform:
            server, reserve = platform.server, small_disk / "data" / "execlave.reserve"
            register(server, "bot")
            assert reserve.stat().st_size == 8 * MIB
            first = ingest(server, "first")
            filler = fill(small_disk, "filler")
            wait_for(lambda: not reserve.exists(), "the reserve's release")
            low = wait_for(lambda: (found := ingest(server, "low")).status == 503 and found, "a refusal of traces")
            decided = [server.agent.enforce("bot").status for _ in range(50)]
            second = fill(small_disk, "second")
            refused = wait_for(lambda: (found := server.agent.enforce("bot")).status == 503 and found, "no decision")
            unreadable = server.agent.post("/api/v1/policies/enforce", b"{")
            server.kill_child("server-process")
            server.child("server-process")  # the next one starts on a full disk
            second.unlink()
            filler.unlink()
            wait_for(lambda: server.agent.enforce("bot").status == 200, "a decision")
            again = wait_for(lambda: (found := ingest(server, "low")).status == 202 and found, "traces taken again")
            wait_for(reserve.exists, "the reserve")
            committed = server.wait_until_delivered()
            logs = platform.sandbox.logs()
            checked = platform.installation.rows("pragma integrity_check")

        assert (first.status, low.code, again.status) == (202, "DISK_LOW", 202)
        assert decided == [200] * 50
        assert (refused.code, unreadable.status) == ("UNAVAILABLE", 403)
        assert committed == 40
        assert len({log["execlave"]["trace_id"] for log in logs}) == 40
        assert checked == [("ok",)]
