"""The demo from start to end: everything is started as a user would start it, watched, and ended."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.live import Live
from rich.text import Text

from execlave_server.demo.fleet import Fleet
from execlave_server.errors import ExeclaveServerError

SERVER_PORT, SANDBOX_PORT = 4000, 8126  # where they are free
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 20.0
LOOK_EVERY_S = 1.0
DRAIN_WITHIN_S = 5.0
PAUSE_AFTER_S, RESUME_AFTER_S = 20.0, 35.0  # the kill switch is shown once in each minute
KILL_SWITCH_CYCLE_S = 60.0


class DemoError(ExeclaveServerError):
    """The demo cannot go on; the text says which part of it failed."""

    code = "DEMO"


class Demo:
    """A sandbox, a server with its worker, a destination, and the fleet."""

    def __init__(self, data_dir: Path, console: Console) -> None:
        self._data_dir = data_dir
        self._console = console
        self._server_url = f"http://127.0.0.1:{_free_port(SERVER_PORT)}"
        self._sandbox_url = f"http://127.0.0.1:{_free_port(SANDBOX_PORT)}"
        self._environment = os.environ | {
            "EXECLAVE_SERVER_DATA_DIR": str(data_dir),
            "EXECLAVE_SERVER_DATADOG_SANDBOX_URL": self._sandbox_url,
            "EXECLAVE_SERVER_PUBLIC_URL": self._server_url,
        }
        self._agent_key = self._admin_key = ""
        self._paused = False

    def run(self, seconds: float | None) -> None:
        """Show it until Ctrl-C, or for some seconds."""
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as running, _interrupts() as interrupted:
            self._start(running)
            fleet = Fleet(self._server_url, self._agent_key)
            fleet.start()
            running.callback(fleet.stop)
            self._watch(interrupted, None if seconds is None else time.monotonic() + seconds)
            self._console.print("Ending: the agents flush their last traces, then everything stops.")
            fleet.stop()
            self._drain()
        self._console.print(f"Ended. The data is kept in {self._data_dir}; the next demo goes on with it.")

    def _start(self, running: ExitStack) -> None:
        sandbox_key = secrets.token_hex(16)
        port = self._sandbox_url.rpartition(":")[2]
        sandbox = {"EXECLAVE_SANDBOX_API_KEYS": sandbox_key}
        running.enter_context(self._process("sandbox", "--port", port, more_environment=sandbox))
        self._wait_for(f"{self._sandbox_url}/sandbox/stats")
        self._make_keys()
        running.enter_context(self._process("serve", "--port", self._server_url.rpartition(":")[2]))
        self._wait_for(f"{self._server_url}/ready")
        self._connect(sandbox_key)
        self._console.print(f"Server    {self._server_url}")
        self._console.print(f"Sandbox   {self._sandbox_url}/sandbox/logs   what Datadog would have received")
        self._console.print(f"Data      {self._data_dir}")

    def _make_keys(self) -> None:
        if not (self._data_dir / "execlave.db").exists():
            made = self._command("init", "--json")
            self._agent_key, self._admin_key = made["apiKey"], made["adminKey"]
            return
        self._agent_key = self._command("key", "create", "--name", "demo", "--json")["apiKey"]
        self._admin_key = self._command("key", "create", "--name", "demo", "--role", "admin", "--json")["apiKey"]

    def _connect(self, sandbox_key: str) -> None:
        """Add the sandbox as a destination, or give the one of an earlier demo this sandbox's key."""
        there = [found for found in self._call("GET", "/integrations") if found["site"] == "sandbox"]
        wanted = {
            "site": "sandbox",
            "apiKey": sandbox_key,
            "service": "agents-demo",
            "ddtags": "env:demo,team:platform",
        }
        if there:
            destination = self._call("PATCH", f"/integrations/{there[0]['id']}", wanted)
        else:
            destination = self._call("POST", "/integrations", wanted | {"name": "Datadog sandbox"})
        report = self._call("POST", f"/integrations/{destination['id']}/test")
        for step in report["steps"]:
            self._console.print(f"Test connection, {step['step']}: {step['message']}")
        if not report["passed"]:
            raise DemoError("The sandbox did not pass Test connection; see the lines above.")
        self._call("POST", f"/integrations/{destination['id']}/enable")

    def _watch(self, interrupted: list[int], end_at: float | None) -> None:
        started = time.monotonic()
        sample_shown = False
        with Live(console=self._console, refresh_per_second=4, transient=False) as live:
            while not interrupted and (end_at is None or time.monotonic() < end_at):
                line = self._counts()
                live.update(Text(line, style="bold"))
                if not self._console.is_terminal:
                    self._console.print(line)
                if not sample_shown and (sample := self._first_log()):
                    sample_shown = True
                    self._console.print(
                        f"First delivered log, {time.monotonic() - started:.1f} s after the fleet began:"
                    )
                    self._console.print_json(json.dumps(sample))
                self._show_kill_switch(time.monotonic() - started)
                time.sleep(LOOK_EVERY_S)

    def _drain(self) -> None:
        """Give the worker a moment for the last traces; what it does not deliver now waits for the next start."""
        deadline = time.monotonic() + DRAIN_WITHIN_S
        while (line := self._counts()) and not line.endswith("waiting 0") and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S / 4)
        self._console.print(line)

    def _counts(self) -> str:
        counts = self._call("GET", "/deliveries")
        delivered = sum(each["delivered"] for each in counts["destinations"])
        waiting = sum(each["waiting"] for each in counts["destinations"])
        return f"traces committed {counts['committed']:,}   delivered {delivered:,}   waiting {waiting:,}"

    def _show_kill_switch(self, elapsed_s: float) -> None:
        paused = PAUSE_AFTER_S <= elapsed_s % KILL_SWITCH_CYCLE_S < RESUME_AFTER_S
        if paused == self._paused:
            return
        self._paused = paused
        verb = "pause" if paused else "resume"
        self._call("PATCH", f"/agents/billing-agent/{verb}", {"reason": "demo of the kill switch"})
        told = "each of its actions is now refused" if paused else "it may act again"
        self._console.print(f"Kill switch: billing-agent {verb}d, {told}.")

    def _first_log(self) -> dict[str, Any] | None:
        found = _fetch(f"{self._sandbox_url}/sandbox/logs?limit=20")["data"]
        return next((each["log"] for each in found if "trace_id" in each["log"]), None)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = Request(  # noqa: S310 - our own server on this machine
            f"{self._server_url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._admin_key}", "Content-Type": "application/json"},
        )
        return _fetch(request)["data"]

    def _command(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "execlave_server", *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise DemoError(f"`execlave-server {arguments[0]}` failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @contextmanager
    def _process(self, *arguments: str, more_environment: dict[str, str] | None = None) -> Iterator[None]:
        with (self._data_dir / f"{arguments[0]}.log").open("w") as output:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "execlave_server", *arguments],
                env=self._environment | (more_environment or {}),
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the demo, which ends its parts in order
            )
            try:
                yield
            finally:
                process.terminate()
                try:
                    process.wait(STOP_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _wait_for(self, url: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(URLError, OSError):
                _fetch(url)
                return
            time.sleep(0.1)
        raise DemoError(f"{url} does not answer. See the logs in {self._data_dir}.")


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The signals received meanwhile."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _fetch(request: Request | str) -> Any:
    with urlopen(request, timeout=30) as response:  # noqa: S310 - our own server on this machine
        return json.load(response)


def _free_port(wanted: int) -> int:
    """The wanted port when it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: an ended one is no user
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise DemoError("No TCP port is free on this machine.")
