"""Long work gives way to decisions, and is never kept waiting for ever."""

import asyncio

import pytest

from clocks import SettableClock
from execlave_server.actions.right_of_way import SLICE_US_MAX, RightOfWay

WITHIN_S = 30


@pytest.fixture
def clock() -> SettableClock:
    """The time, as the test sets it."""
    return SettableClock()


async def test_work_waits_while_a_decision_is_made(clock):
    """A slice begins after the decisions under way, all of them."""
    way, done = RightOfWay(clock), []

    async def decide(name: str, turns: int) -> None:
        with way.deciding():
            for _ in range(turns):
                await asyncio.sleep(0)
            done.append(name)

    async def work() -> None:
        await way.give_way()
        done.append("work")

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(decide("first", 3))
        group.create_task(decide("second", 9))

    assert done == ["first", "second", "work"]


async def test_what_arrived_goes_before_the_next_slice(clock):
    """Between two slices everything that is ready runs, decisions or not."""
    way, done = RightOfWay(clock), []

    async def work() -> None:
        for number in range(2):
            await way.give_way()
            done.append(f"slice {number}")

    async def other() -> None:
        done.append("other")

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(other())

    assert done == ["other", "slice 0", "slice 1"]


async def test_one_slice_at_a_time(clock):
    """However many requests are worked on, a decision that arrives waits for one slice and not for one of each."""
    way, slices_between, since = RightOfWay(clock), [], 0

    async def work() -> None:
        nonlocal since
        for _ in range(5):
            await way.give_way()
            since += 1

    async def arrive() -> None:
        nonlocal since
        for _ in range(20):
            await asyncio.sleep(0)
            slices_between.append(since)
            since = 0

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(work())
        group.create_task(arrive())

    assert max(slices_between) == 1


async def test_a_decision_that_takes_long_does_not_stop_the_work(clock):
    """Where a decision waits for somebody else, a validator or the disk, work goes on after a moment."""
    way = RightOfWay(clock)

    with way.deciding():
        async with asyncio.timeout(WITHIN_S):
            await way.give_way()
            await way.give_way()


async def test_work_given_up_leaves_the_line(clock):
    """A request that is cancelled while it waits keeps nobody behind it waiting."""
    way = RightOfWay(clock)
    with way.deciding():
        given_up = asyncio.create_task(way.give_way())
        await asyncio.sleep(0)
        given_up.cancel()

    async with asyncio.timeout(WITHIN_S):
        await way.give_way()

    assert given_up.cancelled()


async def test_a_decision_that_fails_is_over(clock):
    """An error ends a decision like an answer does."""
    way = RightOfWay(clock)

    with pytest.raises(LookupError), way.deciding():
        raise LookupError

    assert await asyncio.wait_for(way.give_way(), WITHIN_S)


async def test_a_slice_is_over_after_its_time(clock):
    """A slice lasts as long as a decision may be made to wait."""
    piece = await RightOfWay(clock).give_way()

    over = [piece.is_over]
    clock.advance(us=SLICE_US_MAX)

    assert [*over, piece.is_over] == [False, True]
