"""What the commands share: the data directory, JSON output, and opening the services."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from execlave_server.settings import Settings, load_settings
from execlave_server.telemetry import configure_logs

if TYPE_CHECKING:
    from execlave_server.actions.services import Services

T = TypeVar("T")

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The data directory. [env: EXECLAVE_SERVER_DATA_DIR; default: ./execlave-data]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
org_option = click.option("--org", "organization_id", help="The organization's id. [default: the first one]")


def settings_of(data_dir: Path | None, **overrides: Any) -> Settings:
    """The settings of a command."""
    return load_settings(data_dir=data_dir, **overrides)


def with_services(settings: Settings, work: "Callable[[Services], Awaitable[T]]") -> T:
    """Do something with the services of an initialised data directory."""
    from execlave_server.app.database import clock_of  # noqa: PLC0415 - half a second that `serve` does without
    from execlave_server.app.installation import open_services  # noqa: PLC0415

    configure_logs(settings.log_level, process="command")

    async def run() -> T:
        async with open_services(settings, clock_of(settings)) as services:
            return await work(services)

    return asyncio.run(run())


def print_json(content: Any) -> None:
    """One line of JSON on standard output."""
    click.echo(msgspec.json.encode(content))


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Aligned columns, without decoration, so that they cut and paste well."""
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    for row in [columns, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
