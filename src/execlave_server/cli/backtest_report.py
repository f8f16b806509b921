"""What a backtest found, as JSON and as text."""

from collections.abc import Sequence
from typing import Any

import click

from execlave_server.actions.backtest_monitors import Backtest, Backtested, Firing
from execlave_server.api.times import iso
from execlave_server.cli.sparkline import sparkline
from execlave_server.datadog.monitors.monitor_definition import Status

FIRINGS_SHOWN = 5  # of one group
GROUPS_SHOWN = 10  # of one monitor


def backtest_view(found: Backtested) -> dict[str, Any]:
    """Everything, for a program."""
    return {
        "from": iso(found.from_us),
        "to": iso(found.to_us),
        "logs": found.logs,
        "monitors": [_view(each) for each in found.monitors],
    }


def _view(each: Backtest) -> dict[str, Any]:
    return {
        "name": each.definition.name,
        "query": each.definition.query,
        "untested": each.untested,
        "logs": each.logs,
        "firings": [
            {
                "group": dict(zip(each.group_by, firing.group, strict=True)),
                "status": firing.status,
                "from": iso(firing.from_us),
                "until": iso(firing.until_us),
                "worst": firing.worst,
            }
            for firing in each.firings
        ],
        "moreFirings": each.more_firings,
    }


def print_backtest(found: Backtested) -> None:
    """One paragraph a monitor: how often it would have fired, then each group with its line and its firings."""
    for each in found.monitors:
        alerts = sum(firing.status is Status.ALERT for firing in each.firings)
        if each.untested:
            click.echo(f"{each.definition.name}: cannot be tested, {each.untested}")
            continue
        more = f", and {each.more_firings:,} more firings" if each.more_firings else ""
        warnings = len(each.firings) - alerts
        click.echo(f"{each.definition.name}: {alerts:,} alerts, {warnings:,} warnings{more} ({each.logs:,} logs match)")
        _print_groups(each)
    click.echo(f"{found.logs:,} logs from {iso(found.from_us)} to {iso(found.to_us)}.")


def _print_groups(each: Backtest) -> None:
    by_group: dict[tuple[str, ...], list[Firing]] = {}
    for firing in each.firings:
        by_group.setdefault(firing.group, []).append(firing)
    worst_first = sorted(by_group.items(), key=lambda item: -len(item[1]))
    threshold = each.definition.options.thresholds.critical
    for group, firings in worst_first[:GROUPS_SHOWN]:
        line = sparkline(each.lines.get(group, []), threshold)
        click.echo(f"  {line}  {', '.join(group) or 'all'}")
        _print_firings(firings)
    if len(by_group) > GROUPS_SHOWN:
        click.echo(f"  and {len(by_group) - GROUPS_SHOWN} more groups: --json has them all")


def _print_firings(firings: Sequence[Firing]) -> None:
    for firing in firings[:FIRINGS_SHOWN]:
        until = iso(firing.until_us) or "now"
        worst = "" if firing.worst is None else f", at worst {firing.worst:g}"
        click.echo(f"    {firing.status:5}  {iso(firing.from_us)} to {until}{worst}")
    if len(firings) > FIRINGS_SHOWN:
        click.echo(f"    and {len(firings) - FIRINGS_SHOWN} more")
