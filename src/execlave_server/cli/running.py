"""The commands that keep running: serve, worker, sandbox, demo."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import click
from rich.console import Console

from execlave_server.app.await_database import await_database
from execlave_server.app.database import migrate_store
from execlave_server.app.processes import run_server, run_worker
from execlave_server.app.supervisor import bind, supervise
from execlave_server.app.welcome import welcome
from execlave_server.cli.options import data_dir_option, settings_of
from execlave_server.clock import SystemClock
from execlave_server.errors import SettingsError
from execlave_server.sandbox.serve import run_sandbox
from execlave_server.telemetry import configure_logs

SANDBOX_PORT = 8126


@click.command
@data_dir_option
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=int, help="TCP port. [default: 4000]")
@click.option("--no-worker", is_flag=True, help="Answer requests only; run `worker` apart.")
@click.option("--insecure", is_flag=True, help="Listen beyond loopback over plain HTTP.")
def serve(data_dir: Path | None, host: str | None, port: int | None, *, no_worker: bool, insecure: bool) -> None:
    """Run the server and its export worker.

    \b
    Example:
      execlave-server serve --data-dir ./execlave-data --port 4000
    """
    settings = settings_of(data_dir, host=host, port=port)
    configure_logs(settings.log_level, process="serve")
    clock = SystemClock()
    asyncio.run(await_database(lambda: migrate_store(settings, clock), clock))
    listener = bind(settings, insecure=insecure)
    address = listener.getsockname()
    scheme = "https" if settings.tls_cert_file else "http"
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"{scheme}://{shown}:{address[1]}"
    click.echo(f"Serving on {url} (Ctrl-C ends it)", err=True)
    if said := asyncio.run(welcome(settings, url)):
        click.echo(said, err=True)
    supervise(settings, listener, with_worker=not no_worker)


@click.command("server-process", hidden=True)
@click.option("--listener-fd", type=int, required=True)
@click.option("--orphaned-fd", type=int)
def server_process(listener_fd: int, orphaned_fd: int | None) -> None:
    """Answer requests on an inherited socket."""
    settings = settings_of(None)
    configure_logs(settings.log_level, process="server")
    run_server(settings, socket.socket(fileno=listener_fd), orphaned_fd)


@click.command
@data_dir_option
@click.option("--orphaned-fd", type=int, hidden=True)
def worker(data_dir: Path | None, orphaned_fd: int | None) -> None:
    """Run an export worker of its own, beside `serve --no-worker`.

    \b
    Example:
      execlave-server worker --data-dir ./execlave-data
    """
    settings = settings_of(data_dir)
    configure_logs(settings.log_level, process="worker")
    run_worker(settings, orphaned_fd)


@click.command
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=SANDBOX_PORT, show_default=True, help="TCP port; 0 takes a free one.")
@click.option("--api-key", "keys", multiple=True, help="A valid API key; others may see it in the process list.")
def sandbox(host: str, port: int, keys: tuple[str, ...]) -> None:
    """Run a local stand-in for Datadog: log intake, search, pipelines, monitors, and pages to look at them.

    Its valid API keys come from EXECLAVE_SANDBOX_API_KEYS, comma-separated, its application keys from
    EXECLAVE_SANDBOX_APPLICATION_KEYS; without any it takes every application key.

    \b
    Example:
      EXECLAVE_SANDBOX_API_KEYS=local-key-for-tests execlave-server sandbox --port 8126
    """
    valid = _keys_in("EXECLAVE_SANDBOX_API_KEYS")
    application_keys = _keys_in("EXECLAVE_SANDBOX_APPLICATION_KEYS")
    if keys:
        click.echo("Warning: --api-key shows in the process list; EXECLAVE_SANDBOX_API_KEYS does not.", err=True)
    if not (valid or keys):
        raise SettingsError("The sandbox needs at least one valid API key: set EXECLAVE_SANDBOX_API_KEYS.")

    def ready(bound_port: int) -> None:
        click.echo(f"Sandbox on http://{host}:{bound_port} (Ctrl-C ends it)", err=True)

    async def run() -> None:
        sandbox = run_sandbox(host, port, [*valid, *keys], SystemClock(), ready, application_keys=application_keys)
        task = asyncio.ensure_future(sandbox)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return
        except OSError as error:
            raise SettingsError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another --port.") from error

    asyncio.run(run())


def _keys_in(variable: str) -> list[str]:
    """The keys in an environment variable, comma-separated."""
    return [key.strip() for key in os.environ.get(variable, "").split(",") if key.strip()]


@click.command
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-data"), show_default=True
)
@click.option("--seconds", type=int, help="End by itself after this long.")
def demo(data_dir: Path, seconds: int | None) -> None:
    """Show everything at work: server, worker, sandbox, and a fleet of agents on the official SDK.

    \b
    Example:
      execlave-server demo
    """
    try:
        from execlave_server.demo.show import Demo  # noqa: PLC0415 - the SDK is an extra, not needed to serve
    except ImportError as error:
        raise SettingsError(
            "The demo runs on the official SDK, which is not installed: pip install 'execlave-server[demo]'"
        ) from error
    Demo(data_dir, Console()).run(seconds)
