"""Deliveries on the command line: where each destination stands, and what it refused."""

from pathlib import Path

import click

from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.read_deliveries import DeliveryCounts, count_deliveries
from execlave_server.actions.read_trace_deliveries import SpanDelivery, read_trace_deliveries
from execlave_server.actions.requeue_parked import ParkedLog, list_parked, requeue_parked
from execlave_server.actions.services import Services
from execlave_server.api.admin import parked_view
from execlave_server.api.deliveries import trace_view
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
from execlave_server.cli.past import backfill, replay

SPAN_SHOWN_CHARS = 40  # of a span id in a table; --json has the whole


@click.group
def deliveries() -> None:
    """What was delivered, what waits, and what was refused."""


@deliveries.command("status")
@data_dir_option
@org_option
@json_option
def deliveries_status(data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """Count what each destination was sent, in logs.

    \b
    Example:
      execlave-server deliveries status
    """

    async def read(services: Services) -> list[DeliveryCounts]:
        organization = await find_organization(services, organization_id)
        return await count_deliveries(services, organization.number)

    found = with_services(settings_of(data_dir), read)
    if as_json:
        print_json(found)
        return
    columns = ["DESTINATION", "DELIVERED", "WAITING", "PARKED", "LATE", "OLDEST WAITING"]
    rows = [
        [
            each.id,
            *map(str, (each.delivered, each.waiting, each.parked, each.late)),
            iso(each.oldest_waiting_at_us) or "",
        ]
        for each in found
    ]
    print_table(columns, rows)


@deliveries.command("parked")
@data_dir_option
@org_option
@click.option("--destination", "destination_id", help="Only this destination's.")
@click.option("--after", default=0, help="Only those parked after this id.")
@click.option("--limit", default=100, show_default=True)
@json_option
def deliveries_parked(
    data_dir: Path | None,
    organization_id: str | None,
    destination_id: str | None,
    after: int,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List the logs that a destination refused for good, each with its answer.

    \b
    Example:
      execlave-server deliveries parked --json
    """

    async def read(services: Services) -> list[ParkedLog]:
        organization = await find_organization(services, organization_id)
        return await list_parked(services, organization.number, destination_id=destination_id, after=after, limit=limit)

    found = with_services(settings_of(data_dir), read)
    if as_json:
        print_json([parked_view(each) for each in found])
        return
    rows = [
        [str(each.id), each.destination_id, each.reason, str(each.status or ""), (each.answer or "")[:60]]
        for each in found
    ]
    print_table(["ID", "DESTINATION", "REASON", "STATUS", "ANSWER"], rows)


@deliveries.command("of")
@click.argument("trace_id")
@data_dir_option
@org_option
@json_option
def deliveries_of(trace_id: str, data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """Show where and when each span of a trace was delivered.

    \b
    Example:
      execlave-server deliveries of 9f4e2c1a-7b3d-4e8f-a1c2-3d4e5f6a7b8c
    """

    async def read(services: Services) -> list[SpanDelivery]:
        organization = await find_organization(services, organization_id)
        return await read_trace_deliveries(services, organization.id, organization.number, trace_id)

    found = with_services(settings_of(data_dir), read)
    if as_json:
        print_json(trace_view(trace_id, found))
        return
    rows = [
        [
            each.span_id[:SPAN_SHOWN_CHARS],
            each.destination_name or "",
            each.state or "no destination",
            str(each.attempts),
            str(each.last_status or ""),
            iso(each.delivered_at_us) or "",
            each.origin or "",
            each.parked_reason or "",
        ]
        for each in found
    ]
    print_table(["SPAN", "DESTINATION", "STATE", "ATTEMPTS", "STATUS", "DELIVERED AT", "ORIGIN", "PARKED"], rows)


@deliveries.command("requeue")
@click.argument("parked_ids", type=int, nargs=-1, required=True)
@data_dir_option
@org_option
def deliveries_requeue(parked_ids: tuple[int, ...], data_dir: Path | None, organization_id: str | None) -> None:
    """Make parked logs wait for delivery again, by the ids that `parked` lists.

    \b
    Example:
      execlave-server deliveries requeue 17 18
    """

    async def requeue(services: Services) -> int:
        organization = await find_organization(services, organization_id)
        return await requeue_parked(services, organization.number, parked_ids)

    click.echo(f"Requeued {with_services(settings_of(data_dir), requeue)}.")


for command in (backfill, replay):
    deliveries.add_command(command)
