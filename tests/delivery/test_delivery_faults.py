"""Every failure of the intake ends in delivered, waiting or parked with a reason."""

from typing import Any

from execlave_server.actions.configure_destination import disable_destination, enable_destination
from execlave_server.actions.read_deliveries import read_standings
from execlave_server.actions.requeue_parked import list_parked, requeue_parked
from execlave_server.model.destinations import DestinationState
from execlave_server.store.protocol import Call, Parameters, Write

REFUSALS_OF_8 = 18  # of 64 logs, halved: after so many answers eight of them have been refused alone


def keys_of(logs: list[dict[str, Any]]) -> list[str]:
    """The trace ids of some logs, in order."""
    return sorted(log["trace_id"] for log in logs)


async def test_everything_is_delivered_once(rig) -> None:
    """What is committed arrives, each log once."""
    await rig.ingest(2_500)

    async with rig.worker():
        counts = await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert (counts.delivered, counts.parked) == (2_500, 0)
    assert keys_of(logs) == sorted(f"t{number}" for number in range(2_500))


async def test_an_outage_ends_in_delivery(rig) -> None:
    """Server errors, rate limits, resets and foreign pages delay delivery and lose nothing."""
    await rig.faults(
        {"status": 503, "times": 1},
        {"status": 429, "times": 1, "headers": {"X-RateLimit-Reset": "1"}},
        {"action": "reset", "times": 1},
        {"status": 200, "body": "<html>sign in</html>", "times": 1},
    )
    await rig.ingest(300)

    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    assert keys_of(await rig.logs()) == sorted(f"t{number}" for number in range(300))


async def test_a_poison_log_is_parked_alone(rig) -> None:
    """A log that the intake refuses is found by halving, parked with the answer, and its neighbours arrive."""
    await rig.faults({"status": 400, "times": 8, "body": "bad log"})  # 100 logs: 7 halvings and the single one
    await rig.ingest(100)

    async with rig.worker():
        counts = await rig.until(lambda counts: counts.waiting == 0)

    parked = await list_parked(rig.services, rig.organization.number, destination_id=None, after=0, limit=10)
    assert (counts.delivered, counts.parked) == (99, 1)
    assert (parked[0].reason, parked[0].status, parked[0].answer) == ("refused", 400, "bad log")
    assert len(await rig.logs()) == 99


async def test_a_parked_log_can_be_requeued(rig) -> None:
    """Requeueing sends that one log and no other of its batch."""
    await rig.faults({"status": 400, "times": 8})
    await rig.ingest(100)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
        parked = await list_parked(rig.services, rig.organization.number, destination_id=None, after=0, limit=10)

        await requeue_parked(rig.services, rig.organization.number, [parked[0].id])
        counts = await rig.until(lambda counts: counts.delivered == 100)

    assert counts.parked == 0
    assert keys_of(await rig.logs()) == sorted(f"t{number}" for number in range(100))


async def test_too_large_payloads_are_halved(rig) -> None:
    """A 413 halves the payload until it fits."""
    await rig.faults({"status": 413, "times": 3})
    await rig.ingest(64)

    async with rig.worker():
        counts = await rig.until(lambda counts: counts.waiting == 0)

    assert (counts.delivered, counts.parked) == (64, 0)
    assert len(await rig.logs()) == 64


async def test_a_proxy_that_refuses_everything_does_not_park_the_queue(rig) -> None:
    """Twenty single logs refused in a row hold the destination, and all of them wait."""
    await rig.faults({"status": 400, "times": None})
    await rig.ingest(200)

    async with rig.worker():
        held = await rig.until_held()
        counts = await rig.until(lambda counts: counts.parked == 0)

    assert "20 single logs in a row" in (held.state_reason or "")
    assert (counts.waiting, counts.parked) == (200, 0)


async def test_a_successor_goes_on_counting_refusals(rig) -> None:
    """A worker that ended amid refusals leaves their count: with its successor's they hold, and all of them wait."""
    await rig.faults({"status": 400, "times": REFUSALS_OF_8}, {"status": 503, "times": None})
    await rig.ingest(64)
    async with rig.worker():
        between = await rig.until(lambda counts: counts.parked == 8)

    await rig.faults({"status": 400, "times": None})
    async with rig.worker():
        held = await rig.until_held()
        counts = await rig.until(lambda counts: counts.parked == 0)

    assert (between.waiting, between.parked) == (56, 8)
    assert "20 single logs in a row" in (held.state_reason or "")
    assert (counts.waiting, counts.delivered) == (64, 0)


async def test_a_held_destination_takes_back_what_a_killed_worker_parked(rig) -> None:
    """Logs refused just before the destination was held wait again, though the worker that counted them is gone."""
    await rig.faults({"status": 400, "times": REFUSALS_OF_8}, {"status": 503, "times": None})
    await rig.ingest(64)
    async with rig.worker():
        await rig.until(lambda counts: counts.parked == 8)
    held: Parameters = {
        "destination": rig.destination.number,
        "seen_at_us": (await rig.reload()).updated_at_us,
        "reason": "held as the worker is killed",
        "now_us": rig.clock.now_us(),
    }
    await rig.services.store.commit(Write(calls=[Call("hold_destination", held)]))

    async with rig.worker():
        counts = await rig.until(lambda counts: counts.parked == 0)

    assert counts.waiting == 64


async def test_what_was_refused_for_itself_stays_parked(rig) -> None:
    """A log refused alone while others are accepted stays parked when the destination is held later."""
    await rig.faults({"status": 400, "times": 8})
    await rig.ingest(100)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    await rig.keys("another-key-that-is-valid")
    await rig.ingest(10, prefix="more")
    async with rig.worker():
        await rig.until_held()
    async with rig.worker():
        counts = await rig.until(lambda counts: counts.waiting == 10)

    assert (counts.delivered, counts.waiting, counts.parked) == (99, 10, 1)


async def test_a_destination_enabled_by_hand_waits_for_nothing(rig) -> None:
    """What a refused key made wait long is due the moment somebody enables the destination again."""
    await rig.faults({"status": 403, "times": 1, "headers": {"Retry-After": "100"}})
    await rig.ingest(50)
    async with rig.worker():
        await rig.until_held()
        long_us = rig.clock.now_us() + 50_000_000
        await rig.until_standing(lambda standing: (standing.next_attempt_at_us or 0) > long_us)

    await enable_destination(rig.services, rig.organization.number, rig.destination.id)
    (after,) = await read_standings(rig.services, rig.organization.number)

    assert (after.next_attempt_at_us or 0) <= rig.clock.now_us()


async def test_an_answer_to_the_past_delays_nothing(rig) -> None:
    """Somebody sets a destination right while a request is under way: its failure makes nobody wait afterwards."""
    await rig.faults({"status": 503, "times": 1, "delay_ms": 2_500, "headers": {"Retry-After": "100"}})
    await rig.ingest(50)
    async with rig.worker():
        await rig.until_met(1)
        await disable_destination(rig.services, rig.organization.number, rig.destination.id)
        await enable_destination(rig.services, rig.organization.number, rig.destination.id)
        counts = await rig.until(lambda counts: counts.waiting == 0)

    assert counts.delivered == 50


async def test_a_refused_key_holds_and_resumes_by_itself(rig) -> None:
    """A revoked key holds the destination; when it works again, delivery resumes without a hand."""
    await rig.keys("another-key-that-is-valid")
    await rig.ingest(50)

    async with rig.worker():
        await rig.until_held()
        held = await rig.counts()
        await rig.keys("0123456789abcdef0123456789abcdef")
        counts = await rig.until(lambda counts: counts.waiting == 0, pushing_us=31_000_000)

    assert held.waiting == 50
    assert counts.delivered == 50
    assert (await rig.reload()).state is DestinationState.ENABLED


async def test_late_logs_are_stamped_anew_and_say_so(rig) -> None:
    """A trace older than 17 h 30 min at sending gets the present time, and its true time beside it."""
    await rig.ingest(10, timestamp="2026-01-01T00:00:00.000Z")

    async with rig.worker():
        counts = await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert counts.late == 10
    assert {log["execlave"]["late"] for log in logs} == {True}
    assert {log["execlave"]["event_timestamp"] for log in logs} == {1_767_225_600_000}
    assert all(log["timestamp"] > 1_767_225_600_000 for log in logs)
