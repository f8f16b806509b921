"""The product as a user runs it: real commands in processes of their own, spoken to over HTTP."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import apsw
from execlave import Execlave

from postgres_server import read_rows
from tampering import without_triggers

WITHIN_S = 60.0  # far beyond what anything here takes on a busy machine; passing it means failure
POLL_S = 0.02
DATADOG_KEY = "5f0e1d2c3b4a59687786a5b4c3d2e1f0"
PUBLIC_URL = "https://execlave.example"
T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, within_s: float = WITHIN_S) -> T:
    """The first true value of a condition, asked again and again until the deadline."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(POLL_S)
    return value


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.strip().startswith("Z")


def kill_process(pid: int) -> None:
    """SIGKILL a process, and see it gone."""
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_running(pid), f"the end of process {pid}")


def processes_holding(text: str) -> list[str]:
    """The command lines on this machine that contain a text."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if text in line]


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without anything of Execlave's or Datadog's, and with these settings."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("EXECLAVE_", "DD_"))}
    return kept | as_variables(settings)


def as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings as environment variables."""
    return {f"EXECLAVE_SERVER_{name.upper()}": text for name, text in settings.items()}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """What a good answer carries in its envelope."""
        assert self.status < 300, (self.status, self.body)
        return self.json["data"]

    @property
    def code(self) -> str:
        """The code of an error answer."""
        return self.json["error"]["code"]


@dataclass(frozen=True)
class Caller:
    """Somebody who sends requests to one address, each on a connection of its own."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_key(self, key: str) -> "Caller":
        """The same, presenting an API key."""
        return Caller(self.url, {**self.headers, "Authorization": f"Bearer {key}"})

    def ask(self, method: str, path: str, content: Any = None, **headers: str) -> Answer:
        """Send JSON, or bytes as they are; a header's name is written with underscores."""
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=WITHIN_S)
        with closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json", **self.headers, **named})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def get(self, path: str) -> Answer:
        """GET."""
        return self.ask("GET", path)

    def post(self, path: str, content: Any = None, **headers: str) -> Answer:
        """POST."""
        return self.ask("POST", path, content, **headers)

    def patch(self, path: str, content: Any = None) -> Answer:
        """PATCH."""
        return self.ask("PATCH", path, content)

    def ingest(self, *items: Any) -> Answer:
        """Send traces."""
        return self.post("/api/v1/traces/ingest", {"traces": items})

    def enforce(self, agent: str, **more: Any) -> Answer:
        """Ask whether an agent may act."""
        return self.post("/api/v1/policies/enforce", {"agentId": agent, "input": "may I?", **more})


class Program:
    """A command that keeps running; what it prints goes to a file."""

    def __init__(self, arguments: Sequence[str], log_file: Path, environment: Mapping[str, str]) -> None:
        self.log_file = log_file
        with log_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "execlave_server", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
            )

    @property
    def log(self) -> str:
        """What it printed."""
        return self.log_file.read_text(errors="replace")

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """The first match in what it prints; fails when it ends before."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log)
            assert found or self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log}"
            return found

        found = wait_for(look, f"the line {pattern!r}")
        assert found
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as an operator does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(WITHIN_S)
        finally:
            self.process.kill()
            self.process.wait()


class Sandbox(Program):
    """`execlave-server sandbox` and its control endpoints."""

    def __init__(self, folder: Path, *keys: str) -> None:
        environment = clean_environment() | {"EXECLAVE_SANDBOX_API_KEYS": ",".join(keys or [DATADOG_KEY])}
        super().__init__(["sandbox", "--port", "0"], folder / "sandbox.log", environment)
        self.url = self.wait_for_line(r"Sandbox on (http://\S+)")[1]
        self.caller = Caller(self.url)
        self._rows: list[dict[str, Any]] = []

    def logs(self) -> list[dict[str, Any]]:
        """Every log of a trace it holds, in arrival order, without connection tests, heartbeats and events."""
        while page := self.caller.get(f"/sandbox/logs?limit=10000&after={len(self._rows)}").data:
            self._rows += page
        return [row["log"] for row in self._rows if "event" not in row["log"].get("execlave", {})]

    def events(self) -> list[dict[str, Any]]:
        """Every log of a governance event it holds, in arrival order."""
        self.logs()
        return [row["log"] for row in self._rows if {"audit_seq", "event"} <= row["log"].get("execlave", {}).keys()]

    def wait_for_logs(self, wanted: Callable[[dict[str, Any]], bool], count: int) -> list[dict[str, Any]]:
        """The logs that are wanted, once there are so many."""

        def look() -> list[dict[str, Any]] | None:
            found = [log for log in self.logs() if wanted(log)]
            return found if len(found) >= count else None

        return wait_for(look, f"{count} logs in the sandbox") or []

    def stats(self) -> dict[str, Any]:
        """Its counts."""
        return self.caller.get("/sandbox/stats").json

    def fail(self, *rules: dict[str, Any]) -> None:
        """Put these fault rules in place of all others."""
        assert self.caller.post("/sandbox/faults", {"rules": rules}).status == 200

    def accept(self, *keys: str) -> None:
        """Take these keys as valid, and no others."""
        assert self.caller.ask("PUT", "/sandbox/keys", {"keys": keys}).status == 200


class Server(Program):
    """`execlave-server serve`: a parent with a server and a worker behind it."""

    def __init__(self, installation: "Installation", arguments: Sequence[str], **settings: str) -> None:
        log_file = installation.folder / f"serve-{len(list(installation.folder.glob('serve-*')))}.log"
        environment = {**installation.environment, **as_variables(settings)}
        super().__init__(["serve", "--data-dir", str(installation.data_dir), *arguments], log_file, environment)
        self.url = self.wait_for_line(r"Serving on (\S+)")[1]
        self.port = str(urlsplit(self.url).port)
        self.anyone = Caller(self.url)
        self.agent = self.anyone.with_key(installation.api_key)
        self.admin = self.anyone.with_key(installation.admin_key)
        assert self.anyone.get("/ready").status == 200  # a connection made before the server is up waits for it

    def wait_until_delivered(self) -> int:
        """Wait until nothing waits any more; how many traces are committed."""

        def look() -> dict[str, Any] | None:
            counts = self.admin.get("/api/v1/deliveries").data
            return None if any(each["waiting"] for each in counts["destinations"]) else counts

        return (wait_for(look, "an empty outbox") or {})["committed"]

    def child(self, command: str) -> int:
        """The pid of `server-process` or `worker`, once it runs."""
        return wait_for(lambda: self.children().get(command, 0), f"a process {command}")

    def children(self) -> dict[str, int]:
        """The pids of the commands that run below it."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "args="],
            capture_output=True,
            text=True,
            check=True,
        )
        rows = [line.split() for line in listed.stdout.splitlines()]
        mine = [row for row in rows if row[1] == str(self.process.pid) and not row[2].startswith("Z")]
        return {row[6]: int(row[0]) for row in mine if row[4:6] == ["-m", "execlave_server"]}

    def kill_child(self, command: str) -> None:
        """SIGKILL `server-process` or `worker`, and see it gone."""
        kill_process(self.child(command))

    def kill(self) -> None:
        """SIGKILL the parent."""
        self.process.kill()
        self.process.wait()


class Worker(Program):
    """`execlave-server worker`, of its own."""

    def __init__(self, installation: "Installation") -> None:
        log_file = installation.folder / f"worker-{len(list(installation.folder.glob('worker-*')))}.log"
        super().__init__(["worker", "--data-dir", str(installation.data_dir)], log_file, installation.environment)


class Installation:
    """A data directory made by `init`, and the commands run on it."""

    def __init__(self, folder: Path, *, variables: Mapping[str, str] | None = None, **settings: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.environment = {**clean_environment(data_dir=str(self.data_dir), **settings), **(variables or {})}
        made = self.run_json("init", "--data-dir", str(self.data_dir))
        self.organization_id: str = made["organizationId"]
        self.api_key: str = made["apiKey"]
        self.admin_key: str = made["adminKey"]

    def run(self, *arguments: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run(*arguments, stdin=stdin, environment={**self.environment, **as_variables(settings)})

    def run_json(self, *arguments: str, stdin: str = "") -> Any:
        """What a command that succeeds prints with --json."""
        ran = self.run(*arguments, "--json", stdin=stdin)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def add_destination(self, *arguments: str, site: str = "sandbox", key: str = DATADOG_KEY) -> str:
        """Add a destination, test it and enable it; its id."""
        added = self.run_json(
            *("destination", "add", "datadog", "--site", site, "--api-key-stdin", "--enable"),
            *("--no-heartbeat", "--no-events", *arguments),  # tests count logs; what is said later wins
            stdin=key + "\n",
        )
        assert added["state"] == "enabled"
        return added["id"]

    def serve(self, *arguments: str, port: str = "0", **settings: str) -> Server:
        """Start `serve` and wait until it answers."""
        return Server(self, ["--port", port, *arguments], **settings)

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        """Read the database, or change it as only a test may."""
        if url := self.environment.get("EXECLAVE_SERVER_DATABASE_URL"):
            numbers = count(1)
            return asyncio.run(read_rows(url, re.sub(r"\?", lambda _: f"${next(numbers)}", sql), *values))
        with closing(apsw.Connection(str(self.data_dir / "execlave.db"))) as connection:
            connection.set_busy_timeout(5_000)
            connection.execute("pragma wal_autocheckpoint = 0")
            return list(connection.execute(sql, values))

    def tamper(self, sql: str, *values: str | int) -> None:
        """Change what the database's triggers keep from being changed."""
        with closing(apsw.Connection(str(self.data_dir / "execlave.db"))) as connection:
            connection.set_busy_timeout(5_000)
            with without_triggers(connection):
                connection.execute(sql, values)


def run(
    *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of execlave-server to its end."""
    return subprocess.run(
        [sys.executable, "-m", "execlave_server", *arguments],
        input=stdin,
        env=dict(environment or clean_environment()),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def assert_failed(ran: subprocess.CompletedProcess[str], code: str, *said: str) -> None:
    """One line on standard error with a stable code, nothing on standard output, no traceback, exit code 1."""
    assert (ran.returncode, ran.stdout) == (1, ""), (ran.stdout, ran.stderr)
    (line,) = ran.stderr.strip().splitlines()
    assert line.startswith(f"Error [{code}]: ")
    for text in said:
        assert text in line


@dataclass(frozen=True)
class Platform:
    """A sandbox, an installation that delivers to it, and its server."""

    sandbox: Sandbox
    installation: Installation
    server: Server

    def sdk(self, **options: Any) -> AbstractContextManager[Execlave]:
        """A client of the published SDK with the installation's agent key."""
        return sdk_client(self.server.url, self.installation.api_key, **options)


@contextmanager
def running(program: T) -> Iterator[T]:
    """Stop a program at the end, whatever happened."""
    try:
        yield program
    finally:
        program.stop()  # type: ignore[attr-defined]


@contextmanager
def start_platform(folder: Path, **settings: str) -> Iterator[Platform]:
    """Everything, from nothing."""
    with running(Sandbox(folder)) as sandbox:
        installation = Installation(folder, datadog_sandbox_url=sandbox.url, **settings)
        installation.add_destination("--service", "agents-test", "--ddtags", "env:test,team:platform")
        with running(installation.serve()) as server:
            yield Platform(sandbox, installation, server)


@contextmanager
def sdk_client(url: str, key: str, **options: Any) -> Iterator[Execlave]:
    """A client of the published SDK, shut down at the end."""
    client = Execlave(api_key=key, base_url=url, **{"enable_control_channel": False, **options})
    client._session.trust_env = False  # no proxy between the tests and loopback
    try:
        yield client
    finally:
        client.shutdown()
        client._session.close()
