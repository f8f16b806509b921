"""`worker`: the process that exports, behind `serve` or apart."""

from pathlib import Path

import click

from execlave_server.app.worker_process import run_worker
from execlave_server.cli.options import data_dir_option, settings_of
from execlave_server.telemetry import configure_logs


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
