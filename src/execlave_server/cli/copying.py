"""Moving an installation to PostgreSQL."""

import asyncio
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.app.copy_installation import copy_installation
from execlave_server.cli.options import json_option, print_json
from execlave_server.clock import SystemClock
from execlave_server.errors import SettingsError
from execlave_server.settings import Settings, load_settings


@click.command("copy")
@click.option(
    "--from",
    "data_dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The data directory of the SQLite installation. Stop its server first.",
)
@click.option("--to", "url", help="An empty PostgreSQL database. [default: EXECLAVE_SERVER_DATABASE_URL]")
@json_option
def copy(data_dir: Path, url: str | None, *, as_json: bool) -> None:
    """Move an installation from SQLite to PostgreSQL, and check the copy before it counts.

    \b
    Example:
      execlave-server copy --from ./execlave-data

    The address of the database comes from EXECLAVE_SERVER_DATABASE_URL, since --to shows its password in the process
    list. When the copy is interrupted or differs, the database stays empty. The data directory is not changed.
    """
    target = load_settings(database_url=url).database_url
    if not target:
        raise SettingsError("There is no database to copy to: set EXECLAVE_SERVER_DATABASE_URL, or pass --to.")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Copying and checking", total=None)
        copied = asyncio.run(
            copy_installation(
                Settings(data_dir=data_dir),
                target,
                SystemClock(),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        )
    if as_json:
        print_json({"rows": copied})
        return
    click.echo(f"Copied and checked {sum(copied.values()):,} rows, of them {copied['traces']:,} traces.")
    click.echo("Serve from there with EXECLAVE_SERVER_DATABASE_URL set and the same key-encryption key.")
