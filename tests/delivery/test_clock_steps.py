"""The wall clock is set forward or back while batches wait, are leased, or are on their way."""

import asyncio

import pytest

HOUR_US = 3_600_000_000
PROBE_US = 2_600_000  # past the next attempt of an outage
STEPS = [-24 * HOUR_US, -60_000_000]
SOON_S = 8.0  # far less than the steps; an outage is probed every 2.5 s


def ids(logs) -> list[str]:
    """The trace ids of some logs, in order."""
    return sorted(log["trace_id"] for log in logs)


@pytest.mark.parametrize("step_us", STEPS)
async def test_what_was_committed_before_a_step_back_is_sent_at_once(rig, step_us) -> None:
    """Batches committed under a time that has yet to come do not wait for it, with a worker that starts afterwards."""
    await rig.ingest(50, prefix="early")
    rig.clock.set_us += step_us
    await rig.ingest(50, prefix="late")

    async with rig.worker(), asyncio.timeout(SOON_S):
        await rig.until(lambda counts: counts.waiting == 0)

    assert len(await rig.logs()) == 100


@pytest.mark.parametrize("step_us", STEPS)
async def test_a_step_back_under_a_running_worker_delays_nothing(rig, step_us) -> None:
    """What waits for its next attempt, and what is committed while the clock is set back, goes out once, and soon."""
    await rig.faults({"status": 503, "times": 1})
    await rig.ingest(20, prefix="waiting")
    async with rig.worker(), asyncio.timeout(SOON_S):
        while await _untried(rig):
            await asyncio.sleep(0.02)
        await rig.ingest(20, prefix="before")
        rig.clock.set_us += step_us
        rig.clock.pushed_us += PROBE_US
        await rig.ingest(20, prefix="after")
        await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert len(logs) == len(set(ids(logs))) == 60


async def _untried(rig) -> bool:
    async with rig.session.get(f"{rig.sandbox_url}/sandbox/stats") as answer:
        return (await answer.json())["faults_applied"] == 0


@pytest.mark.parametrize("step_us", [*STEPS, HOUR_US])
async def test_a_step_during_a_slow_request_sends_nothing_twice(rig, step_us) -> None:
    """A batch that is on its way when the clock is set stays this worker's, and is delivered once."""
    await rig.faults({"delay_ms": 1_500, "times": 1})
    await rig.ingest(1_000, prefix="slow")
    async with rig.worker(), asyncio.timeout(SOON_S):
        while await _untried(rig):
            await asyncio.sleep(0.02)
        rig.clock.set_us += step_us
        await rig.ingest(10, prefix="more")
        await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert len(logs) == len(set(ids(logs))) == 1_010


async def test_a_step_back_does_not_silence_a_held_destination(rig) -> None:
    """The next look at a held destination is a wait, not a time of day: it comes, and the destination resumes."""
    await rig.keys("another-key-that-is-valid")
    await rig.ingest(10)
    async with rig.worker():
        await rig.until_held()
        rig.clock.set_us -= 24 * HOUR_US
        await rig.keys("0123456789abcdef0123456789abcdef")
        await rig.until(lambda counts: counts.waiting == 0, pushing_us=31_000_000)

    assert len(await rig.logs()) == 10


async def test_a_step_back_does_not_stretch_what_datadog_asked_for(rig) -> None:
    """A `Retry-After` of one second is one second, although the clock is a day behind when it is over."""
    await rig.faults({"status": 429, "times": 1, "headers": {"Retry-After": "1"}})
    await rig.ingest(10)
    async with rig.worker(), asyncio.timeout(SOON_S):
        while await _untried(rig):
            await asyncio.sleep(0.02)
        rig.clock.set_us -= 24 * HOUR_US
        rig.clock.pushed_us += PROBE_US
        await rig.until(lambda counts: counts.waiting == 0)

    assert len(await rig.logs()) == 10
