"""What a person sees of a destination's deliveries: how it goes, what was answered, what comes next, and why not."""

import asyncio
from typing import Any

from execlave_server.actions.configure_destination import disable_destination
from execlave_server.actions.read_deliveries import count_deliveries, read_standings
from execlave_server.api.deliveries import standings_view


async def look(rig) -> dict[str, Any]:
    """The destination as the API shows it."""
    counted = await count_deliveries(rig.services, rig.organization.number)
    standings = await read_standings(rig.services, rig.organization.number)
    (seen,) = standings_view(counted, standings, rig.clock.now_us())
    return seen


async def until_status(rig, status: int) -> None:
    """Wait until an answer is in the ledger."""
    async with asyncio.timeout(20):
        while (await look(rig))["lastStatus"] != status:
            await asyncio.sleep(0.02)


async def test_nothing_has_happened_yet(rig) -> None:
    """A new destination has no counts, no answer and nothing to wait for."""
    seen = await look(rig)

    assert (seen["state"], seen["delivered"], seen["waiting"], seen["bytes"]) == ("enabled", 0, 0, 0)
    unknown = [
        "oldestWaitingAt",
        "oldestWaitingSeconds",
        "nextAttemptAt",
        "lastStatus",
        "lastAnswer",
        "lastDeliveredAt",
    ]
    assert [seen[name] for name in unknown] == [None] * 6


async def test_after_a_delivery(rig) -> None:
    """Delivered logs show the answer, the bytes that were sent, the latency and the time."""
    await rig.ingest(30, timestamp="2026-01-01T00:00:00Z")
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    seen = await look(rig)
    sizes = [len(str(log)) for log in await rig.logs()]
    assert (seen["delivered"], seen["late"], seen["lastStatus"], seen["lastAttempts"]) == (30, 30, 202, 1)
    assert 0.7 * sum(sizes) < seen["bytes"] < 1.3 * sum(sizes)
    assert seen["lastLatencyMs"] > 0
    assert seen["lastDeliveredAt"] is not None
    assert (seen["oldestWaitingSeconds"], seen["nextAttemptAt"]) == (None, None)


async def test_during_an_outage(rig) -> None:
    """What waits shows its age, the last answer and when it is tried next."""
    await rig.ingest(5)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
        await rig.faults({"status": 503, "times": None, "body": "maintenance"})
        await rig.ingest(5, prefix="later")
        rig.clock.pushed_us += 2_000_000
        await until_status(rig, 503)
        rig.clock.pushed_us += 3_600_000_000

        seen = await look(rig)

    assert (seen["waiting"], seen["lastStatus"], seen["lastAnswer"]) == (5, 503, "maintenance")
    assert 3_600 < seen["oldestWaitingSeconds"] < 3_700
    assert seen["nextAttemptAt"] is not None


async def test_held_and_disabled_say_why_and_try_nothing(rig) -> None:
    """A held destination shows its reason and no next attempt; a disabled one likewise."""
    await rig.keys("another-key-that-is-valid")
    await rig.ingest(5)
    async with rig.worker():
        await rig.until_held()
        await until_status(rig, 403)
        held = await look(rig)
    await disable_destination(rig.services, rig.organization.number, rig.destination.id)
    disabled = await look(rig)

    assert (held["state"], held["waiting"], held["nextAttemptAt"]) == ("held", 5, None)
    assert "answered 403 to the API key ending in cdef" in held["stateReason"]
    assert "Forbidden" in held["lastAnswer"]
    assert (disabled["state"], disabled["stateReason"], disabled["nextAttemptAt"]) == (
        "disabled",
        "disabled by an administrator",
        None,
    )
