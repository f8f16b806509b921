"""The parts of the demo as processes of their own, started as a user would start them, and ended in order."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from execlave_server.errors import ExeclaveServerError

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 20.0
LOOK_EVERY_S = 0.1
ANSWER_WITHIN_S = 30.0


class DemoError(ExeclaveServerError):
    """The demo cannot go on; the text says which part of it failed."""

    code = "DEMO"


def run_command(environment: Mapping[str, str], *arguments: str, stdin: str = "") -> str:
    """What a command prints. Raises DemoError when it fails."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "execlave_server", *arguments],
        env=dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        start_new_session=True,  # Ctrl-C is for the demo alone
        check=False,
    )
    if done.returncode:
        raise DemoError(f"`execlave-server {' '.join(arguments[:2])}` failed: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def part(environment: Mapping[str, str], log_file: Path, *arguments: str) -> Iterator[None]:
    """A command that keeps running meanwhile; what it prints goes to a file."""
    with log_file.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "execlave_server", *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
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


def wait_for(url: str, log_file: Path) -> None:
    """Until it answers. Raises DemoError."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(URLError, OSError):
            fetch(url)
            return
        time.sleep(LOOK_EVERY_S)
    raise DemoError(f"{url} does not answer. See {log_file}.")


def fetch(url: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON of an answer. Raises URLError for any but a good one."""
    request = Request(  # noqa: S310 - our own processes on this machine
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    with urlopen(request, timeout=ANSWER_WITHIN_S) as response:  # noqa: S310 - as above
        return json.load(response)


def free_port(wanted: int) -> int:
    """The wanted port when it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: an ended one is no user
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise DemoError("No TCP port is free on this machine.")
