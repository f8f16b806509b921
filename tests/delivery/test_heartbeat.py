"""One log a minute from each enabled destination, whatever else happens, and at no cost to delivery."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from execlave_server.actions.configure_destination import Wanted, change_destination
from execlave_server.metrics import render
from execlave_server.model.destinations import DestinationState
from tampering import tamper

pytestmark = pytest.mark.sqlite

MINUTE_US = 60_000_000


@pytest.fixture
async def beating(rig):
    """The rig with the heartbeat switched on, at the beginning of a minute."""
    rig.clock.pushed_us = MINUTE_US - rig.clock.now_us() % MINUTE_US
    await change_destination(rig.services, rig.organization.number, rig.destination.id, Wanted(heartbeat=True))
    return rig


async def heartbeats(rig) -> list[dict[str, Any]]:
    """Those that arrived, in order."""
    return [log for log in await rig.every_log() if log.get("execlave", {}).get("event") == "heartbeat"]


async def until_beats(rig, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The heartbeats, once there are so many."""
    async with asyncio.timeout(20):
        while not holds(found := await heartbeats(rig)):
            await asyncio.sleep(0.02)
    return found


async def test_it_says_how_the_stream_is(beating) -> None:
    """Backlog, age of the oldest and parked logs stand under `execlave`, also while logs wait."""
    await beating.ingest(40)
    later_us = beating.clock.now_us() + 2 * MINUTE_US  # between two attempts
    await tamper(beating.services.settings, f"update outbox set due_at_us = {later_us}")  # noqa: S608 - a number
    beating.clock.pushed_us += 90_000_000
    async with beating.worker():
        (found,) = await until_beats(beating, bool)

    assert found == {
        "ddsource": "execlave",
        "service": "execlave",
        "hostname": "execlave",
        "timestamp": found["timestamp"],
        "message": "execlave heartbeat",
        "organization_id": beating.organization.id,
        "execlave": {
            "event": "heartbeat",
            "backlog": 40,
            "oldest_age_seconds": found["execlave"]["oldest_age_seconds"],
            "parked": 0,
        },
    }
    assert 90 <= found["execlave"]["oldest_age_seconds"] <= 100


async def test_exactly_one_a_minute_with_several_workers(beating) -> None:
    """Of three workers one sends each minute's."""
    async with beating.worker(), beating.worker(), beating.worker():
        for minute in range(1, 5):
            await until_beats(beating, lambda found, minute=minute: len(found) >= minute)
            await asyncio.sleep(0.3)  # the other workers look, and find it claimed
            assert len(await heartbeats(beating)) == minute
            beating.clock.pushed_us += MINUTE_US

    minutes = [log["timestamp"] // 60_000 for log in await heartbeats(beating)]
    assert len(set(minutes)) == len(minutes)


async def test_it_is_no_part_of_the_sum(beating) -> None:
    """What is delivered counts traces alone."""
    await beating.ingest(5)
    async with beating.worker():
        counts = await beating.until(lambda counts: counts.waiting == 0)
        await until_beats(beating, bool)

    assert (counts.committed, counts.delivered) == (5, 5)


async def test_a_failure_disturbs_nothing_and_is_not_repeated(beating) -> None:
    """A heartbeat that is refused with 403 neither holds the destination nor comes again before the next minute."""
    await beating.faults({"status": 403, "times": 1})
    async with beating.worker() as worker:
        await until_counted(worker, 'result="failed"')
        await beating.ingest(3)
        counts = await beating.until(lambda counts: counts.waiting == 0)
        before = await heartbeats(beating)
        beating.clock.pushed_us += MINUTE_US
        after = await until_beats(beating, bool)

    assert counts.delivered == 3
    assert (before, len(after)) == ([], 1)
    assert (await beating.reload()).state is DestinationState.ENABLED


async def until_counted(worker, text: str) -> None:
    """Wait until the worker's metrics have a line."""
    async with asyncio.timeout(20):
        while text not in render(worker.metrics.registry).decode():
            await asyncio.sleep(0.02)


async def test_a_held_destination_gets_none(beating) -> None:
    """Nothing is sent to a destination that is held."""
    await tamper(beating.services.settings, "update destinations set state = 'held'")
    async with beating.worker():
        await asyncio.sleep(0.6)  # several looks; the first would have sent it

    assert await heartbeats(beating) == []


async def test_it_can_be_switched_off(rig) -> None:
    """A destination whose heartbeat is off gets none."""
    async with rig.worker():
        await rig.ingest(3)
        await rig.until(lambda counts: counts.waiting == 0)
        rig.clock.pushed_us += MINUTE_US
        await asyncio.sleep(0.5)

    assert await heartbeats(rig) == []


async def test_a_clock_set_back_does_not_silence_it(beating) -> None:
    """A claim far in the future binds nobody."""
    async with beating.worker():
        beating.clock.pushed_us += 60 * MINUTE_US
        await until_beats(beating, lambda found: len(found) >= 1)
    beating.clock.pushed_us -= 60 * MINUTE_US
    before = len(await heartbeats(beating))
    async with beating.worker():
        assert await until_beats(beating, lambda found: len(found) > before)
