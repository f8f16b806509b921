"""The doctor on the command line."""

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.doctor.findings import Report
from execlave_server.app.checkup import examine_installation
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    print_table,
    settings_of,
)
from execlave_server.clock import SystemClock
from execlave_server.telemetry import configure_logs


@click.command
@data_dir_option
@org_option
@click.option("--deep", is_flag=True, help="Also read every trace and check the database's files: long.")
@json_option
def doctor(data_dir: Path | None, organization_id: str | None, *, deep: bool, as_json: bool) -> None:
    """Prove that nothing is lost, and find what is stuck, unsafe or about to go wrong; also while everything runs.

    For each destination it proves committed = delivered + waiting + parked, batch by batch, with committed counted
    from the traces themselves. Exit code 1 when it finds an error; warnings alone are 0.

    \b
    Example:
      execlave-server doctor --json
    """
    settings = settings_of(data_dir)
    configure_logs(settings.log_level, process="command")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        report = asyncio.run(
            examine_installation(settings, SystemClock(), organization_id=organization_id, deep=deep, progress=progress)
        )
    if as_json:
        standings = [
            {
                "id": each.id,
                "organization": each.organization,
                "state": each.state,
                "committed": each.committed,
                "delivered": each.delivered,
                "waiting": each.waiting,
                "parked": each.parked,
                "balanced": each.balanced,
            }
            for each in report.standings
        ]
        print_json(
            {
                "healthy": report.healthy,
                "batches": report.batches,
                "destinations": standings,
                "findings": report.findings,
                "omitted": report.omitted,
            }
        )
    else:
        _print(report)
    sys.exit(0 if report.healthy else 1)


def _print(report: Report) -> None:
    columns = ["DESTINATION", "STATE", "COMMITTED", "DELIVERED", "WAITING", "PARKED", "SUM"]
    rows = [
        [
            each.id,
            each.state,
            *map(str, (each.committed, each.delivered, each.waiting, each.parked)),
            "ok" if each.balanced else "WRONG",
        ]
        for each in report.standings
    ]
    print_table(columns, rows)
    for finding in report.findings:
        click.echo(
            f"\n{finding.severity.upper()} {finding.code}\n  {finding.what}\n  {finding.why}\n  {finding.remedy}"
        )
    for code, count in report.omitted.items():
        click.echo(f"\n... and {count} more {code}.")
    click.echo(f"\n{report.batches} batches read: {_summary(report)}")


def _summary(report: Report) -> str:
    if not report.findings:
        return "nothing is wrong."
    return "something is wrong." if not report.healthy else "nothing is lost; see the warnings."
