"""The list of traces by whatever it is filtered by, on every engine."""

import pytest

from execlave_server.actions import read_traces as reading
from execlave_server.actions import search_traces as searching
from execlave_server.actions.read_traces import TraceFilter, read_traces
from execlave_server.model.traces import TraceStatus
from history import MINUTE_US, History, begin_history, span
from office import services_on


@pytest.fixture
async def history(store, clock, tmp_path) -> History:
    """Traces of two agents, a minute apart, beside those of another organization."""
    services = services_on(store, clock, tmp_path)
    other = await begin_history(services, clock, "Other")
    await other.ingest({"traceId": "theirs", "status": "error", "errorMessage": "card declined"})
    history = await begin_history(services, clock)
    await history.register()
    for number in range(12):
        clock.advance(us=MINUTE_US)
        await history.ingest({
            "traceId": f"t{number}",
            "status": ["success", "error", "policy_blocked"][number % 3],
            "agentId": "bot" if number % 2 else "crawler",
            "environment": "staging" if number == 7 else "production",
            "spanType": "llm" if number % 4 == 0 else "tool",
            "errorMessage": 'Card "4" DECLINED' if number % 3 == 1 else None,
        })  # fmt: skip
    return history


async def ids(history: History, wanted: TraceFilter | None = None, **options) -> list[str]:
    """The trace ids of one page."""
    page = await read_traces(history.office.services, history.ada, wanted or TraceFilter(), **options)
    return [trace.trace_id for trace in page.traces]


async def test_the_newest_come_first(history):
    """Without a filter every trace of the organization is listed once, and none of another."""
    assert await ids(history) == [f"t{number}" for number in reversed(range(12))]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TraceFilter(statuses=(TraceStatus.ERROR,)), [10, 7, 4, 1]),
        (TraceFilter(statuses=(TraceStatus.ERROR, TraceStatus.POLICY_BLOCKED)), [11, 10, 8, 7, 5, 4, 2, 1]),
        (TraceFilter(agent="crawler"), [10, 8, 6, 4, 2, 0]),
        (TraceFilter(environment="staging"), [7]),
        (TraceFilter(span_type="llm", statuses=(TraceStatus.ERROR,)), [4]),
        (TraceFilter(agent="nobody"), []),
        (TraceFilter(environment="nowhere"), []),
        (TraceFilter(query='*:"card 4 declined"'), [10, 7, 4, 1]),
        (TraceFilter(query="*:declined", agent="bot"), [7, 1]),
        (TraceFilter(query="trace_id:t11"), [11]),
        (TraceFilter(query="*:agent_id"), []),
        (TraceFilter(query="trace_id:theirs"), []),
        (TraceFilter(query="@error_message:*", statuses=(TraceStatus.ERROR,), span_type="llm"), [4]),
        (TraceFilter(query="-@execlave.status:success", environment="staging"), [7]),
        (TraceFilter(query="@agent_id:bot OR @agent_id:crawler", agent="crawler"), [10, 8, 6, 4, 2, 0]),
        (
            TraceFilter(query="source:execlave", statuses=(TraceStatus.ERROR, TraceStatus.SUCCESS), agent="bot"),
            [9, 7, 3, 1],
        ),
        (TraceFilter(query="source:execlave", agent="nobody"), []),
    ],
)
async def test_each_filter_narrows(history, wanted, found):
    """A filter finds exactly what it names; filters together find what each finds; keys of the log are no text."""
    assert await ids(history, wanted) == [f"t{number}" for number in found]


async def test_an_agent_is_found_by_its_uuid_too(history):
    """Traces name an agent by its id; who has its UUID finds them as well."""
    agent = await history.office.services.agents.find_fresh(history.ada, "bot")

    assert await ids(history, TraceFilter(agent=agent.id)) == await ids(history, TraceFilter(agent="bot")) != []
    assert await ids(history, TraceFilter(agent=agent.id, query="trace_id:t11")) == ["t11"]


async def test_times_are_of_receiving(history, clock):
    """`from` is included, `to` is not."""
    start_us = clock.now_us() - 3 * MINUTE_US

    assert await ids(history, TraceFilter(from_us=start_us)) == ["t11", "t10", "t9", "t8"]
    assert await ids(history, TraceFilter(from_us=start_us, to_us=start_us + 2 * MINUTE_US)) == ["t9", "t8"]
    assert await ids(history, TraceFilter(to_us=start_us - 7 * MINUTE_US)) == ["t0"]
    assert await ids(history, TraceFilter(from_us=start_us, to_us=start_us + MINUTE_US, query="source:execlave")) == [
        "t8"
    ]


@pytest.mark.parametrize("query", ["", "-@execlave.status:policy_blocked"])
async def test_pages_follow_each_other(history, query):
    """Each page goes on below the last id of the one before; together they are the list, and the last has no next."""
    wanted, seen, before = TraceFilter(statuses=(TraceStatus.SUCCESS, TraceStatus.ERROR), query=query), [], None
    for _ in range(4):
        page = await read_traces(history.office.services, history.ada, wanted, before=before, limit=3)
        seen += [trace.trace_id for trace in page.traces]
        before = page.next
        assert page.searched_to_us is None
        if before is None:
            break

    assert seen == await ids(history, wanted)
    assert before is None


@pytest.mark.parametrize(
    ("wanted", "minutes"),
    [(TraceFilter(statuses=(TraceStatus.TIMEOUT,)), (4, 9)), (TraceFilter(query="nowhere"), (5, 10))],
)
async def test_a_page_looks_at_a_bounded_number(history, clock, monkeypatch, wanted, minutes):
    """A page that finds too little says how far back it looked, and its cursor goes on from there to the end."""
    monkeypatch.setattr(reading, "ENTRIES_MAX", 5)
    monkeypatch.setattr(searching, "ENTRIES_PER_PAGE_MAX", 5)
    pages, before = [], None
    while True:
        page = await read_traces(history.office.services, history.ada, wanted, before=before)
        pages.append(page)
        before = page.next
        if before is None:
            break

    assert [page.traces for page in pages] == [[]] * 3
    assert [page.searched_to_us for page in pages] == [
        clock.now_us() - minutes[0] * MINUTE_US,
        clock.now_us() - minutes[1] * MINUTE_US,
        None,
    ]


async def test_a_listed_trace_says_what_the_log_says(history):
    """A row has what a table shows, without reading what the agent was given."""
    await history.ingest(span("full", "look up", modelName="m", costUsd=0.5, durationMs=12, input="secret"))
    [trace] = (await read_traces(history.office.services, history.ada, TraceFilter(), limit=1)).traces

    assert (trace.trace_id, trace.span_id, trace.status) == ("full", "look up", TraceStatus.SUCCESS)
    assert (trace.log.span_name, trace.log.model, trace.log.cost_usd, trace.log.duration_ms) == (
        "look up",
        "m",
        0.5,
        12,
    )
    assert (trace.agent, trace.log.agent_name, trace.environment) == ("bot", "Bot", "production")
    assert "secret" not in str(trace)
