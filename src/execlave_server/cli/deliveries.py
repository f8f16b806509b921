"""Deliveries on the command line: where each destination stands, and what it refused."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.read_deliveries import DeliveryCounts, count_deliveries
from execlave_server.actions.requeue_parked import ParkedLog, list_parked, requeue_parked
from execlave_server.actions.send_again import Past, send_past
from execlave_server.actions.services import Services
from execlave_server.api.admin import parked_view
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


_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"])
_destination_option = click.option("--destination", "destination_id", required=True, help="The destination's id.")
_from_option = click.option("--from", "start", type=_TIME, required=True, help="Received at or after, UTC.")
_to_option = click.option("--to", "end", type=_TIME, help="Received before, UTC. [default: now]")


@deliveries.command("backfill")
@data_dir_option
@org_option
@_destination_option
@_from_option
@_to_option
def deliveries_backfill(
    data_dir: Path | None, organization_id: str | None, destination_id: str, start: datetime, end: datetime | None
) -> None:
    """Queue the batches of a time span that a destination never got; run again, it goes on where it was stopped.

    For a destination that was added later, or for the gap while one was disabled. The logs are marked
    `execlave.backfill`.

    \b
    Example:
      execlave-server deliveries backfill --destination dst_0123456789abcdef --from 2026-11-01 --to 2026-11-02T06:00:00Z
    """
    _send_past(data_dir, organization_id, destination_id, Past.BACKFILL, start, end)


@deliveries.command("replay")
@data_dir_option
@org_option
@_destination_option
@_from_option
@_to_option
def deliveries_replay(
    data_dir: Path | None, organization_id: str | None, destination_id: str, start: datetime, end: datetime | None
) -> None:
    """Send once more what was delivered in a time span, e.g. into an index that was lost.

    The logs are marked `execlave.replay`; their `execlave.delivery_key` is the same as before.

    \b
    Example:
      execlave-server deliveries replay --destination dst_0123456789abcdef --from 2026-11-01T10:00:00Z
    """
    _send_past(data_dir, organization_id, destination_id, Past.REPLAY, start, end)


def _send_past(
    data_dir: Path | None,
    organization_id: str | None,
    destination_id: str,
    past: Past,
    start: datetime,
    end: datetime | None,
) -> None:
    async def send(services: Services) -> int:
        organization = await find_organization(services, organization_id)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"{past} of {destination_id}", total=None)

            def report(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            return await send_past(
                services,
                organization.number,
                destination_id,
                past=past,
                from_us=_epoch_us(start),
                to_us=services.clock.now_us() if end is None else _epoch_us(end),
                report=report,
            )

    click.echo(f"Queued {with_services(settings_of(data_dir), send)} batches.")


def _epoch_us(time: datetime) -> int:
    return round(time.replace(tzinfo=UTC).timestamp() * 1_000_000)
