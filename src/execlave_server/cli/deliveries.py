"""Deliveries on the command line: where each destination stands, and what it refused."""

from pathlib import Path
from typing import Any

import click

from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.read_deliveries import count_deliveries, read_standings
from execlave_server.actions.read_trace_deliveries import SpanDelivery, read_trace_deliveries
from execlave_server.actions.requeue_parked import ParkedLog, list_parked, requeue_parked
from execlave_server.actions.services import Services
from execlave_server.api.admin import parked_view
from execlave_server.api.deliveries import standings_view, trace_view
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

ANSWER_SHOWN_CHARS = 60
SPAN_SHOWN_CHARS = 40  # of a span id in a table; --json has the whole


@click.group
def deliveries() -> None:
    """What was delivered, what waits, and what was refused."""


@deliveries.command("status")
@data_dir_option
@org_option
@json_option
def deliveries_status(data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """Show where each destination stands: logs delivered, waiting and parked, how it goes, and what was answered last.

    \b
    Example:
      execlave-server deliveries status
    """

    async def read(services: Services) -> list[dict[str, Any]]:
        organization = await find_organization(services, organization_id)
        counted = await count_deliveries(services, organization.number)
        standings = await read_standings(services, organization.number)
        return standings_view(counted, standings, services.clock.now_us())

    found = with_services(settings_of(data_dir), read)
    if as_json:
        print_json(found)
        return
    columns = ["DESTINATION", "STATE", "DELIVERED", "WAITING", "PARKED", "LATE", "OLDEST WAITING", "LAST ANSWER"]
    print_table(columns, [_standing_row(each) for each in found])
    for each in found:
        if each["stateReason"]:
            click.echo(f"{each['id']} is {each['state']}: {each['stateReason']}")


def _standing_row(each: dict[str, Any]) -> list[str]:
    seconds = each["oldestWaitingSeconds"]
    answer = f"{each['lastStatus'] or ''} {(each['lastAnswer'] or '')[:ANSWER_SHOWN_CHARS]}".strip()
    return [
        each["id"],
        each["state"],
        *(str(each[name]) for name in ("delivered", "waiting", "parked", "late")),
        "" if seconds is None else f"{seconds:.0f} s",
        " ".join(answer.split()),
    ]


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
            str(each.parked_status or each.last_status or ""),
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
