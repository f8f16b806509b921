"""Three days without an intake, on a clock that the test pushes forward."""

HOURS = 72
LOGS_PER_HOUR = 20
LATE_AFTER_HOURS = 17.5  # Datadog drops older logs after answering 202, as the sandbox does


async def test_three_days_of_outage_lose_nothing(rig) -> None:
    """Every log arrives when the intake is back; those too old for Datadog carry a new date and say so."""
    occurred_at_ms: dict[str, int] = {}
    await rig.faults({"status": 503, "times": None})

    async with rig.worker():
        for hour in range(HOURS):
            now_ms = rig.clock.now_us() // 1_000
            await rig.ingest(LOGS_PER_HOUR, prefix=f"h{hour}_", timestamp=now_ms)
            occurred_at_ms |= {f"h{hour}_{number}": now_ms for number in range(LOGS_PER_HOUR)}
            rig.clock.pushed_us += 3_600_000_000
        await rig.faults()
        counts = await rig.until(lambda counts: counts.waiting == 0)

    logs = {log["trace_id"]: log for log in await rig.logs()}
    late = {name for name, log in logs.items() if log["execlave"].get("late")}
    oldest_in_time = HOURS - LATE_AFTER_HOURS
    assert logs.keys() == occurred_at_ms.keys()
    assert (counts.delivered, counts.parked) == (HOURS * LOGS_PER_HOUR, 0)
    assert late == {name for name in logs if int(name[1:].partition("_")[0]) < oldest_in_time}
    assert counts.late == len(late)
    assert all(logs[name]["execlave"]["event_timestamp"] == occurred_at_ms[name] for name in late)
    assert all(logs[name]["timestamp"] == occurred_at_ms[name] for name in logs.keys() - late)
