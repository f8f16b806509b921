"""The process behind `serve` that answers requests."""

import socket

import click

from execlave_server.app.server_process import run_server
from execlave_server.cli.options import settings_of
from execlave_server.telemetry import configure_logs


@click.command("server-process", hidden=True)
@click.option("--listener-fd", type=int, required=True)
@click.option("--orphaned-fd", type=int)
def server_process(listener_fd: int, orphaned_fd: int | None) -> None:
    """Answer requests on an inherited socket."""
    settings = settings_of(None)
    configure_logs(settings.log_level, process="server")
    run_server(settings, socket.socket(fileno=listener_fd), orphaned_fd)
