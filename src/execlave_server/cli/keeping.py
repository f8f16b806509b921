"""Commands that keep the data: sweep what is past its retention, back up, restore."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.services import Services
from execlave_server.actions.sweep import DAY_US, Sweep, Swept, Wanted
from execlave_server.api.times import iso
from execlave_server.cli.options import data_dir_option, json_option, print_json, settings_of, with_services

_DAYS = click.IntRange(1, 1_000_000)


@click.command
@data_dir_option
@click.option("--days", type=_DAYS, help="Sweep what was received longer ago. [default: the setting RETENTION_DAYS]")
@click.option("--force", is_flag=True, help="Also what still waits for a destination or is parked: it is lost.")
@click.option("--dry-run", is_flag=True, help="Only say what would go and what would be left.")
@json_option
def sweep(data_dir: Path | None, days: int | None, *, force: bool, dry_run: bool, as_json: bool) -> None:
    """Remove traces and decisions that are past their retention, of all organizations, by the time of receipt.

    Whole batches go, in small steps beside a running server. A batch that still waits for a destination, whatever state
    that is in, or that has parked logs, is left without --force; how many and why is told. The space is used again by
    what comes; the file does not shrink.

    \b
    Example:
      execlave-server sweep --days 30 --dry-run
    """
    settings = settings_of(data_dir)
    days = days or settings.retention_days

    async def run(services: Services) -> Swept:
        before_us = services.clock.now_us() - days * DAY_US
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("sweep", total=None)

            def report(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            return await Sweep(services.store, services.clock, Wanted(before_us, force, dry_run), report).run()

    if not days:
        raise click.UsageError("RETENTION_DAYS is 0, keep for ever. Say --days N to sweep all the same.")
    swept = with_services(settings, run)
    if as_json:
        print_json(
            {
                "before": iso(swept.before_us),
                "dryRun": swept.dry_run,
                "batches": swept.batches,
                "traces": swept.traces,
                "decisions": swept.decisions,
                "left": dict(swept.left),
            }
        )
        return
    click.echo(f"{'Would remove' if dry_run else 'Removed'} what was received before {iso(swept.before_us)}:")
    click.echo(f"{swept.traces:,} traces in {swept.batches:,} batches, {swept.decisions:,} decisions.")
    for reason, count in sorted(swept.left.items()):
        click.echo(f"Left {count:,} batches: {reason.meaning}.")
