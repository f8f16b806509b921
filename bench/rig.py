"""What the benchmarks share: the product as processes on one core, a lean client on the other, the machine's noise."""

import contextlib
import copy
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from tampering import without_triggers

PRODUCT_CORE, GENERATOR_CORE = 0, 1  # what is measured has a core to itself; everything else shares the other
FDATASYNC_SAMPLES = 200  # before and again after each round
FDATASYNC_BYTES = 4_096
START_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0
POLL_S = 0.002
DATADOG_KEY = "0123456789abcdef0123456789abcdef"
AGENTS = {
    "support-bot": "observe",
    "refund-agent": "act_with_approval",
    "research-agent": "advise",
    "ops-agent": "autonomous",
}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


# The machine.


def require_cores() -> None:
    """Put this process on the generator's core. Ends the program where there are fewer than two."""
    if not {PRODUCT_CORE, GENERATOR_CORE} <= os.sched_getaffinity(0):
        sys.exit("The benchmarks need the cores 0 and 1 for themselves.")
    os.sched_setaffinity(0, {GENERATOR_CORE})


@contextlib.contextmanager
def on_product_core() -> Iterator[None]:
    """What runs or is started in here has the product's core, and keeps it."""
    os.sched_setaffinity(0, {PRODUCT_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {GENERATOR_CORE})


def allow_every_core(pid: int) -> None:
    """Let a process, with all of its threads, run where the kernel wants it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {PRODUCT_CORE, GENERATOR_CORE})


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all of its threads, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def peak_rss_mb(pid: int | str = "self") -> float:
    """The most memory a process ever had resident (VmHWM), in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_024


def fdatasync_ms(folder: Path) -> list[float]:
    """How long 4 KiB appends take to reach the disk, each with its own fdatasync."""
    file, block, times = folder / "fdatasync", os.urandom(FDATASYNC_BYTES), []
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(FDATASYNC_SAMPLES):
            started = time.perf_counter()
            os.write(descriptor, block)
            os.fdatasync(descriptor)
            times.append((time.perf_counter() - started) * 1e3)
    finally:
        os.close(descriptor)
        file.unlink()
    return times


def _cpu_ticks() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def core_seconds(core: int) -> float:
    """How long a core has worked so far, for whomever; what the host stole is part of it."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            ticks = [int(field) for field in line.split()[1:9]]
            return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS_PER_S
    raise RuntimeError(f"there is no core {core}")


@contextlib.contextmanager
def noise_of(folder: Path, row: dict[str, float]) -> Iterator[None]:
    """Add to a round's row what the host did meanwhile: the time it stole, and what a commit on its disk costs."""
    syncs, before = fdatasync_ms(folder), _cpu_ticks()
    yield
    ticks = [after - first for first, after in zip(before, _cpu_ticks(), strict=True)]
    row["steal_%"] = 100 * ticks[7] / max(sum(ticks), 1)
    row["fdatasync_p50_ms"] = percentile(syncs + fdatasync_ms(folder), 50)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def spread_ms(row: dict[str, float], times_s: Sequence[float]) -> None:
    """Add p50, p99 and maximum to a round's row."""
    row |= {"p50_ms": percentile(times_s, 50) * 1e3, "p99_ms": percentile(times_s, 99) * 1e3}
    row["max_ms"] = max(times_s) * 1e3


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder of its own, gone afterwards; BENCH_DIR chooses the disk it is on."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", dir=os.environ.get("BENCH_DIR")) as folder:
        yield Path(folder)


# The client.


class Client:
    """One persistent connection; a request at a time, written and read with as little Python as possible."""

    def __init__(self, port: int, key: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f" HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """The answer's status and body."""
        head = f"{method} {path}{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head_bytes, _, received = answer.partition(b"\r\n\r\n")
        pieces, missing = [received], content_length(head_bytes) - len(received)
        while missing > 0:
            pieces.append(self._receive())
            missing -= len(pieces[-1])
        return int(head_bytes[9:12]), b"".join(pieces)

    def json(self, method: str, path: str, content: object = None) -> dict:
        """The answer's JSON. Raises RuntimeError unless its status is a success."""
        status, body = self.request(method, path, b"" if content is None else json.dumps(content).encode())
        if status // 100 != 2:
            raise RuntimeError(f"{method} {path} was answered {status}: {body.decode()}")
        return json.loads(body)

    def _receive(self) -> bytes:
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the connection was closed before the answer was complete")
        return piece


def content_length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


# The product.


class Product:
    """A data directory with an organization, four registered agents, and a destination that points at the sink."""

    def __init__(self, folder: Path, sink_port: int) -> None:
        self.folder, self.data_dir = folder, folder / "data"
        sink = f"http://127.0.0.1:{sink_port}"
        self._environment = os.environ | {
            "PYTHONDONTWRITEBYTECODE": "",  # it is compiled once, as an installation is
            "EXECLAVE_SERVER_KEK": f"file:{folder / 'kek'}",
            "EXECLAVE_SERVER_DATADOG_INTAKE_URLS": f"datadoghq.com={sink}/api/v2/logs",
            "EXECLAVE_SERVER_DATADOG_API_URLS": f"datadoghq.com={sink}",
        }
        self._started = itertools.count()
        made = self._command("init", "--json")
        self.key, self.admin_key = made["apiKey"], made["adminKey"]
        self.add_destination("bench", "datadoghq.com")

    def add_destination(self, name: str, site: str) -> None:
        """Another destination, tested and enabled. Its site's address is a setting: see `at`."""
        options = ["--name", name, "--site", site, "--service", "agents-prod", "--json", "--enable"]
        tags = ["--ddtags", "env:production,team:platform", "--api-key-stdin", "--no-heartbeat", "--no-events"]
        added = self._command("destination", "add", "datadog", *options, *tags, given=DATADOG_KEY)
        if added["state"] != "enabled":
            raise RuntimeError(f"the destination was not enabled: {added}")

    def at(self, site: str, sink_port: int) -> None:
        """Another site, at a sink of its own."""
        for kind, path in (("INTAKE", "/api/v2/logs"), ("API", "")):
            name = f"EXECLAVE_SERVER_DATADOG_{kind}_URLS"
            self._environment[name] += f",{site}=http://127.0.0.1:{sink_port}{path}"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "execlave.db"

    @contextlib.contextmanager
    def serving(self, *, register: bool = True, pinned: bool = True, tiers: bool = False) -> Iterator[tuple[int, int]]:
        """`serve --no-worker`: its port, and the process that answers, alone on the product's core if pinned.

        The policies that the agents' levels bring are taken away unless `tiers` says otherwise: what a policy costs is
        measured apart.
        """
        with self._process("serve", "--no-worker", "--port", "0") as (parent, log):
            _wait_for(parent, log, b"server.ready")
            os.sched_setaffinity(parent.pid, {GENERATOR_CORE})
            child = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
            if not pinned:
                allow_every_core(child)
            port = int(re.findall(rb"Serving on http://127.0.0.1:(\d+)", log.read_bytes())[0])
            client = Client(port, self.key)
            for agent, level in AGENTS.items() if register else ():
                agent_name = agent.replace("-", " ").title()
                registration = {"agentId": agent, "name": agent_name, "environment": "production"}
                client.json("POST", "/api/v1/agents", registration | {"autonomyLevel": level})
            if not tiers:
                self._remove_policies(port)
            yield port, child

    def add_policies(self, port: int, bodies: Sequence[dict]) -> None:
        """Policies in force from the next request on."""
        admin = Client(port, self.admin_key)
        for body in bodies:
            admin.json("POST", "/api/v1/policies", body)

    def _remove_policies(self, port: int) -> None:
        admin = Client(port, self.admin_key)
        for policy in admin.json("GET", "/api/v1/policies")["data"]:
            admin.json("DELETE", f"/api/v1/policies/{policy['id']}")

    @contextlib.contextmanager
    def working(self, *, pinned: bool = True) -> Iterator[int]:
        """`worker` on the product's core, from the moment it is ready; on every core if not pinned."""
        with self._process("worker") as (process, log):
            _wait_for(process, log, b"worker.ready")
            if not pinned:
                allow_every_core(process.pid)
            yield process.pid

    @contextlib.contextmanager
    def copied(self) -> Iterator["Product"]:
        """The same on a copy of the data directory, which is gone afterwards. No process may be running."""
        twin = copy.copy(self)
        twin.data_dir = self.folder / "copy"
        shutil.copytree(self.data_dir, twin.data_dir)
        with twin.database.open("rb") as database:
            os.fsync(database.fileno())  # else it would be written back while the round is measured
        try:
            yield twin
        finally:
            shutil.rmtree(twin.data_dir)

    def count(self, query: str) -> int:
        """One number from the database, read only."""
        connection = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return connection.execute(query).fetchone()[0]
        finally:
            connection.close()

    @property
    def environment(self) -> dict[str, str]:
        """What its commands are started with."""
        return dict(self._environment)

    def set(self, **settings: str) -> None:
        """Settings for the processes started from now on."""
        self._environment = self._environment | {
            f"EXECLAVE_SERVER_{name.upper()}": text for name, text in settings.items()
        }

    def change(self, statement: str) -> None:
        """Change the database past its triggers, as only a benchmark may. No process may be running."""
        connection = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READWRITE)
        with contextlib.closing(connection), without_triggers(connection):
            connection.execute(statement)

    def _command(self, *arguments: str, given: str = "") -> dict:
        command = [sys.executable, "-m", "execlave_server", *arguments, "--data-dir", str(self.data_dir)]
        done = subprocess.run(
            command, input=given, env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def _process(self, *arguments: str) -> Iterator[tuple[subprocess.Popen, Path]]:
        command = [sys.executable, "-m", "execlave_server", *arguments, "--data-dir", str(self.data_dir)]
        log = self.folder / f"{arguments[0]}-{next(self._started)}.log"
        with log.open("wb") as output, on_product_core():
            process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
        try:
            yield process, log
        finally:
            stop(process)


def _wait_for(process: subprocess.Popen, log: Path, word: bytes) -> None:
    """Until a process wrote a word into its log. Raises RuntimeError with the log where it does not."""
    deadline = time.monotonic() + START_WITHIN_S
    while word not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no {word.decode()} from {process.args}: {log.read_text()}")
        time.sleep(POLL_S)


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """An intake that only takes (see `sink.py`), on the generator's core; its port."""
    command = [sys.executable, str(Path(__file__).with_name("sink.py"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
