"""Delivery when several things happen at once."""

import asyncio

from execlave_server.actions.requeue_parked import list_parked, requeue_parked

SLOW = {"delay_ms": 300, "times": None}


async def test_a_log_requeued_by_several_is_requeued_once(rig) -> None:
    """Requeueing the same log from three sides at once makes one log wait, and it is delivered."""
    await rig.faults({"status": 400, "times": 8})
    await rig.ingest(100)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
    (parked,) = await list_parked(rig.services, rig.organization.number, destination_id=None, after=0, limit=10)

    requests = [requeue_parked(rig.services, rig.organization.number, [parked.id]) for _ in range(3)]
    await asyncio.gather(*requests, return_exceptions=True)
    between = await rig.counts()
    async with rig.worker():
        after = await rig.until(lambda counts: counts.waiting == 0)

    assert (between.delivered, between.waiting, between.parked) == (99, 1, 0)
    assert (after.delivered, after.parked) == (100, 0)


async def test_refusing_everything_parks_nothing_of_a_long_queue(rig) -> None:
    """With several requests halving at once, every log waits again once the destination is held."""
    await rig.faults({"status": 400, "times": None})
    await rig.ingest(8_000)

    async with rig.worker():
        await rig.until_held()
        counts = await rig.until(lambda counts: counts.parked == 0)

    assert (counts.waiting, counts.delivered) == (8_000, 0)
    assert (await rig.counts()).parked == 0


async def test_stopping_under_a_backlog_sends_nothing_twice(rig) -> None:
    """A worker that is told to stop finishes what is under way, starts nothing more, and forgets no result."""
    await rig.faults(SLOW)
    await rig.ingest(12_000)

    async with rig.worker():
        await rig.until(lambda counts: counts.delivered > 0)
    stopped = await rig.counts()
    received = len(await rig.logs())
    await rig.faults()
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    assert 0 < stopped.delivered < 12_000
    assert received == stopped.delivered
    assert len(await rig.logs()) == 12_000


async def test_halving_under_slow_answers_makes_progress(rig) -> None:
    """A batch that takes longer to halve than its first lease is held on to, and its poison log is found."""
    await rig.faults({"status": 400, "delay_ms": 1_000, "times": 11})
    await rig.ingest(1_000)

    async with rig.worker():
        counts = await rig.until(lambda counts: counts.waiting == 0)

    assert (counts.delivered, counts.parked) == (999, 1)
