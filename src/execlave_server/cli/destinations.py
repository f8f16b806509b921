"""Destinations on the command line: what Settings -> Integrations does, for scripts."""

import sys
from pathlib import Path
from typing import Any

import click

from execlave_server.actions.configure_destination import (
    Wanted,
    add_destination,
    change_destination,
    disable_destination,
    enable_destination,
    list_destinations,
)
from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.services import Services
from execlave_server.actions.try_destination import try_destination
from execlave_server.api.admin import destination_view
from execlave_server.api.times import iso
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    print_table,
    settings_of,
    with_services,
)
from execlave_server.datadog.try_connection import ConnectionReport
from execlave_server.model.destinations import Destination
from execlave_server.model.secret import Secret


@click.group
def destination() -> None:
    """Where traces are streamed to."""


@destination.group("add")
def destination_add() -> None:
    """Add a destination."""


@destination_add.command("datadog")
@data_dir_option
@org_option
@click.option("--name", default="Datadog", show_default=True)
@click.option("--site", required=True, help="The Datadog site, e.g. datadoghq.eu, or the address you log in at.")
@click.option("--api-key-stdin", is_flag=True, help="Read the Datadog API key from standard input.")
@click.option("--service", default="execlave", show_default=True, help="The service tag on every log.")
@click.option("--ddtags", default="", help="Comma-separated tags, e.g. env:production,team:platform.")
@click.option("--heartbeat/--no-heartbeat", default=True, show_default=True, help="One log a minute, see `heartbeat`.")
@click.option("--events/--no-events", default=True, show_default=True, help="Governance events beside the traces.")
@click.option("--enable", is_flag=True, help="Test the connection, and enable the destination when it passes.")
@json_option
def add_datadog(
    data_dir: Path | None,
    organization_id: str | None,
    name: str,
    site: str,
    service: str,
    ddtags: str,
    *,
    heartbeat: bool,
    events: bool,
    api_key_stdin: bool,
    enable: bool,
    as_json: bool,
) -> None:
    """Add a Datadog Logs destination.

    \b
    Example:
      printf %s "$DD_API_KEY" | execlave-server destination add datadog \\
        --site datadoghq.eu --api-key-stdin --ddtags env:production --enable
    """
    key = _read_key(from_stdin=api_key_stdin)
    wanted = Wanted(name, site, key, service, ddtags, heartbeat, events)

    async def add(services: Services) -> tuple[Destination, ConnectionReport | None]:
        organization = await find_organization(services, organization_id)
        added = await add_destination(services, organization.id, organization.number, wanted)
        if not enable:
            return added, None
        tried, report = await try_destination(services, organization.number, added.id)
        if report.passed:
            tried = await enable_destination(services, organization.number, added.id)
        return tried, report

    added, report = with_services(settings_of(data_dir), add)
    if as_json:
        print_json({"id": added.id, "state": added.state} | ({"test": _report_view(report)} if report else {}))
    else:
        click.echo(f"{added.id}  {added.state}")
        _print_report(report)
    sys.exit(1 if report and not report.passed else 0)


@destination.command("list")
@data_dir_option
@org_option
@json_option
def destination_list(data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """List the destinations.

    \b
    Example:
      execlave-server destination list
    """

    async def read(services: Services) -> list[Destination]:
        organization = await find_organization(services, organization_id)
        return await list_destinations(services, organization.number)

    found = with_services(settings_of(data_dir), read)
    if as_json:
        print_json([destination_view(each) for each in found])
        return
    rows = [
        [each.id, each.name, each.state, each.site, each.service, each.state_reason or "", _gap_shown(each)]
        for each in found
    ]
    print_table(["ID", "NAME", "STATE", "SITE", "SERVICE", "REASON", "GAP"], rows)


@destination.command("test")
@click.argument("destination_id")
@data_dir_option
@org_option
@json_option
def destination_test(destination_id: str, data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """Test a destination's connection: the key on the API host, then one log on the intake host.

    \b
    Example:
      execlave-server destination test dst_0123456789abcdef
    """

    async def try_it(services: Services) -> tuple[Destination, ConnectionReport]:
        organization = await find_organization(services, organization_id)
        return await try_destination(services, organization.number, destination_id)

    tried, report = with_services(settings_of(data_dir), try_it)
    if as_json:
        print_json({"id": tried.id, "state": tried.state, **_report_view(report)})
    else:
        _print_report(report)
    sys.exit(0 if report.passed else 1)


@destination.command("rotate")
@click.argument("destination_id")
@data_dir_option
@org_option
@click.option("--api-key-stdin", is_flag=True, help="Read the new Datadog API key from standard input.")
@json_option
def destination_rotate(
    destination_id: str, data_dir: Path | None, organization_id: str | None, *, api_key_stdin: bool, as_json: bool
) -> None:
    """Give a destination a new API key without a gap: the old one serves until the new one has passed its test.

    \b
    Example:
      printf %s "$NEW_DD_API_KEY" | execlave-server destination rotate dst_0123456789abcdef --api-key-stdin
    """
    key = _read_key(from_stdin=api_key_stdin)

    async def rotate(services: Services) -> tuple[Destination, ConnectionReport]:
        organization = await find_organization(services, organization_id)
        await change_destination(services, organization.number, destination_id, Wanted(api_key=key))
        return await try_destination(services, organization.number, destination_id)

    rotated, report = with_services(settings_of(data_dir), rotate)
    if as_json:
        print_json(
            {"id": rotated.id, "state": rotated.state, "apiKeyLastFour": rotated.key_hint, **_report_view(report)}
        )
    else:
        _print_report(report)
        click.echo(f"The key in use ends in {rotated.key_hint}.")
    sys.exit(0 if report.passed else 1)


@destination.command("enable")
@click.argument("destination_id")
@data_dir_option
@org_option
@json_option
def destination_enable(
    destination_id: str, data_dir: Path | None, organization_id: str | None, *, as_json: bool
) -> None:
    """Deliver to a destination from now on; its connection must have passed its test.

    \b
    Example:
      execlave-server destination enable dst_0123456789abcdef
    """

    async def enable(services: Services) -> Destination:
        organization = await find_organization(services, organization_id)
        return await enable_destination(services, organization.number, destination_id)

    _print_state(with_services(settings_of(data_dir), enable), as_json=as_json)


@destination.command("disable")
@click.argument("destination_id")
@data_dir_option
@org_option
@json_option
def destination_disable(
    destination_id: str, data_dir: Path | None, organization_id: str | None, *, as_json: bool
) -> None:
    """Stop queueing for a destination.

    \b
    Example:
      execlave-server destination disable dst_0123456789abcdef
    """

    async def disable(services: Services) -> Destination:
        organization = await find_organization(services, organization_id)
        return await disable_destination(services, organization.number, destination_id)

    _print_state(with_services(settings_of(data_dir), disable), as_json=as_json)


@destination.command("heartbeat")
@click.argument("destination_id")
@click.argument("switch", type=click.Choice(["on", "off"]))
@data_dir_option
@org_option
@json_option
def destination_heartbeat(
    destination_id: str, switch: str, data_dir: Path | None, organization_id: str | None, *, as_json: bool
) -> None:
    """Switch the heartbeat: one log a minute that tells Datadog how long the queue is, and that there is somebody.

    \b
    Example:
      execlave-server destination heartbeat dst_0123456789abcdef off
    """

    async def change(services: Services) -> Destination:
        organization = await find_organization(services, organization_id)
        return await change_destination(services, organization.number, destination_id, Wanted(heartbeat=switch == "on"))

    changed = with_services(settings_of(data_dir), change)
    if as_json:
        print_json({"id": changed.id, "heartbeat": changed.heartbeat})
    else:
        click.echo(f"{changed.id}  heartbeat {'on' if changed.heartbeat else 'off'}")


@destination.command("events")
@click.argument("destination_id")
@click.argument("switch", type=click.Choice(["on", "off"]))
@data_dir_option
@org_option
@json_option
def destination_events(
    destination_id: str, switch: str, data_dir: Path | None, organization_id: str | None, *, as_json: bool
) -> None:
    """Switch the governance events: what was paused, approved, bypassed or changed, beside the traces.

    \b
    Example:
      execlave-server destination events dst_0123456789abcdef off
    """

    async def change(services: Services) -> Destination:
        organization = await find_organization(services, organization_id)
        return await change_destination(services, organization.number, destination_id, Wanted(events=switch == "on"))

    changed = with_services(settings_of(data_dir), change)
    if as_json:
        print_json({"id": changed.id, "events": changed.events})
    else:
        click.echo(f"{changed.id}  events {'on' if changed.events else 'off'}")


def _gap_shown(shown: Destination) -> str:
    """When it was disabled, until somebody fills the gap."""
    return "" if shown.gap is None else f"{iso(shown.gap[0])} to {iso(shown.gap[1]) or 'now'}"


def _read_key(*, from_stdin: bool) -> Secret:
    return Secret(sys.stdin.readline().strip() if from_stdin else click.prompt("Datadog API key", hide_input=True))


def _print_state(changed: Destination, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": changed.id, "state": changed.state})
    else:
        click.echo(f"{changed.id}  {changed.state}")


def _report_view(report: ConnectionReport) -> dict[str, Any]:
    return {"passed": report.passed, "steps": report.steps}


def _print_report(report: ConnectionReport | None) -> None:
    for step in report.steps if report else []:
        click.echo(f"{'ok    ' if step.passed else 'FAILED'}  {step.step:8}  {step.message}", err=not step.passed)
