"""Backfill sends what a destination never got, replay what it got already."""

import pytest

from execlave_server.actions.configure_destination import disable_destination, enable_destination
from execlave_server.actions.send_again import Past, send_past
from execlave_server.errors import NotFoundError

NEVER = 1 << 62


async def queue(rig, past: Past, from_us: int = 0, to_us: int = NEVER) -> int:
    """Queue a span of the past; how many batches."""
    return await send_past(
        rig.services,
        rig.organization.number,
        rig.destination.id,
        past=past,
        from_us=from_us,
        to_us=to_us,
        report=lambda _done, _total: None,
    )


async def test_the_gap_of_a_disabled_destination_is_filled(rig) -> None:
    """What was committed while a destination was disabled is queued by a backfill, marked, and delivered once."""
    await disable_destination(rig.services, rig.organization.number, rig.destination.id)
    await rig.ingest(20, prefix="gap")
    await enable_destination(rig.services, rig.organization.number, rig.destination.id)
    await rig.ingest(5, prefix="live")

    first, second = await queue(rig, Past.BACKFILL), await queue(rig, Past.BACKFILL)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert (first, second) == (1, 0)
    assert len(logs) == 25
    assert {log["trace_id"][:3] for log in logs if log["execlave"].get("backfill")} == {"gap"}


async def test_a_backfill_keeps_to_its_time_span(rig) -> None:
    """Only batches received in [from, to) are queued."""
    await disable_destination(rig.services, rig.organization.number, rig.destination.id)
    await rig.ingest(1, prefix="before")
    rig.clock.pushed_us += 60_000_000
    middle_us = rig.clock.now_us()
    await rig.ingest(1, prefix="within")
    rig.clock.pushed_us += 60_000_000
    await rig.ingest(1, prefix="after")
    await enable_destination(rig.services, rig.organization.number, rig.destination.id)

    queued = await queue(rig, Past.BACKFILL, middle_us, middle_us + 30_000_000)
    async with rig.worker():
        await rig.until(lambda counts: counts.delivered == 1)

    assert queued == 1
    assert [log["trace_id"] for log in await rig.logs()] == ["within0"]


async def test_a_replay_sends_again_under_the_same_key(rig) -> None:
    """A replayed log says so and carries the delivery key it had."""
    await rig.ingest(3)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

        queued = await queue(rig, Past.REPLAY)
        await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert queued == 1
    assert [log["execlave"].get("replay", False) for log in logs] == [False] * 3 + [True] * 3
    assert {log["execlave"]["delivery_key"] for log in logs[:3]} == {
        log["execlave"]["delivery_key"] for log in logs[3:]
    }


async def test_what_waits_is_not_replayed(rig) -> None:
    """A batch that was not delivered yet is sent once, whatever is asked."""
    await rig.ingest(3)

    queued = await queue(rig, Past.REPLAY)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    assert queued == 0
    assert len(await rig.logs()) == 3


async def test_another_organizations_destination_is_not_found(rig) -> None:
    """A destination is reached by its own organization only."""
    with pytest.raises(NotFoundError):
        await send_past(
            rig.services,
            rig.organization.number + 1,
            rig.destination.id,
            past=Past.BACKFILL,
            from_us=0,
            to_us=NEVER,
            report=print,
        )
