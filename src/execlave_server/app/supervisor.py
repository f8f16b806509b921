"""The parent of `serve`: owns the listening socket, keeps a server and a worker alive behind it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

import structlog

from execlave_server.errors import SettingsError
from execlave_server.settings import Settings, is_loopback

BACKLOG = 2_048  # connections that wait while a server restarts
BIND_WITHIN_S = 3.0  # a predecessor that was killed lets go of the port in moments
STOP_WITHIN_S = 12.0  # longer than either process takes to finish
RESTART_FIRST_S = 0.1
RESTART_MAX_S = 10.0
STEADY_AFTER_S = 30.0  # a process that ran this long restarts at once again
_LOOK_EVERY_S = 0.05

log = structlog.get_logger()


def bind(settings: Settings, *, insecure: bool) -> socket.socket:
    """A listening socket. Raises SettingsError when the port is in use, or the address needs protection it lacks."""
    if not (is_loopback(settings.host) or insecure or settings.tls_cert_file or settings.trusted_proxies):
        raise SettingsError(
            f"Listening on {settings.host} would take API keys over plain HTTP from other machines. Set "
            "EXECLAVE_SERVER_TLS_CERT_FILE and _TLS_KEY_FILE, or EXECLAVE_SERVER_TRUSTED_PROXIES where a proxy ends "
            "TLS, or pass --insecure."
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    deadline = time.monotonic() + BIND_WITHIN_S
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if time.monotonic() > deadline or settings.port == 0:
                raise SettingsError(
                    f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Another program may use "
                    "that port: stop it, or choose another with --port."
                ) from error
            time.sleep(_LOOK_EVERY_S)
        else:
            return listener


class _Child:
    """One process, started again whenever it ends, less and less soon while it does not stay."""

    def __init__(self, name: str, arguments: Sequence[str], descriptors: Sequence[int]) -> None:
        self.name = name
        self._arguments = arguments
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._pause_s = RESTART_FIRST_S
        self._start_at = 0.0

    def keep_alive(self) -> None:
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            steady = now - self._started > STEADY_AFTER_S
            self._pause_s = RESTART_FIRST_S if steady else min(self._pause_s * 2, RESTART_MAX_S)
            log.warning("serve.process_ended", name=self.name, code=self._process.returncode, again_in_s=self._pause_s)
            self._process = None
            self._start_at = now + self._pause_s
        if self._process is None and now >= self._start_at:
            command = [sys.executable, "-m", "execlave_server", *self._arguments]
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                pass_fds=self._descriptors,
                start_new_session=True,  # Ctrl-C is for the parent, which ends its children in order
            )
            self._started = now

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def wait(self, deadline: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("serve.process_killed", name=self.name)
            self._process.kill()
            self._process.wait()


def supervise(settings: Settings, listener: socket.socket, *, with_worker: bool) -> None:
    """Run the server, and the worker, until SIGINT or SIGTERM. Blocks."""
    os.environ["EXECLAVE_SERVER_DATA_DIR"] = str(settings.data_dir)
    alive, held_open = os.pipe()  # closes when this process dies, however it dies
    children = [_Child("server", _server_arguments(listener, alive), [listener.fileno(), alive])]
    if with_worker:
        children.append(_Child("worker", ["worker", "--orphaned-fd", str(alive)], [alive]))
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not stopping:
            for child in children:
                child.keep_alive()
            time.sleep(_LOOK_EVERY_S)
    finally:
        listener.close()
        for child in children:
            child.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in children:
            child.wait(deadline)
        os.close(held_open)
        os.close(alive)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _server_arguments(listener: socket.socket, alive: int) -> list[str]:
    return ["server-process", "--listener-fd", str(listener.fileno()), "--orphaned-fd", str(alive)]
