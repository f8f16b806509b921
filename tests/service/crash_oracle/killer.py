"""What happens to the product's processes: killed, stopped, without disk, or in another time, at random moments."""

import os
import random
import resource
import signal
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from harness import Program, Server, is_running, kill_process, wait_for

from crash_oracle.engines import Engine, PostgresEngine
from crash_oracle.exposures import Exposures

STOP_S = (0.5, 3.0)
LONG_STOP_S = 26.0  # past a lease (20 s), while another worker is there to take over
FULL_S = (0.5, 3.0)
KILLED_WHILE_FULL = 0.4  # the share of full disks in whose middle the process is killed
# No file grows past this while the disk is full: either the write-ahead log alone, or the process's own logs as well.
FULL_AT_BYTES = (1 << 20, 0)
RECONNECTED_S = 2.0  # a process that lost its database tries again every second
BALLAST_BYTES = 1 << 20  # at a time
ORPHANS_GONE_S = 7.5  # the children of a killed parent finish what they do; 8 s after it they are cut off
ANSWERED_S = 5.0  # the longest the sandbox takes for an answer that comes at all
CLOCK_OFF_S = 7_200.0  # at most, either way: Datadog still takes a log that is so far from the present


class Blow(StrEnum):
    """One thing that happens to a process."""

    KILL_SERVER = "kill server"
    KILL_WORKER = "kill worker"
    KILL_SERVE = "kill serve"
    STOP_WORKER = "stop worker"
    STOP_PAST_LEASE = "stop worker past its lease"
    FULL_FOR_SERVER = "disk full for the server"
    FULL_FOR_WORKER = "disk full for the worker"
    CLOCK_FORWARD = "clock forward"
    CLOCK_BACK = "clock back"
    KILL_BACKEND = "kill a backend of PostgreSQL"
    RESTART_DATABASE = "restart PostgreSQL"

    @property
    def kills(self) -> bool:
        """Whether it is a SIGKILL of one of the product's processes."""
        return self in {Blow.KILL_SERVER, Blow.KILL_WORKER, Blow.KILL_SERVE}


ROUND = (
    *(Blow.KILL_SERVER, Blow.KILL_WORKER) * 4,
    *(Blow.KILL_SERVE,) * 3,
    *(Blow.STOP_WORKER, Blow.FULL_FOR_SERVER, Blow.FULL_FOR_WORKER, Blow.CLOCK_FORWARD, Blow.CLOCK_BACK),
)
SHORT_ROUND = (
    *(Blow.KILL_SERVER, Blow.KILL_WORKER, Blow.KILL_SERVE, Blow.STOP_WORKER),
    *(Blow.FULL_FOR_SERVER, Blow.CLOCK_FORWARD, Blow.CLOCK_BACK),
)
POSTGRES_ROUND = (Blow.KILL_BACKEND, Blow.RESTART_DATABASE)


class Fleet:
    """The `serve` processes: one on SQLite, several on PostgreSQL. One that was killed comes back on its port."""

    def __init__(self, engine: Engine) -> None:
        self._installation = engine.installation
        self.servers: list[Server] = [engine.installation.serve() for _ in range(engine.serves)]

    def urls(self) -> list[str]:
        """Where they answer."""
        return [server.url for server in self.servers]

    def kill(self, index: int) -> None:
        """SIGKILL a parent, and start another in its place, which waits while its database is away."""
        self.servers[index].kill()
        self.servers[index] = self._installation.serve(port=self.servers[index].port)

    def extra_worker(self) -> Program:
        """A worker beside those of the `serve`s."""
        installation = self._installation
        log_file = installation.folder / "serve-extra-worker.log"
        worker = Program(["worker", "--data-dir", str(installation.data_dir)], log_file, installation.environment)
        worker.wait_for_line("worker.ready")
        return worker

    def stop(self) -> None:
        """End them as an operator does."""
        for server in self.servers:
            server.stop()


class ShiftedClock:
    """The file in which the product's processes read how far their clock is off."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0.0)

    def set(self, offset_s: float) -> None:
        """Make every process's clock jump."""
        self.offset_s = offset_s
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("<q", round(self.offset_s * 1_000_000)))


class Killer:
    """Deals blows in a seeded order, spread over the time there is."""

    def __init__(self, seed: int, fleet: Fleet, engine: Engine, clock: ShiftedClock, exposures: Exposures) -> None:
        self._chance = random.Random(f"{seed} killer")  # noqa: S311 - a plan to be repeated
        self._fleet = fleet
        self._engine = engine
        self._clock = clock
        self._exposures = exposures
        self.dealt: Counter[str] = Counter()

    def run(self, stopping: threading.Event, blows: Sequence[Blow], seconds: float) -> None:
        """Deal every blow once in about that time, then again until told to stop."""
        rounds = 0
        while True:
            order = self._chance.sample(blows, len(blows))
            ends_at = time.monotonic() + seconds
            for done, blow in enumerate(order):
                if rounds and stopping.is_set():
                    return
                left_s = max(0.0, ends_at - time.monotonic()) / (len(order) - done)
                time.sleep(self._chance.uniform(0.3, 1.0) * left_s)
                self._deal(blow)
                self.dealt[blow] += 1
            rounds += 1

    def _deal(self, blow: Blow) -> None:
        index = self._chance.randrange(len(self._fleet.servers))
        server = self._fleet.servers[index]
        match blow:
            case Blow.KILL_SERVER:
                server.kill_child("server-process")
            case Blow.KILL_WORKER:
                with self._exposures.during(blow):
                    server.kill_child("worker")
            case Blow.KILL_SERVE:
                self._watch_orphan(server.child("worker"))
                self._fleet.kill(index)
            case Blow.STOP_WORKER:
                _stop(server.child("worker"), self._chance.uniform(*STOP_S))  # no request takes too long by it
            case Blow.STOP_PAST_LEASE:
                self._stop_past_lease(server)
            case _:
                self._deal_from_without(blow, server)

    def _watch_orphan(self, worker: int) -> None:
        """A worker whose parent dies ends in order, unless that takes too long: then it has not written everything."""

        def watch() -> None:
            killed_at = time.monotonic()
            wait_for(lambda: not is_running(worker), "the end of an orphan")
            gone_at = time.monotonic()
            if gone_at > killed_at + ORPHANS_GONE_S:
                self._exposures.add(Blow.KILL_SERVE, killed_at, gone_at)

        threading.Thread(target=watch, daemon=True).start()

    def _deal_from_without(self, blow: Blow, server: Server) -> None:
        """The disk, the clock and the database."""
        match blow:
            case Blow.FULL_FOR_SERVER:
                self._fill_disk(server.child("server-process"))
            case Blow.FULL_FOR_WORKER:
                with self._exposures.during(blow):
                    self._fill_disk(server.child("worker"))
            case Blow.CLOCK_FORWARD:
                now = time.monotonic()
                self._exposures.add(blow, now, now + ANSWERED_S)  # what is under way has outlived its lease
                self._clock.set(self._chance.uniform(self._clock.offset_s, CLOCK_OFF_S))
            case Blow.CLOCK_BACK:
                self._clock.set(self._chance.uniform(-CLOCK_OFF_S, self._clock.offset_s))
            case Blow.KILL_BACKEND:
                self._hit_database(blow, lambda engine: engine.kill_backend())
            case Blow.RESTART_DATABASE:
                self._hit_database(blow, lambda engine: engine.restart())

    def _stop_past_lease(self, server: Server) -> None:
        """The worker sleeps while another takes its leases; awake, it must not overwrite what that one wrote."""
        extra = self._fleet.extra_worker()
        try:
            with self._exposures.during(Blow.STOP_PAST_LEASE):
                _stop(server.child("worker"), LONG_STOP_S)
        finally:
            extra.stop()

    def _fill_disk(self, pid: int) -> None:
        """Nothing more can be written for a while, by anybody on a disk of its own, else by this process alone."""
        data_dir = self._engine.installation.data_dir
        if data_dir.is_mount():
            self._fill_for_all(data_dir / "ballast", pid)
        else:
            self._fill_for_one(pid)

    def _fill_for_all(self, ballast: Path, pid: int) -> None:
        try:
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(BALLAST_BYTES)):
                    pass
            time.sleep(self._chance.uniform(*FULL_S))
            if self._chance.random() < KILLED_WHILE_FULL and is_running(pid):
                kill_process(pid)
        finally:
            ballast.unlink()

    def _fill_for_one(self, pid: int) -> None:
        no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        full_at_bytes = self._chance.choice(FULL_AT_BYTES)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (full_at_bytes, resource.RLIM_INFINITY))
        time.sleep(self._chance.uniform(*FULL_S))
        if self._chance.random() < KILLED_WHILE_FULL and is_running(pid):
            kill_process(pid)
        elif is_running(pid):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, no_limit)

    def _hit_database(self, blow: Blow, hit: Callable[[PostgresEngine], None]) -> None:
        assert isinstance(self._engine, PostgresEngine), blow
        with self._exposures.during(blow):
            hit(self._engine)
            wait_for(self._engine.answers, "the database's return")
            time.sleep(RECONNECTED_S)


def _stop(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
