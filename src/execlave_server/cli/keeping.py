"""Commands that keep the data: sweep what is past its retention, back up, restore."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.services import Services
from execlave_server.actions.sweep import DAY_US, Sweep, Swept, Wanted
from execlave_server.api.times import iso
from execlave_server.app.backups import BackupNote, Report, back_up
from execlave_server.app.backups import restore as restore_backup
from execlave_server.app.key_file import key_file
from execlave_server.audit.changes import COMMAND
from execlave_server.cli.options import data_dir_option, json_option, print_json, settings_of, with_services
from execlave_server.clock import SystemClock

_FILE = click.Path(path_type=Path, dir_okay=False)
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

            return await Sweep(services.store, services.clock, Wanted(before_us, force, dry_run, COMMAND), report).run()

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
                "approvals": swept.approvals,
                "left": dict(swept.left),
            }
        )
        return
    click.echo(f"{'Would remove' if dry_run else 'Removed'} what was received before {iso(swept.before_us)}:")
    click.echo(f"{swept.traces:,} traces in {swept.batches:,} batches, {swept.decisions:,} decisions.")
    click.echo(f"{swept.approvals:,} approvals.")
    for reason, count in sorted(swept.left.items()):
        click.echo(f"Left {count:,} batches: {reason.meaning}.")


@click.command
@data_dir_option
@click.option("--to", type=_FILE, required=True, help="A new file; it is readable by you alone.")
@json_option
def backup(data_dir: Path | None, to: Path, *, as_json: bool) -> None:
    """Copy the database and the settings file into one file, consistent, while the server goes on.

    The key-encryption key is NOT in it. Keep the key apart: without it a backup opens nothing, and whoever has both has
    everything.

    \b
    Example:
      execlave-server backup --to /backups/execlave-2026-11-23.db
    """
    settings = settings_of(data_dir)
    with _progress() as report:
        note = back_up(settings, SystemClock(), to, report)
    key = key_file(settings)
    if as_json:
        print_json({**_told(note), "file": str(to), "bytes": to.stat().st_size, "keyEncryptionKey": str(key)})
        return
    click.echo(f"Backed up {note.trace_count:,} traces to {to} ({to.stat().st_size:,} bytes), checked.")
    click.echo(f"NOT in it is the key-encryption key {key}. Keep a copy of that elsewhere: a backup needs it.")


@click.command
@data_dir_option
@click.option("--from", "source", type=_FILE, required=True, help="A file that `backup` made.")
@json_option
def restore(data_dir: Path | None, source: Path, *, as_json: bool) -> None:
    """Make a new data directory from a backup.

    The key-encryption key has to be in its place first: beside the new data directory, as DIR.kek, or where
    EXECLAVE_SERVER_KEK says. What was not delivered when the backup was made is sent, also what was delivered since.

    \b
    Example:
      execlave-server restore --from /backups/execlave-2026-11-23.db --data-dir ./restored
    """
    settings = settings_of(data_dir)
    with _progress() as report:
        note = restore_backup(settings, SystemClock(), source, report)
    if as_json:
        print_json({**_told(note), "dataDir": str(settings.data_dir)})
        return
    click.echo(f"Restored {note.trace_count:,} traces of {iso(note.made_at_us)} to {settings.data_dir}.")
    click.echo("Keys revoked, agents paused and Datadog keys rotated since then are as they were: do that again.")
    click.echo(f"Next: execlave-server serve --data-dir {settings.data_dir}")


def _told(note: BackupNote) -> dict[str, str | int | None]:
    return {"madeAt": iso(note.made_at_us), "version": note.version, "traces": note.trace_count}


@contextmanager
def _progress() -> Iterator[Report]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("open", total=None)

        def report(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield report
