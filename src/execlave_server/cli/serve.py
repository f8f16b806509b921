"""`serve`: the parent that owns the socket and keeps two processes alive. It starts first, and so imports little."""

import asyncio
from pathlib import Path

import click

from execlave_server.app.await_database import await_database
from execlave_server.app.database import migrate_store
from execlave_server.app.supervisor import bind, supervise
from execlave_server.app.welcome import welcome
from execlave_server.cli.options import data_dir_option, settings_of
from execlave_server.clock import SystemClock
from execlave_server.telemetry import configure_logs


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
