"""Monitors over stored traces, on each engine: what would have fired, for whom, and when."""

from collections.abc import Sequence

from execlave_server.actions.backtest_monitors import Backtested, backtest_monitors
from execlave_server.datadog.as_code.monitors import COST_RUNAWAY, POLICY_BURST, STREAM_SILENT
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, Status
from execlave_server.datadog.monitors.monitor_query import MINUTE_US
from execlave_server.datadog.monitors.read_monitors import simple_monitor

HOUR_US = 60 * MINUTE_US


async def backtest_of(rig, *definitions: MonitorDefinition, span_us: int = 3 * HOUR_US, ddtags: str = "") -> Backtested:
    """A backtest of the rig's store."""
    return await backtest_monitors(
        rig.services, rig.organization.number, definitions, span_us=span_us, service="agents", ddtags=ddtags
    )


def fired(found: Backtested, place: int = 0) -> Sequence[tuple[tuple[str, ...], Status, int]]:
    """Who fired, how, and in which minute of the span."""
    return [
        (each.group, each.status, (each.from_us - found.from_us) // MINUTE_US) for each in found.monitors[place].firings
    ]


async def burst(rig, count: int = 12, *, prefix: str = "b", **fields) -> None:
    """Blocks of one agent, now."""
    fields = {"agentId": "burst", "status": "policy_blocked", "costUsd": 1, **fields}
    await rig.ingest(count, prefix=prefix, **fields)


async def test_a_burst_fires_and_recovers(rig):
    """In the minute after it, for its agent, until it leaves the window; a second burst fires again."""
    await rig.ingest(5, prefix="q", agentId="quiet")
    await burst(rig)
    rig.clock.pushed_us += HOUR_US
    await burst(rig, prefix="c")
    rig.clock.pushed_us += HOUR_US

    found = await backtest_of(rig, POLICY_BURST.definition, COST_RUNAWAY.definition, STREAM_SILENT.definition)

    first, second = found.monitors[0].firings
    assert (found.logs, found.monitors[0].logs) == (29, 24)
    assert [(each.group, each.status, each.worst) for each in (first, second)] == [(("burst",), Status.ALERT, 12)] * 2
    assert (first.until_us - first.from_us) // MINUTE_US == 15
    assert (second.from_us - first.from_us) // MINUTE_US == 60
    assert found.monitors[1].firings[0].worst >= 12  # within one hour, or two
    assert found.monitors[2].untested
    line = found.monitors[0].lines["burst",]
    assert max(value for value in line if value is not None) == 12


async def test_what_lies_before_the_span_warms_the_windows(rig):
    """A sum over 24 hours counts what was received before the span begins, but fires within it."""
    await rig.ingest(4, prefix="a", agentId="old", costUsd=2)
    rig.clock.pushed_us += 5 * HOUR_US
    await rig.ingest(1, prefix="z", agentId="old", costUsd=2)
    rig.clock.pushed_us += 10 * MINUTE_US
    query = 'logs("source:execlave").rollup("sum", "@cost_usd").by("@agent_id").last("23h") > 9'

    found = await backtest_of(rig, simple_monitor(query), span_us=HOUR_US)

    assert [(group, status) for group, status, _ in fired(found)] == [(("old",), Status.ALERT)]
    assert found.logs == 1


async def test_late_logs_are_marked_as_they_would_be(rig):
    """A trace of yesterday counts now and says `late`, so the shipped monitors leave it out."""
    yesterday_ms = rig.clock.now_us() // 1_000 - 20 * 3_600_000
    await burst(rig, timestamp=yesterday_ms)
    rig.clock.pushed_us += 5 * MINUTE_US
    late = 'logs("source:execlave @execlave.late:true").rollup("count").last("5m") > 10'

    found = await backtest_of(rig, POLICY_BURST.definition, simple_monitor(late))

    assert fired(found) == []
    assert len(fired(found, 1)) == 1


async def test_tags_of_the_destination_are_searched(rig):
    """Logs carry the service and tags they would have been sent with."""
    await burst(rig)
    rig.clock.pushed_us += 5 * MINUTE_US
    query = 'logs("env:test service:agents").rollup("count").last("15m") > 10'

    assert len(fired(await backtest_of(rig, simple_monitor(query), ddtags="env:test"))) == 1
    assert fired(await backtest_of(rig, simple_monitor(query))) == []


async def test_organizations_are_apart(rig):
    """Nothing of another organization counts."""
    await burst(rig)
    rig.clock.pushed_us += 5 * MINUTE_US
    found = await backtest_monitors(
        rig.services, rig.organization.number + 1, [POLICY_BURST.definition], span_us=HOUR_US, service="a", ddtags=""
    )

    assert (found.logs, found.monitors[0].firings) == (0, [])
