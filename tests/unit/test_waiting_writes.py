"""Which of the writes that wait are committed next."""

import asyncio
import threading

import pytest

from execlave_server.store.grouping import WRITES_PER_COMMIT_MAX, Job
from execlave_server.store.protocol import NewDecision, Traces, Write
from execlave_server.store.sqlite.waiting_writes import TRACES_BESIDE_DECISIONS_MAX, WaitingWrites

DECISION = Write(decision=NewDecision(1, {}, b""))


def traces(count: int) -> Write:
    """A request's traces, of which only the number matters here."""
    return Write(traces=Traces(1, [object()] * count))


@pytest.fixture
async def waiting():
    """Writes that wait: an empty line, and what puts a write into it and returns its job."""
    line = WaitingWrites()

    def put(write: Write) -> Job:
        job = Job(write, asyncio.get_running_loop().create_future(), 0)
        line.put(job)
        return job

    return line, put


async def test_a_decision_goes_before_traces_that_came_earlier(waiting):
    """Traces that wait are committed after the decisions that came while they did."""
    line, put = waiting
    early, first, second = put(traces(100)), put(DECISION), put(Write())

    assert line.next_group() == [first, second]
    assert line.next_group() == [early]


async def test_a_blocked_decision_is_a_decision(waiting):
    """The trace that a blocked decision brings does not make it wait with the traces."""
    line, put = waiting
    early = put(traces(100))
    blocked = put(Write(decision=NewDecision(1, {}, b""), traces=Traces(1, [object()])))

    assert line.next_group() == [blocked]
    assert line.next_group() == [early]


async def test_decisions_that_never_cease_do_not_keep_traces_waiting(waiting):
    """After each group of decisions the traces that wait have their turn."""
    line, put = waiting
    early, first = put(traces(1)), put(DECISION)

    groups = [line.next_group()]
    later = put(DECISION)
    groups += [line.next_group(), line.next_group()]

    assert groups == [[first], [early], [later]]


async def test_each_line_keeps_its_order(waiting):
    """Within a kind, writes go in the order they came."""
    line, put = waiting
    jobs = [put(traces(10)) for _ in range(5)]

    assert line.next_group() == jobs


async def test_traces_beside_decisions_go_in_small_groups(waiting):
    """Where decisions are being made, a decision that comes next waits for few traces only; else for what waits."""
    line, put = waiting
    put(DECISION)
    jobs = [put(traces(TRACES_BESIDE_DECISIONS_MAX // 2)) for _ in range(5)]

    assert [len(line.next_group()) for _ in range(3)] == [1, 2, 3]
    assert len(jobs) == 5


async def test_a_large_request_goes_alone(waiting):
    """A write with more traces than a group takes is committed by itself."""
    line, put = waiting
    put(DECISION)
    large, small = put(traces(TRACES_BESIDE_DECISIONS_MAX + 1)), put(traces(1))

    assert [line.next_group() for _ in range(3)][1:] == [[large], [small]]


async def test_a_group_has_a_limit(waiting):
    """No more writes than the limit are committed together."""
    line, put = waiting
    for _ in range(WRITES_PER_COMMIT_MAX + 1):
        put(DECISION)

    assert [len(line.next_group()) for _ in range(2)] == [WRITES_PER_COMMIT_MAX, 1]
    assert len(line) == 0


async def test_closing_lets_go_what_waits_and_then_ends(waiting):
    """What waits when it is closed is still handed out; then the groups are empty."""
    line, put = waiting
    job = put(traces(1))

    line.close()

    assert line.next_group() == [job]
    assert line.next_group() == []


async def test_it_waits_for_a_write(waiting):
    """With nothing there, the next group waits until there is something."""
    line, put = waiting
    groups: list[list[Job]] = []
    thread = threading.Thread(target=lambda: groups.append(line.next_group()))
    thread.start()

    job = put(DECISION)
    thread.join(timeout=30)

    assert groups == [[job]]
