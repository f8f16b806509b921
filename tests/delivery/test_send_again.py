"""Backfill sends what a destination never got, replay what it got already."""

import pytest

from execlave_server.actions import send_again
from execlave_server.actions.configure_destination import disable_destination, enable_destination
from execlave_server.actions.send_again import (
    Past,
    PastSpan,
    close_gap,
    gap_span,
    new_replay_id,
    send_past,
    send_past_step,
)
from execlave_server.errors import ConflictError, NotFoundError, ValidationFailedError

NEVER = 1 << 62


async def queue(rig, past: Past, from_us: int = 0, to_us: int = NEVER) -> int:
    """Queue a span of the past; how many batches."""
    return await run(rig, PastSpan(past, from_us, to_us, new_replay_id(rig.services)))


async def run(rig, span: PastSpan, report=lambda _done, _total: None) -> int:
    """Queue a span that is put together already; how many batches."""
    return await send_past(rig.services, rig.organization.number, rig.destination.id, span, report=report)


async def test_the_gap_of_a_disabled_destination_is_filled(rig) -> None:
    """What was committed while a destination was disabled is queued by a backfill, marked, and delivered once."""
    await disable_destination(rig.services, rig.organization.number, rig.destination.id)
    await rig.ingest(20, prefix="gap")
    await enable_destination(rig.services, rig.organization.number, rig.destination.id)
    await rig.ingest(5, prefix="live")

    first, second = await queue(rig, Past.BACKFILL), await queue(rig, Past.BACKFILL)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert (first, second) == (1, 0)
    assert len(logs) == 25
    assert {log["trace_id"][:3] for log in logs if log["execlave"].get("backfill")} == {"gap"}


async def test_a_backfill_keeps_to_its_time_span(rig) -> None:
    """Only batches received in [from, to) are queued."""
    await disable_destination(rig.services, rig.organization.number, rig.destination.id)
    await rig.ingest(1, prefix="before")
    rig.clock.pushed_us += 60_000_000
    middle_us = rig.clock.now_us()
    await rig.ingest(1, prefix="within")
    rig.clock.pushed_us += 60_000_000
    await rig.ingest(1, prefix="after")
    await enable_destination(rig.services, rig.organization.number, rig.destination.id)

    queued = await queue(rig, Past.BACKFILL, middle_us, middle_us + 30_000_000)
    async with rig.worker():
        await rig.until(lambda counts: counts.delivered == 1)

    assert queued == 1
    assert [log["trace_id"] for log in await rig.logs()] == ["within0"]


async def test_a_replay_sends_again_under_the_same_key(rig) -> None:
    """A replayed log says so and carries the delivery key it had."""
    await rig.ingest(3)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

        queued = await queue(rig, Past.REPLAY)
        await rig.until(lambda counts: counts.waiting == 0)

    logs = await rig.logs()
    assert queued == 1
    assert [log["execlave"].get("replay", False) for log in logs] == [False] * 3 + [True] * 3
    assert {log["execlave"]["delivery_key"] for log in logs[:3]} == {
        log["execlave"]["delivery_key"] for log in logs[3:]
    }


async def test_what_waits_is_not_replayed(rig) -> None:
    """A batch that was not delivered yet is sent once, whatever is asked."""
    await rig.ingest(3)

    queued = await queue(rig, Past.REPLAY)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    assert queued == 0
    assert len(await rig.logs()) == 3


async def test_another_organizations_destination_is_not_found(rig) -> None:
    """A destination is reached by its own organization only."""
    with pytest.raises(NotFoundError):
        await send_past(
            rig.services,
            rig.organization.number + 1,
            rig.destination.id,
            PastSpan(Past.BACKFILL, 0, NEVER),
            report=print,
        )


class KilledError(BaseException):
    """Ends a replay or a backfill between two steps, as a kill would."""


@pytest.fixture
def one_batch_a_step(monkeypatch):
    """Steps as small as they can be."""
    monkeypatch.setattr(send_again, "BATCHES_PER_STEP", 1)


@pytest.mark.usefixtures("one_batch_a_step")
async def test_an_interrupted_replay_is_finished_and_sends_nothing_twice(rig) -> None:
    """Under the id of an interrupted replay the rest is queued; another id is another replay."""
    for number in range(4):
        await rig.ingest(1, prefix=f"t{number}.")
    span = PastSpan(Past.REPLAY, 0, NEVER, new_replay_id(rig.services))

    def kill_half_way(done: int, total: int) -> None:
        if done == total // 2:
            raise KilledError

    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
        with pytest.raises(KilledError):
            await run(rig, span, kill_half_way)
        await rig.until(lambda counts: counts.waiting == 0)
        resumed, again = await run(rig, span), await run(rig, span)
        await rig.until(lambda counts: counts.waiting == 0)
        finished = len(await rig.logs())
        another = await queue(rig, Past.REPLAY)
        await rig.until(lambda counts: counts.waiting == 0)

    assert (resumed, again, finished) == (2, 0, 8)
    assert (another, len(await rig.logs())) == (4, 12)


@pytest.mark.usefixtures("one_batch_a_step")
async def test_a_step_is_bounded_and_says_where_to_go_on(rig) -> None:
    """Each step looks at so many batches and no more; the last one has no next."""
    await disable_destination(rig.services, rig.organization.number, rig.destination.id)
    for _ in range(3):
        await rig.ingest(1, prefix=rig.clock.uuid())
    await enable_destination(rig.services, rig.organization.number, rig.destination.id)
    steps = []
    after: int | None = 0
    while after is not None:
        span = PastSpan(Past.BACKFILL, 0, NEVER)
        step = await send_past_step(rig.services, rig.organization.number, rig.destination.id, span, after=after)
        steps.append((step.queued, step.looked_at, step.of, step.next))
        after = step.next

    assert steps == [(1, 1, 3, 1), (1, 2, 3, 2), (1, 3, 3, None)]


async def test_a_gap_is_known_filled_and_closed(rig) -> None:
    """What a destination missed from disabling to enabling is one span, filled once, and then shown no longer."""
    number, destination_id = rig.organization.number, rig.destination.id
    await rig.ingest(3, prefix="before")
    await disable_destination(rig.services, number, destination_id)
    await rig.ingest(3, prefix="gap")
    with pytest.raises(ConflictError, match="still disabled"):
        await gap_span(rig.services, number, destination_id)
    await enable_destination(rig.services, number, destination_id)
    await disable_destination(rig.services, number, destination_id)
    await rig.ingest(3, prefix="second")
    enabled = await enable_destination(rig.services, number, destination_id)

    queued = await run(rig, await gap_span(rig.services, number, destination_id))
    await close_gap(rig.services, number, destination_id)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    assert enabled.gap is not None
    assert queued == 2
    assert sorted({log["trace_id"][:3] for log in await rig.logs()}) == ["bef", "gap", "sec"]
    assert len(await rig.logs()) == 9
    assert (await rig.reload()).gap is None
    with pytest.raises(ConflictError, match="has no gap"):
        await gap_span(rig.services, number, destination_id)


async def test_a_destination_that_never_collected_has_no_gap(rig) -> None:
    """Disabling what is disabled changes nothing of its gap; a destination that was always enabled has none."""
    number, destination_id = rig.organization.number, rig.destination.id
    never = (await rig.reload()).gap
    first = await disable_destination(rig.services, number, destination_id)
    rig.clock.pushed_us += 1_000_000
    second = await disable_destination(rig.services, number, destination_id)

    assert never is None
    assert first.gap == second.gap
    assert first.gap is not None


async def test_a_span_has_an_inside(rig) -> None:
    """A span that ends before it begins is refused instead of finding nothing."""
    with pytest.raises(ValidationFailedError, match="before"):
        await queue(rig, Past.REPLAY, 5, 5)
