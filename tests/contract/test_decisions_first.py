"""Decisions are made while traces are taken in, and traces come out of it whole and in order."""

import asyncio

import pytest

from budget_rig import BudgetRig, open_rig
from clocks import SettableClock
from execlave_server.actions.right_of_way import SLICE_US_MAX
from execlave_server.model.traces import TraceOutcome
from execlave_server.store.protocol import Write

TRACES = 40
DECISIONS = 5
WITHIN_S = 60


class HurryingClock(SettableClock):
    """A clock by which everything takes as long as a slice lasts, so that each trace is a slice of its own."""

    def elapsed_us(self) -> int:
        """Later with every look."""
        self.advance(us=SLICE_US_MAX)
        return super().elapsed_us()


@pytest.fixture
def clock() -> HurryingClock:
    """The time."""
    return HurryingClock()


@pytest.fixture
async def rig(store, clock, tmp_path, read) -> BudgetRig:
    """A server with an agent."""
    rig = await open_rig(store, clock, tmp_path, read)
    await rig.register("support-bot")
    await rig.ask()
    return rig


async def test_decisions_are_answered_while_traces_are_made(rig):
    """Decisions asked for one after another, after a request of traces, are all answered before it."""
    items = [{"traceId": f"t{number}"} for number in range(5 * TRACES)]
    answered: list[str] = []

    async def send() -> None:
        await rig.send(*items)
        answered.append("traces")

    async def ask() -> None:
        for _ in range(DECISIONS):
            await rig.ask()
            answered.append("decision")

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        group.create_task(send())
        await asyncio.sleep(0)
        group.create_task(ask())

    assert answered == ["decision"] * DECISIONS + ["traces"]


async def test_slices_keep_order_and_outcome(rig, read):
    """Requests whose slices take turns are stored as if each had been alone: every trace once, in its order."""
    requests = [[{"traceId": f"r{request}", "metadata": {"spanId": f"s{number:02}"}} for number in range(TRACES)]
                for request in range(3)]  # fmt: skip

    async with asyncio.timeout(WITHIN_S):
        results = await asyncio.gather(*(rig.send(*items) for items in requests), *(rig.ask() for _ in range(5)))
        again = await rig.send(*requests[0])

    assert [(result.accepted, result.duplicates, result.refused) for result in results[:3]] == [(TRACES, 0, [])] * 3
    assert again.duplicates == TRACES
    for request in range(3):
        spans = await read(f"select span_id from traces where trace_id = 'r{request}' order by id")  # noqa: S608 - ours
        assert [span for (span,) in spans] == [f"s{number:02}" for number in range(TRACES)]


async def test_a_long_trace_keeps_its_place(rig, read):
    """A trace so long that it is made beside the event loop stands where it stood in its request."""
    texts = {"t1": "short", "t2": "long " * 20_000, "t3": "short"}

    result = await rig.send(*({"traceId": trace, "input": text} for trace, text in texts.items()))

    assert result.accepted == len(texts)
    assert await read("select trace_id from traces order by id") == [("t1",), ("t2",), ("t3",)]


async def test_a_decision_is_committed_before_traces_that_waited(engine, acme, tmp_path, read):
    """Of what waits for the one writer of SQLite, a decision goes before traces that came earlier."""
    if engine.name != "sqlite":
        pytest.skip("PostgreSQL has a committer for each")
    writes = [
        acme.write(acme.trace("under way")),
        acme.write(acme.trace("waiting")),
        Write(decision=acme.decision("dec_1")),
    ]
    async with asyncio.timeout(WITHIN_S):
        async with engine.hold_writes(tmp_path):
            tasks = [asyncio.create_task(acme.store.commit(writes[0]))]
            await asyncio.sleep(0)
            while len(acme.store.writer.waiting):  # until the writer has taken it
                await asyncio.sleep(0)
            tasks += [asyncio.create_task(acme.store.commit(write)) for write in writes[1:]]
            await asyncio.sleep(0)
        written = await asyncio.gather(*tasks)

    assert [result.outcomes for result in written] == [[TraceOutcome.STORED], [TraceOutcome.STORED], []]
    order = await read(
        "select coalesce(t.trace_id, d.id) from batches b left join traces t on t.batch = b.id "
        "left join decisions d on d.batch = b.id order by b.id"
    )
    assert order == [("under way",), ("dec_1",), ("waiting",)]
