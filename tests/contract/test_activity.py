"""What the pages read of the last hours, on each engine."""

import pytest

from budget_rig import BudgetRig, open_rig
from execlave_server.actions.lapse_reservations import lapse_reservations
from execlave_server.actions.read_activity import (
    HOUR_US,
    Traffic,
    count_agents_by_status,
    count_waiting_approvals,
    hours_until,
    read_latency,
    read_spend_by_day,
    read_spend_by_hour,
    read_spend_this_month,
    read_traffic,
)
from execlave_server.actions.read_delivery_history import read_answers, read_delivered_hours, read_queues
from execlave_server.model.agents import AgentStatus
from execlave_server.store.protocol import Call, Parameters, Write

NANO = 1_000_000_000


@pytest.fixture
async def rig(store, clock, tmp_path, read) -> BudgetRig:
    """A server with one agent."""
    rig = await open_rig(store, clock, tmp_path, read)
    await rig.register("support-bot")
    return rig


def traces(prefix: str, *statuses: str) -> list[dict[str, str]]:
    """A trace of each status."""
    return [{"traceId": f"{prefix}-{number}", "status": status} for number, status in enumerate(statuses)]


async def test_traffic_is_by_the_hour_it_was_received_in(rig, clock) -> None:
    """Errors are errors and timeouts, violations the three statuses of governance; what is older is not counted."""
    await rig.send(*traces("old", "success"))
    clock.advance(seconds=2 * 3_600)
    await rig.send(*traces("a", "success", "error", "timeout", "policy_blocked"))
    await rig.send(*traces("b", "limit_exceeded", "flagged_for_review", "effect_unconfirmed"))
    clock.advance(seconds=3_600)
    await rig.send(*traces("c", "success", "success"))

    counted = await read_traffic(rig.services, rig.number, hours_until(clock.now_us(), 2))

    assert counted == [Traffic(0, 7, errors=2, violations=3), Traffic(1, 2)]
    assert [each.others for each in counted] == [2, 2]


async def test_a_quiet_hour_is_there(rig, clock) -> None:
    """An hour in which nothing came has its place."""
    await rig.send(*traces("a", "success"))
    clock.advance(seconds=2 * 3_600)

    counted = await read_traffic(rig.services, rig.number, hours_until(clock.now_us(), 3))

    assert [each.traces for each in counted] == [1, 0, 0]


async def test_spend_is_kept_by_the_hour_and_by_the_day(rig, clock) -> None:
    """Also when the windows are long over: of the organization both, of an agent the days."""
    agent = (await rig.services.agents.search(rig.key, "", limit=1, offset=0))[0][0].id
    await rig.send({"traceId": "a", "costUsd": 0.25})
    clock.advance(seconds=3_600)
    await rig.send({"traceId": "b", "costUsd": 0.5}, {"traceId": "c", "costUsd": 1.0, "agentId": "nobody"})
    clock.advance(seconds=20 * 3_600)
    await lapse_reservations(rig.services.store, clock)
    await rig.send({"traceId": "d", "costUsd": 2.0})

    hours = await read_spend_by_hour(rig.services, rig.number, 24)

    assert [cents / NANO for cents in hours[2:5]] == [0.25, 1.5, 0]
    assert hours[-1] == 2 * NANO
    assert sum(hours) == 3.75 * NANO
    assert [each / NANO for each in await read_spend_by_day(rig.services, rig.number, 2)] == [1.75, 2.0]
    assert [each / NANO for each in await read_spend_by_day(rig.services, rig.number, 2, agent=agent)] == [0.75, 2.0]
    assert await read_spend_this_month(rig.services, rig.number) == 3.75 * NANO


async def test_meters_that_nobody_looks_back_at_go(rig, clock, read) -> None:
    """After 36 days only those of the month are left."""
    await rig.send({"traceId": "a", "costUsd": 0.25})
    clock.advance(seconds=15 * 86_400)
    await lapse_reservations(rig.services.store, clock)
    assert {name.split(":")[3] for (name,) in await read("select meter from meters")} == {"1d", "1mo"}
    clock.advance(seconds=21 * 86_400)

    await lapse_reservations(rig.services.store, clock)

    assert await read("select meter from meters") == []


async def test_latency_is_of_the_newest_decisions(rig, clock) -> None:
    """None where nothing was decided since."""
    await rig.ask()
    clock.advance(seconds=7_200)
    assert await read_latency(rig.services, rig.number, clock.now_us() - HOUR_US) is None

    for _ in range(3):
        await rig.ask()

    latency = await read_latency(rig.services, rig.number, clock.now_us() - HOUR_US)
    assert latency is not None
    assert latency.decisions == 3
    assert latency.p50_us <= latency.p95_us <= latency.p99_us


async def test_agents_and_approvals_are_counted(rig) -> None:
    """Agents by status; nothing waits for anybody yet."""
    await rig.register("billing-bot")

    assert await count_agents_by_status(rig.services, rig.number) == {AgentStatus.ACTIVE: 2}
    assert await count_waiting_approvals(rig.services, rig.number) == 0


@pytest.fixture
async def destination(rig, store, globex) -> int:
    """The number of a destination that collects; another organization has one too."""
    row: Parameters = {
        "id": "dst_mine",
        "organization": rig.number,
        "name": "Mine",
        "service": "execlave",
        "ddtags": "",
        "heartbeat": 1,
        "events": 1,
        "site": "datadoghq.com",
        "key_hint": "abcd",
        "sealed_key": b"sealed",
        "now_us": 1,
    }
    await store.commit(Write(calls=[Call("insert_destination", row)]))
    await globex.add_destination("Theirs")
    return (await store.rows("list_destinations", {"organization": rig.number}))[0][1]


async def test_delivery_is_by_the_hour_of_the_commit(rig, destination, clock, run, globex) -> None:
    """Delivered, waiting and parked; another organization's destination is not shown."""
    await run("update destinations set state = 'enabled' where id = 'dst_mine'")
    await rig.send(*traces("a", "success", "success", "success"))
    clock.advance(seconds=3_600)
    await rig.send(*traces("b", "success"))
    of_mine = (
        f"destination = {destination} and batch = (select min(batch) from outbox where destination = {destination})"  # noqa: S608 - a test's
    )
    await run(
        "update outbox set accepted_count = 2, parked_count = 1, late_count = 1, due_at_us = null, attempts = 3, "  # noqa: S608 - a test's
        f"delivered_at_us = 7, last_status = 202, latency_us = 5 where {of_mine}",
        "insert into parked (destination, batch, position, reason, payload, parked_at_us) "  # noqa: S608 - a test's
        f"select {destination}, batch, 0, 'refused', log, 1 from traces where id = (select min(id) from traces)",
    )

    hours = await read_delivered_hours(rig.services, rig.number, "dst_mine", hours_until(clock.now_us(), 2))
    queues = await read_queues(rig.services, rig.number)
    answers = await read_answers(rig.services, rig.number, "dst_mine", limit=10)

    assert [(each.delivered, each.waiting, each.parked, each.late) for each in hours] == [(2, 0, 1, 1), (0, 1, 0, 0)]
    assert list(queues) == ["dst_mine"]
    assert (queues["dst_mine"].waiting, queues["dst_mine"].parked) == (1, 1)
    assert queues["dst_mine"].oldest_waiting_at_us == clock.now_us()
    assert [(each.last_status, each.attempts, each.parked_count) for each in answers] == [(202, 3, 1)]
    assert await read_answers(rig.services, globex.number, "dst_mine", limit=10) == []
    assert [
        each.delivered
        for each in await read_delivered_hours(rig.services, globex.number, "dst_mine", hours_until(clock.now_us(), 2))
    ] == [0, 0]
