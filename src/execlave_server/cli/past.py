"""The past queued again, on the command line: what a destination never got, or what it got already."""

from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.send_again import Past, PastSpan, close_gap, gap_span, new_replay_id, send_past
from execlave_server.actions.services import Services
from execlave_server.api.times import iso, microseconds
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    settings_of,
    with_services,
)

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"])
_destination_option = click.option("--destination", "destination_id", required=True, help="The destination's id.")
_to_option = click.option("--to", "end", type=_TIME, help="Received before, UTC. [default: now]")


@click.command
@data_dir_option
@org_option
@_destination_option
@click.option("--from", "start", type=_TIME, help="Received at or after, UTC.")
@_to_option
@click.option("--gap", is_flag=True, help="The time in which the destination was disabled, instead of --from and --to.")
@json_option
def backfill(
    data_dir: Path | None,
    organization_id: str | None,
    destination_id: str,
    start: datetime | None,
    end: datetime | None,
    *,
    gap: bool,
    as_json: bool,
) -> None:
    """Queue the batches of a time span that a destination never got; run again, it goes on where it was stopped.

    For a destination that was added later, or for the gap while one was disabled. The logs are marked
    `execlave.backfill`.

    \b
    Example:
      execlave-server deliveries backfill --destination dst_0123456789abcdef --from 2026-11-01 --to 2026-11-02T06:00:00Z
      execlave-server deliveries backfill --destination dst_0123456789abcdef --gap
    """
    if gap == (start is not None) or (gap and end is not None):
        raise click.UsageError("Give either --gap, or --from with or without --to.")

    async def fill(services: Services) -> int:
        organization = (await find_organization(services, organization_id)).number
        if start is not None:
            return await _send(services, organization, destination_id, _span(services, Past.BACKFILL, start, end, None))
        queued = await _send(
            services, organization, destination_id, await gap_span(services, organization, destination_id)
        )
        await close_gap(services, organization, destination_id)
        return queued

    queued = with_services(settings_of(data_dir), fill)
    if as_json:
        print_json({"queued": queued})
    else:
        click.echo(f"Queued {queued} batches.")


@click.command
@data_dir_option
@org_option
@_destination_option
@click.option("--from", "start", type=_TIME, required=True, help="Received at or after, UTC.")
@_to_option
@click.option("--resume", "resumed", help="Finish this replay: what it has queued already is not queued again.")
@json_option
def replay(
    data_dir: Path | None,
    organization_id: str | None,
    destination_id: str,
    start: datetime,
    end: datetime | None,
    resumed: str | None,
    *,
    as_json: bool,
) -> None:
    """Send once more what was delivered in a time span, e.g. into an index that was lost.

    The logs are marked `execlave.replay`; their `execlave.delivery_key` is the same as before. Each replay has an id;
    one that was interrupted is finished with --resume and that id, and sends nothing twice.

    \b
    Example:
      execlave-server deliveries replay --destination dst_0123456789abcdef --from 2026-11-01T10:00:00Z
    """
    if resumed is not None and end is None:
        raise click.UsageError("--resume needs the --to of the replay it finishes: what is newer is another replay.")

    async def send(services: Services) -> tuple[str, int]:
        organization = (await find_organization(services, organization_id)).number
        named = resumed or new_replay_id(services)
        span = _span(services, Past.REPLAY, start, end, named)
        click.echo(
            f"Replay {named}. If it is interrupted: execlave-server deliveries replay --destination {destination_id} "
            f"--from {iso(span.from_us)} --to {iso(span.to_us)} --resume {named}",
            err=True,
        )
        return named, await _send(services, organization, destination_id, span)

    named, queued = with_services(settings_of(data_dir), send)
    if as_json:
        print_json({"replay": named, "queued": queued})
    else:
        click.echo(f"Queued {queued} batches.")


async def _send(services: Services, organization: int, destination_id: str, span: PastSpan) -> int:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{span.past} of {destination_id}", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return await send_past(services, organization, destination_id, span, report=report)


def _span(services: Services, past: Past, start: datetime, end: datetime | None, replay: str | None) -> PastSpan:
    to_us = services.clock.now_us() if end is None else microseconds(end)
    to_us -= to_us % 1_000  # as it is shown, so that a replay is resumed with the very same end
    return PastSpan(past, microseconds(start), to_us, replay)
